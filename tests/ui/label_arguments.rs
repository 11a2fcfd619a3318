use tracecore::prelude::*;

/// Without a cap.
#[derive(Clone, Debug, PartialEq, Label)]
struct Device(Name);

/// With a cap that is none.
#[derive(Clone, Debug, PartialEq, Label)]
#[max(0)]
struct None(Name);

/// With a cap past the budget.
#[derive(Clone, Debug, PartialEq, Label)]
#[max(257)]
struct Many(Name);

/// With a cap in words.
#[derive(Clone, Debug, PartialEq, Label)]
#[max("many")]
struct Words(Name);

/// With keys that are none, or one twice.
#[derive(Clone, Debug, PartialEq, Label)]
#[max(8)]
#[key("mount")]
struct Mount {
    #[key("File System")]
    path: Name,
    #[key("kind")]
    one: Name,
    kind: Name,
}

/// With a cap, data, and one value twice.
#[derive(Clone, Copy, Debug, Label)]
#[max(3)]
enum Direction {
    Read,
    #[value("read")]
    Write,
    Other(u8),
}

/// Without a value.
#[derive(Clone, Copy, Debug, Label)]
enum Empty {}

/// Two names without keys.
#[derive(Clone, Debug, PartialEq, Label)]
#[max(8)]
struct Pair(Name, Name);

/// Anything.
#[derive(Clone, Debug, PartialEq, Label)]
#[max(8)]
struct Generic<T>(T);

fn main() {}
