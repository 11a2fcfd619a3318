//! A process, seen through its events: the lines that it prints, and its end.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::{env, fs, thread};

use rustix::process::{Pid, Signal, kill_process};
use tracecore::testing::{CEILING, ceiling};
use tracecore::time::Instant;

/// The state of a listening socket in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is a folder of the repository")
}

/// An example configuration.
pub(crate) fn example(name: &str) -> String {
    root().join("docs/examples").join(name).display().to_string()
}

/// The program, of this source: Cargo builds it unless it is built already.
pub(crate) fn tracecore<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let mut command = Command::new(PROGRAM.get_or_init(build));
    command.args(arguments).env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// Cargo, in the root of the repository. What the Cargo around this test said of its package is taken away: build scripts
/// read it, and all that depends on them would be built anew.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    for (name, _) in env::vars_os() {
        let of_a_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        if name.to_str().is_some_and(of_a_package) {
            cargo.env_remove(name);
        }
    }
    cargo.current_dir(root());
    cargo
}

/// Builds the program with the features that the tests have too, so that every dependency is there already.
fn build() -> PathBuf {
    let mut cargo = cargo();
    cargo.args(["build", "--workspace", "--bin", "tracecore", "--message-format", "json"]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let built = cargo.stderr(Stdio::inherit()).output().expect("cargo can be run");
    assert!(built.status.success(), "cargo cannot build the program");
    let messages = String::from_utf8(built.stdout).expect("cargo writes JSON");
    let executable = messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().filter(|path| path.ends_with("/tracecore")).map(PathBuf::from)
    });
    executable.expect("cargo names the executable that it built")
}

/// The lines of a pipe, as they come.
pub(crate) struct Lines {
    name: &'static str,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Lines {
    fn of(name: &'static str, pipe: impl Read + Send + 'static) -> Self {
        Lines::read(name, BufReader::new(pipe).lines().map_while(Result::ok))
    }

    /// What is read from a pipe, if it is something else than lines.
    pub(crate) fn read(name: &'static str, lines: impl Iterator<Item = String> + Send + 'static) -> Self {
        let (sender, receiver) = channel();
        thread::spawn(move || {
            for line in lines {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Lines { name, lines: receiver, seen: Vec::new() }
    }

    /// The next line; `None` once the process has closed the pipe.
    pub(crate) fn next(&mut self) -> Option<String> {
        match self.lines.recv_timeout(ceiling(CEILING)) {
            Ok(line) => {
                self.seen.push(line.clone());
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("no line on {} after:\n{}", self.name, self.seen.join("\n")),
        }
    }

    /// The next line with `text` in it.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        loop {
            match self.next() {
                Some(line) if line.contains(text) => return line,
                Some(_) => {}
                None => panic!("{} ended without {text:?}:\n{}", self.name, self.seen.join("\n")),
            }
        }
    }

    /// Everything up to the end of the process.
    fn rest(mut self) -> String {
        while self.next().is_some() {}
        self.seen.join("\n")
    }
}

/// A running process. Dropping it kills it.
pub(crate) struct Process {
    child: Child,
    /// Standard output, unless the command sent it elsewhere.
    pub(crate) out: Option<Lines>,
    /// Standard error: the log.
    pub(crate) log: Option<Lines>,
}

/// What a process left.
pub(crate) struct Ended {
    /// The exit code; `None` if a signal killed it.
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) log: String,
}

impl Process {
    /// Starts the command, both of its outputs read as lines.
    pub(crate) fn start(command: &mut Command) -> Self {
        Process::start_with(command, Stdio::piped())
    }

    /// Starts the command with its standard output sent elsewhere.
    pub(crate) fn start_with(command: &mut Command, out: Stdio) -> Self {
        let mut child = command.stdout(out).stderr(Stdio::piped()).spawn().unwrap_or_else(|error| {
            panic!("cannot start {:?} ({error}): .ci/setup installs what the tests need", command.get_program())
        });
        let out = child.stdout.take().map(|pipe| Lines::of("standard output", pipe));
        let log = child.stderr.take().map(|pipe| Lines::of("the log", pipe));
        Process { child, out, log }
    }

    /// The next line on standard output with `text` in it.
    pub(crate) fn prints(&mut self, text: &str) -> String {
        self.out.as_mut().expect("standard output is read").wait_for(text)
    }

    /// The next line of the log with `text` in it.
    pub(crate) fn logs(&mut self, text: &str) -> String {
        self.log.as_mut().expect("the log is read").wait_for(text)
    }

    /// Stops reading standard output, as `head` does when it has enough.
    pub(crate) fn close_out(&mut self) {
        // The reader is inside a read: it goes once it has a line that nobody takes.
        self.out = None;
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the process has not been waited for");
    }

    /// The id of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How many TCP sockets the process listens on.
    pub(crate) fn listeners(&self) -> usize {
        let sockets =
            |table: &str| fs::read_to_string(format!("/proc/{}/net/{table}", self.child.id())).unwrap_or_default();
        let tables = sockets("tcp") + &sockets("tcp6");
        let rows = tables.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let listening = rows.filter(|row| row.get(3) == Some(&LISTEN));
        let listening: Vec<_> = listening.map(|row| format!("socket:[{}]", row[9])).collect();
        let open = fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("the process runs");
        let open = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        open.filter(|target| listening.iter().any(|socket| target.as_os_str() == socket.as_str())).count()
    }

    /// Waits for the end.
    pub(crate) fn ended(mut self) -> Ended {
        let log = self.log.take().map(Lines::rest).unwrap_or_default();
        let out = self.out.take().map(Lines::rest).unwrap_or_default();
        let status = self.child.wait().expect("a child can be waited for");
        Ended { code: status.code(), out, log }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail when the process has ended, which is well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Ended {
    Process::start(command).ended()
}

/// Asks again until `condition` gives something. Each question is an exchange with the program, so this is no busy wait.
pub(crate) fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < ceiling(CEILING), "{what} did not happen");
    }
}
