/// Which way the bytes went.
#[derive(Clone, Copy, Debug, Label)]
#[key("disk.io.direction")]
enum Direction {
    Read,
    #[value("written")]
    Write,
}

/// A block device, known only at run time.
#[derive(Clone, Debug, PartialEq, Label)]
#[key("system.device")]
#[max(64)]
struct Device(Name);

/// A mounted file system.
#[derive(Clone, Debug, PartialEq, Label)]
#[max(32)]
struct Mount {
    #[key("system.filesystem.mountpoint")]
    path: Name,
    r#type: Name,
}
