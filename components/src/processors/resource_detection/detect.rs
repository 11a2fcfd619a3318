//! What can be found out about this process and its host without asking anybody: from the environment, `/proc` and `/etc`.
//!
//! Names and values are those of the semantic conventions. What a machine does not say is left out, not guessed.
//! Deliberately absent: the metadata services of clouds, and the Kubernetes API; what a node's agent needs of it, the
//! downward API puts into the environment.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io, process};

use percent_encoding::percent_decode_str;

use super::{Detector, Error};

/// The variable of the OpenTelemetry specification.
pub(super) const RESOURCE_ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// The most that is read of one file, in bytes. Each of them is a line or a page.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// An attribute and its value.
pub(super) type Found = (String, Value);

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Number(i64),
}

/// Where to look.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// Where the host's root directory is.
    pub(super) root: PathBuf,
    /// Which of [`SYSTEM_ATTRIBUTES`] are wanted.
    pub(super) system: Vec<&'static str>,
    /// The variable that names the Kubernetes node.
    pub(super) node: String,
}

/// All that the detectors find; of an attribute that several find, what the first of them says. Reads files: it may block.
pub(super) fn detect(detectors: &[Detector], places: &Places) -> Result<Vec<Found>, Error> {
    let mut found: Vec<Found> = Vec::new();
    for detector in detectors {
        let attributes = match detector {
            Detector::Env => from_environment(&variable(RESOURCE_ATTRIBUTES)?.unwrap_or_default())?,
            Detector::System => of_system(places)?,
            Detector::Process => of_process()?,
            Detector::K8snode => of_node(&places.node)?,
        };
        for (key, value) in attributes {
            if !found.iter().any(|(known, _)| *known == key) {
                found.push((key, value));
            }
        }
    }
    Ok(found)
}

/// The value of a variable; `None` if it is empty or not set.
fn variable(name: &str) -> Result<Option<String>, Error> {
    match env::var(name) {
        Ok(value) => Ok(Some(value.trim().to_owned()).filter(|value| !value.is_empty())),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(Error::Variable(name.to_owned())),
    }
}

/// Pairs `key=value` with commas between them, both percent-encoded.
fn from_environment(pairs: &str) -> Result<Vec<Found>, Error> {
    let decode = |text: &str| percent_decode_str(text.trim()).decode_utf8().ok().map(String::from);
    let pairs = pairs.split(',').enumerate().filter(|(_, pair)| !pair.trim().is_empty());
    let read = pairs.map(|(index, pair)| {
        let pair = pair.split_once('=').and_then(|(key, value)| Some((decode(key)?, decode(value)?)));
        let pair = pair.filter(|(key, _)| !key.is_empty());
        let (key, value) = pair.ok_or(Error::Pair { position: index + 1 })?;
        Ok((key, Value::Text(value)))
    });
    read.collect()
}

fn of_system(places: &Places) -> Result<Vec<Found>, Error> {
    let release = read(&places.root.join("etc/os-release"))?.unwrap_or_default();
    let mut found = Vec::new();
    for key in &places.system {
        let value = match *key {
            "host.name" => Some(host_name(&places.root)?),
            "host.id" => read(&places.root.join("etc/machine-id"))?.map(|id| id.trim().to_owned()),
            "host.arch" => Some(architecture().to_owned()),
            "os.type" => Some(env::consts::OS.to_owned()),
            "os.name" => of_release(&release, "NAME"),
            "os.version" => of_release(&release, "VERSION_ID"),
            "os.description" => of_release(&release, "PRETTY_NAME"),
            _ => unreachable!("`SYSTEM_ATTRIBUTES` has no other"),
        };
        found.extend(value.filter(|value| !value.is_empty()).map(|value| ((*key).to_owned(), Value::Text(value))));
    }
    Ok(found)
}

/// The name of the host. Where its root is mounted into a container, the kernel would tell the container's own.
fn host_name(root: &Path) -> Result<String, Error> {
    let path = if root == Path::new("/") { "proc/sys/kernel/hostname" } else { "etc/hostname" };
    let path = root.join(path);
    let missing = || Error::Read { path: path.clone(), source: io::ErrorKind::NotFound.into() };
    Ok(read(&path)?.ok_or_else(missing)?.trim().to_owned())
}

/// The architecture under the name of the semantic conventions.
fn architecture() -> &'static str {
    match env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "x86",
        "powerpc64" => "ppc64",
        other => other,
    }
}

/// A value of `/etc/os-release`, which has the form of a shell's assignments.
fn of_release(release: &str, name: &str) -> Option<String> {
    let line = release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
    Some(line.trim().trim_matches(['"', '\'']).to_owned())
}

fn of_process() -> Result<Vec<Found>, Error> {
    let path = PathBuf::from("/proc/self/exe");
    let executable = fs::read_link(&path).map_err(|source| Error::Read { path, source })?;
    let text = |text: &str| Value::Text(text.to_owned());
    let mut found = vec![("process.pid".to_owned(), Value::Number(i64::from(process::id())))];
    found.extend(executable.to_str().map(|path| ("process.executable.path".to_owned(), text(path))));
    let name = executable.file_name().and_then(|name| name.to_str());
    found.extend(name.map(|name| ("process.executable.name".to_owned(), text(name))));
    Ok(found)
}

fn of_node(name: &str) -> Result<Vec<Found>, Error> {
    let node = variable(name)?.ok_or_else(|| Error::NoNode(name.to_owned()))?;
    Ok(vec![("k8s.node.name".to_owned(), Value::Text(node))])
}

/// What a file says; `None` if there is none.
fn read(path: &Path) -> Result<Option<String>, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let mut content = String::new();
    match fs::File::open(path) {
        Ok(file) => file.take(MAX_FILE_BYTES).read_to_string(&mut content).map_err(failed)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    Ok(Some(content))
}

#[cfg(test)]
mod tests {
    use super::super::SYSTEM_ATTRIBUTES;
    use super::*;

    fn text(key: &str, value: &str) -> Found {
        (key.to_owned(), Value::Text(value.to_owned()))
    }

    fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, Places) {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("etc")).unwrap();
        for (path, content) in files {
            fs::write(directory.path().join(path), content).unwrap();
        }
        let root = directory.path().to_owned();
        let system = SYSTEM_ATTRIBUTES.iter().map(|(key, _)| *key).collect();
        (directory, Places { root, system, node: "K8S_NODE_NAME".to_owned() })
    }

    #[test]
    fn pairs_of_the_environment_are_decoded() {
        let found = from_environment("team=gpu%20infra, region = eu-west ,,empty=").unwrap();
        assert_eq!(found, [text("team", "gpu infra"), text("region", "eu-west"), text("empty", "")]);
    }

    #[test]
    fn a_pair_that_is_none_is_named_by_its_place_and_not_repeated() {
        for pairs in ["a=b,secret", "a=b,=secret", "a=b,%ff=secret"] {
            let error = from_environment(pairs).unwrap_err().to_string();
            assert!(error.contains("pair 2") && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn the_host_is_the_one_whose_root_is_mounted() {
        let release = "NAME=\"Debian GNU/Linux\"\nPRETTY_NAME='Debian GNU/Linux 12'\nVERSION_ID=12\n";
        let (_kept, places) =
            machine(&[("etc/hostname", "gpu-7\n"), ("etc/machine-id", "cafe\n"), ("etc/os-release", release)]);
        let mut found = of_system(&places).unwrap();
        found.retain(|(key, _)| key != "host.arch");
        let expected = [
            text("host.name", "gpu-7"),
            text("os.type", "linux"),
            text("host.id", "cafe"),
            text("os.name", "Debian GNU/Linux"),
            text("os.version", "12"),
            text("os.description", "Debian GNU/Linux 12"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_a_machine_does_not_say_is_left_out_but_for_its_name() {
        let (_kept, places) = machine(&[("etc/hostname", "gpu-7")]);
        let found = of_system(&places).unwrap();
        let keys: Vec<_> = found.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["host.name", "os.type", "host.arch"]);
        let (_kept, nameless) = machine(&[]);
        let error = of_system(&nameless).unwrap_err().to_string();
        assert!(error.contains("etc/hostname"), "{error}");
    }

    #[test]
    fn of_what_two_find_the_first_one_counts() {
        let (_kept, places) = machine(&[("etc/hostname", "gpu-7")]);
        let twice = detect(&[Detector::System, Detector::Process, Detector::System], &places).unwrap();
        let names = twice.iter().filter(|(key, _)| key == "host.name").count();
        assert_eq!(names, 1);
        assert!(twice.contains(&("process.pid".to_owned(), Value::Number(i64::from(process::id())))));
    }

    #[test]
    fn a_node_that_the_environment_does_not_name_is_an_error_that_says_which_variable() {
        let error = of_node("NO_SUCH_VARIABLE_OF_A_NODE").unwrap_err().to_string();
        assert!(error.contains("NO_SUCH_VARIABLE_OF_A_NODE"), "{error}");
    }
}
