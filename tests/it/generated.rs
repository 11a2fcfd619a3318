//! Generated files are as the program would write them. `cargo xtask gen` rewrites them (it sets `UPDATE=1`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use tracecore::docs;
use tracecore::registry::Registry;
use tracecore::schema::{catalog, component, configuration};

/// The registry of the program, without the fixtures of the tests.
pub(crate) fn ours() -> Registry {
    let registry = Registry::linked().expect("components are linked");
    registry.only(|entry| entry.location.starts_with("components/"))
}

/// The files of a folder that end so, by name.
fn committed(folder: &Path, extension: &str) -> BTreeMap<String, String> {
    let files = fs::read_dir(folder).into_iter().flatten().map(|file| file.expect("a readable folder").path());
    let ours = files.filter(|path| path.extension().is_some_and(|of| of == extension));
    let name = |path: &Path| path.file_name().expect("a file has a name").to_string_lossy().into_owned();
    ours.map(|path| (name(&path), fs::read_to_string(&path).expect("a readable file"))).collect()
}

/// Asserts that a file of the project is as it was made.
pub(crate) fn is_as_generated(file: &str, generated: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    if env::var_os("UPDATE").is_some() {
        fs::write(&path, generated).expect("ours to write");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(committed, generated, "run `cargo xtask gen`: {file} is out of date");
}

/// Asserts that all files of a folder of the project that end so are these, and are as they were made.
fn are_as_generated(folder: &str, extension: &str, generated: &BTreeMap<String, String>) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
    if env::var_os("UPDATE").is_some() {
        fs::create_dir_all(&path).expect("ours to make");
        committed(&path, extension).keys().for_each(|name| fs::remove_file(path.join(name)).expect("ours to remove"));
        generated.iter().for_each(|(name, text)| fs::write(path.join(name), text).expect("ours to write"));
    }
    let committed = committed(&path, extension);
    assert_eq!(
        committed.keys().collect::<Vec<_>>(),
        generated.keys().collect::<Vec<_>>(),
        "run `cargo xtask gen`: in {folder} a file is missing or has lost its component"
    );
    for (name, text) in generated {
        assert_eq!(&committed[name], text, "run `cargo xtask gen`: {folder}/{name} is out of date");
    }
}

#[test]
fn schemas_are_as_generated() {
    let registry = ours();
    let components = registry.iter().map(|entry| (format!("{}.{}.json", entry.role, entry.name), component(entry)));
    let whole = [("tracecore.json", configuration(&registry)), ("catalog.json", catalog(&registry))];
    let whole = whole.map(|(name, value)| (name.to_owned(), value));
    let generated = components.chain(whole).map(|(name, value)| (name, format!("{value:#}\n"))).collect();
    are_as_generated("schemas", "json", &generated);
}

#[test]
fn pages_are_as_generated() {
    are_as_generated("docs/components", "md", &docs::pages(&ours()));
}
