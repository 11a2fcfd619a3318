//! Whatever a configuration is, it is loaded or refused with a place, and a service of it is built without touching anything.
#![no_main]

use std::sync::OnceLock;

use components as _;
use libfuzzer_sys::fuzz_target;
use tracecore::config::{self, ConfigErrors, Severity, Show, Source};
use tracecore::registry::Registry;
use tracecore::runtime::{BuildError, Service};
use tracecore::schema;

/// What a variable of the environment holds, which no message is to repeat.
const SECRET: &str = "hunter2";

fuzz_target!(|input: &[u8]| {
    let Ok(text) = str::from_utf8(input) else { return };
    let variable = |name: &str| name.starts_with('S').then(|| SECRET.to_owned());
    let loaded = match config::load(&[Source::Yaml(text.to_owned())], &[], &variable) {
        Ok(loaded) => loaded,
        Err(errors) => return refused(text, &errors),
    };
    static PROGRAM: OnceLock<(Registry, serde_json::Value)> = OnceLock::new();
    let (registry, schema) = PROGRAM.get_or_init(|| {
        let registry = Registry::linked().expect("the names differ");
        let schema = schema::configuration(&registry);
        (registry, schema)
    });
    let show = Show { defaults: true, origins: true, secrets: false };
    drop(config::resolved(loaded.root(), schema, show));
    if let Err(BuildError::Config(errors)) = Service::builder().build_loaded(loaded, registry) {
        refused(text, &errors);
    }
});

/// What is said of it: at least one error, each problem once, and no value that was fetched.
fn refused(text: &str, errors: &ConfigErrors) {
    assert!(errors.0.iter().any(|problem| problem.severity == Severity::Error), "{errors}");
    let twice = |(at, problem): (usize, _)| errors.0[..at].contains(problem);
    assert!(!errors.0.iter().enumerate().any(twice), "{errors}");
    let said = format!("{errors:?}");
    assert!(text.contains(SECRET) || !said.contains(SECRET), "{said}");
}
