//! A name is good and free, or nothing is written.

use std::collections::BTreeMap;

use super::*;

/// A project with what a new component is made from.
fn project() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let files = [RECEIVER.path, PROCESSOR.path, EXPORTER.path, "schemas/catalog.json"].map(PathBuf::from);
    let modules =
        [RECEIVER, PROCESSOR, EXPORTER].map(|model| format!("components/src/{}/mod.rs", model.section).into());
    for path in files.into_iter().chain(modules) {
        let to = folder.path().join(&path);
        fs::create_dir_all(to.parent().expect("it is in a folder")).expect("a folder");
        fs::copy(root().join(path), to).expect("a file of the project");
    }
    fs::create_dir_all(folder.path().join("docs/examples")).expect("a folder");
    folder
}

/// Every file below a folder.
fn files(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("a file").path()) {
        if entry.is_dir() {
            found.extend(files(&entry));
        } else {
            found.insert(entry.clone(), fs::read_to_string(&entry).expect("a text"));
        }
    }
    found
}

#[test]
fn a_name_that_is_bad_or_taken_writes_nothing() {
    let project = project();
    let before = files(project.path());
    let long = "a".repeat(64);
    for (model, name, why) in [
        (RECEIVER, "Thermal", "cannot name"),
        (RECEIVER, "", "cannot name"),
        (RECEIVER, "9lives", "cannot name"),
        (RECEIVER, "../up", "cannot name"),
        (RECEIVER, long.as_str(), "cannot name"),
        (RECEIVER, "mod", "a word of Rust"),
        (RECEIVER, "clock", "components/src/receivers/clock.rs"),
        (RECEIVER, "clockreceiver", "components/src/receivers/clock.rs"),
        (EXPORTER, "otlphttp", "components/src/exporters/otlp_http/mod.rs"),
        (PROCESSOR, "resourcedetection", "components/src/processors/resource_detection/mod.rs"),
    ] {
        let refused = write(project.path(), &model, name, "9.9.9").expect_err("it is refused").to_string();
        assert!(refused.contains(why), "{name}: {refused}");
    }
    assert_eq!(files(project.path()), before);
    write(project.path(), &RECEIVER, "stdout", "9.9.9").expect("a name belongs to a role");
}

#[test]
fn a_new_component_is_the_model_under_its_name() {
    for model in [RECEIVER, PROCESSOR, EXPORTER] {
        let project = project();
        let written = write(project.path(), &model, "deep_thermal", "9.9.9").expect("a free name");
        let [file, module, example] = &written[..] else { panic!("{written:?}") };
        let text = fs::read_to_string(project.path().join(file)).expect("the component");
        assert!(text.starts_with(&format!("//! The `deep_thermal` {}.\n\n", model.role)), "{text}");
        assert!(text.contains(&format!("#[{}(\"deep_thermal\", ", model.role)), "{text}");
        assert!(text.contains("since = \"9.9.9\")]\nstruct DeepThermal {"), "{text}");
        assert!(text.contains("/// Settings of the `deep_thermal` "), "{text}");
        assert!(
            !text.contains("aliases") && !text.contains(model.item) && !text.contains(&format!("\"{}\"", model.name)),
            "{text}"
        );
        let modules = fs::read_to_string(project.path().join(module)).expect("the module");
        let lines: Vec<_> = modules.lines().filter(|line| line.starts_with("mod ")).collect();
        assert!(lines.contains(&"mod deep_thermal;") && lines.is_sorted(), "{modules}");
        let example = fs::read_to_string(project.path().join(example)).expect("the example");
        assert!(example.contains("\n  deep_thermal:\n"), "{example}");
    }
}

#[test]
fn a_name_is_inserted_wherever_it_belongs() {
    for (name, expected) in [
        ("a", "//! x\n\nmod a;\nmod b;\nmod d;\n"),
        ("c", "//! x\n\nmod b;\nmod c;\nmod d;\n"),
        ("e", "//! x\n\nmod b;\nmod d;\nmod e;\n"),
    ] {
        assert_eq!(with_module("//! x\n\nmod b;\nmod d;\n", name), expected);
    }
    assert_eq!(with_struct("Clock, ClockWork, AClock, Clock", "Clock", "Sun"), "Sun, ClockWork, AClock, Sun");
}
