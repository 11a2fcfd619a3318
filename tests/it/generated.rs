//! Generated files are as the program would write them. `cargo xtask gen` rewrites them (it sets `UPDATE=1`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use tracecore::queue::DeliverySettings;
use tracecore::registry::Registry;

/// The schemas that are committed, by file name.
fn committed() -> BTreeMap<String, String> {
    let files = fs::read_dir(folder()).expect("the schemas stand beside the packages");
    let paths = files.map(|file| file.expect("a readable folder").path());
    paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| (name_of(&path), fs::read_to_string(&path).expect("a readable schema")))
        .collect()
}

fn name_of(path: &Path) -> String {
    path.file_name().expect("a file has a name").to_string_lossy().into_owned()
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../schemas")
}

/// A schema per component of `components`, by file name, and one of what the runtime adds to every exporter. Fixtures of
/// the tests have none.
fn generated() -> BTreeMap<String, String> {
    let registry = Registry::linked().expect("components are linked");
    let ours = registry.iter().filter(|entry| entry.location.starts_with("components/"));
    let components = ours.map(|entry| (format!("{}.{}.json", entry.role, entry.name), entry.settings_schema()));
    let schemas = components.chain([("exporter.json".to_owned(), DeliverySettings::schema())]);
    schemas
        .map(|(name, schema)| (name, serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n"))
        .collect()
}

#[test]
fn schemas_are_as_generated() {
    if env::var_os("UPDATE").is_some() {
        committed().into_keys().for_each(|name| fs::remove_file(folder().join(name)).expect("ours to remove"));
        generated().into_iter().for_each(|(name, text)| fs::write(folder().join(name), text).expect("ours to write"));
    }
    let (committed, generated) = (committed(), generated());
    assert_eq!(
        committed.keys().collect::<Vec<_>>(),
        generated.keys().collect::<Vec<_>>(),
        "run `cargo xtask gen`: a schema is missing or has lost its component"
    );
    for (name, text) in generated {
        assert_eq!(committed[&name], text, "run `cargo xtask gen`: schemas/{name} is out of date");
    }
}
