//! Generated files are as the program would write them. `cargo xtask gen` rewrites them (it sets `UPDATE=1`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use tracecore::registry::Registry;
use tracecore::schema::{catalog, component, configuration};

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

/// A schema per component of `components`, by file name, that of a whole configuration, and the catalog. Fixtures of the
/// tests have none.
fn generated() -> BTreeMap<String, String> {
    let registry = ours();
    let components = registry.iter().map(|entry| (format!("{}.{}.json", entry.role, entry.name), component(entry)));
    let whole = [("tracecore.json", configuration(&registry)), ("catalog.json", catalog(&registry))];
    let whole = whole.map(|(name, value)| (name.to_owned(), value));
    components.chain(whole).map(|(name, value)| (name, format!("{value:#}\n"))).collect()
}

/// The registry of the program, without the fixtures of the tests.
pub(crate) fn ours() -> Registry {
    let registry = Registry::linked().expect("components are linked");
    registry.only(|entry| entry.location.starts_with("components/"))
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
