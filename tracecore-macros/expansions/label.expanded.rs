/// Which way the bytes went.
#[derive(Clone, Copy, Debug, Label)]
#[key("disk.io.direction")]
enum Direction {
    Read,
    #[value("written")]
    Write,
}
const _: () = {
    use ::tracecore::__private as __rt;
    impl __rt::Label for Direction {
        const CAPACITY: usize = 2;
        const KEYS: &'static [&'static [&'static str]] = &[&["disk.io.direction"]];
        type Slots = __rt::Closed;
    }
    impl __rt::ClosedLabel for Direction {
        const KEY: &'static str = "disk.io.direction";
        const VALUES: &'static [&'static str] = &["read", "written"];
        fn index(self) -> usize {
            match self {
                Direction::Read { .. } => 0usize,
                Direction::Write { .. } => 1usize,
            }
        }
    }
};
/// A block device, known only at run time.
#[derive(Clone, Debug, PartialEq, Label)]
#[key("system.device")]
#[max(64)]
struct Device(Name);
const _: () = {
    use ::tracecore::__private as __rt;
    impl __rt::Label for Device {
        const CAPACITY: usize = 64;
        const KEYS: &'static [&'static [&'static str]] = &[&["system.device"]];
        type Slots = __rt::Named<Self>;
    }
    impl __rt::NamedLabel for Device {
        fn attributes(
            &self,
            attribute: &mut dyn ::core::ops::FnMut(&'static str, &str),
        ) {
            attribute("system.device", __rt::Name::as_str(&self.0));
        }
    }
};
/// A mounted file system.
#[derive(Clone, Debug, PartialEq, Label)]
#[max(32)]
struct Mount {
    #[key("system.filesystem.mountpoint")]
    path: Name,
    r#type: Name,
}
const _: () = {
    use ::tracecore::__private as __rt;
    impl __rt::Label for Mount {
        const CAPACITY: usize = 32;
        const KEYS: &'static [&'static [&'static str]] = &[
            &["system.filesystem.mountpoint", "type"],
        ];
        type Slots = __rt::Named<Self>;
    }
    impl __rt::NamedLabel for Mount {
        fn attributes(
            &self,
            attribute: &mut dyn ::core::ops::FnMut(&'static str, &str),
        ) {
            attribute("system.filesystem.mountpoint", __rt::Name::as_str(&self.path));
            attribute("type", __rt::Name::as_str(&self.r#type));
        }
    }
};
