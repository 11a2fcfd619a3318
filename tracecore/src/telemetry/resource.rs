//! Who this process is: the program, and the four attributes that stand on everything it sends.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::process;

use crate::time::{Clock, unix_nanos};

/// What the program says it is for.
const DESCRIPTION: &str = "observability collector for GPU clusters";

/// Where Linux keeps the name of the host, as the process's own namespace sees it.
const HOSTNAME: &str = "/proc/sys/kernel/hostname";

/// The identity of the build. The values come from constants of the program that is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BuildInfo {
    /// The name of the program.
    pub command: &'static str,
    /// One line on what it does.
    pub description: &'static str,
    /// The released version, such as `0.1.0`.
    pub version: &'static str,
    /// The revision of the source; empty in a development build.
    pub revision: &'static str,
}

impl BuildInfo {
    /// A build of `command`; `revision` may be empty.
    pub const fn new(command: &'static str, version: &'static str, revision: &'static str) -> Self {
        BuildInfo { command, description: DESCRIPTION, version, revision }
    }
}

/// The attributes of this process, on its own metrics and on the data it exports. Sorted by key, each key once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    attributes: Vec<(String, String)>,
}

impl Resource {
    /// `host.name`, `service.name`, `service.version` and a `service.instance.id` that no other process has.
    pub fn detect(build: &BuildInfo) -> Self {
        let none = Resource { attributes: Vec::new() };
        none.with("host.name", host_name())
            .with("service.instance.id", instance_id())
            .with("service.name", build.command)
            .with("service.version", build.version)
    }

    /// The same with `key` set to `value`, whether it was there or not.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let (key, value) = (key.into(), value.into());
        match self.attributes.binary_search_by(|(known, _)| known.cmp(&key)) {
            Ok(at) => self.attributes[at].1 = value,
            Err(at) => self.attributes.insert(at, (key, value)),
        }
        self
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        let at = self.attributes.binary_search_by(|(known, _)| known.as_str().cmp(key)).ok()?;
        self.attributes.get(at).map(|(_, value)| value.as_str())
    }

    /// The attributes, sorted by key.
    pub fn attributes(&self) -> &[(String, String)] {
        &self.attributes
    }
}

fn host_name() -> String {
    let name = fs::read_to_string(HOSTNAME).unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "unknown".to_owned() } else { name.to_owned() }
}

/// A random UUID (version 4). The randomness is the operating system's, through the keys of std's hasher; the process
/// id and the time tell two processes apart even where those keys do not.
fn instance_id() -> String {
    let [high, low] = [(); 2].map(|()| {
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u32(process::id());
        hasher.write_u64(unix_nanos(Clock::system().now()));
        hasher.finish()
    });
    let high = (high & !0xf000) | 0x4000;
    let low = (low & !(0b11 << 62)) | (0b10 << 62);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILD: BuildInfo = BuildInfo::new("tracecore", "1.2.3", "");

    fn get<'a>(resource: &'a Resource, key: &str) -> Option<&'a str> {
        resource.attributes().iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    #[test]
    fn resource_autofill() {
        let resource = Resource::detect(&BUILD);
        let keys: Vec<_> = resource.attributes().iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["host.name", "service.instance.id", "service.name", "service.version"]);
        assert!(resource.attributes().iter().all(|(_, value)| !value.is_empty()));
        assert_eq!(get(&resource, "service.name"), Some("tracecore"));
        assert_eq!(get(&resource, "service.version"), Some("1.2.3"));
    }

    #[test]
    fn an_instance_id_is_a_uuid_of_its_own() {
        let ids = [instance_id(), instance_id()];
        assert_ne!(ids[0], ids[1]);
        for id in &ids {
            let lengths: Vec<_> = id.split('-').map(str::len).collect();
            assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
            assert_eq!(&id[14..15], "4", "{id}");
            assert!(matches!(&id[19..20], "8" | "9" | "a" | "b"), "{id}");
        }
    }

    #[test]
    fn an_attribute_can_be_set_and_added() {
        let resource = Resource::detect(&BUILD).with("host.name", "node-7").with("deployment.environment.name", "lab");
        assert_eq!(get(&resource, "host.name"), Some("node-7"));
        assert_eq!(get(&resource, "deployment.environment.name"), Some("lab"));
        assert_eq!(resource.attributes().len(), 5);
        assert!(resource.attributes().is_sorted());
    }
}
