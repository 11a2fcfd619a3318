//! Whatever a configuration is, it is loaded or refused with a place, and a service of it is built without touching anything.
#![no_main]

use std::sync::OnceLock;

use components as _;
use libfuzzer_sys::fuzz_target;
use tracecore::config::{self, Config, Source};
use tracecore::registry::Registry;
use tracecore::runtime::Service;

/// What a variable of the environment holds, which no message is to repeat.
const SECRET: &str = "hunter2";

fuzz_target!(|input: &[u8]| {
    let Ok(text) = str::from_utf8(input) else { return };
    let variable = |name: &str| name.starts_with('S').then(|| SECRET.to_owned());
    let loaded = config::load(&[Source::Yaml(text.to_owned())], &[], &variable);
    let config = match loaded.and_then(|loaded| Config::from_tree(loaded.root)) {
        Ok(config) => config,
        Err(errors) => {
            let errors = errors.to_string();
            assert!(!errors.is_empty());
            assert!(text.contains(SECRET) || !errors.contains(SECRET), "{errors}");
            return;
        }
    };
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    let registry = REGISTRY.get_or_init(|| Registry::linked().expect("the names differ"));
    drop(Service::builder().build(config, registry));
});
