//! What an editor says of a configuration that begins with the line of the documentation: a real yaml-language-server, asked
//! as Visual Studio Code asks it.

use std::fs;
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Read, Write, pipe};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{Lines, Process, root, run, tracecore};

/// What an author has written so far.
const WRITTEN: &str = "\
receivers:
  clock/fast:
    interval: 1s
  clock/slow:
    intervall: 5s
exporters:
  stdout:
    ##
service:
  pipelines:
    metrics:
      receivers: [clock/fast, clock/slow]
      exporters: [stdout]
";

/// Where the author is about to write on.
const CURSOR: &str = "##";

/// The server that `.ci/setup` installed.
fn server() -> PathBuf {
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let folder = target.parent().expect("it is in cargo's target folder").join("editor");
    let server = folder.join("node_modules/yaml-language-server/bin/yaml-language-server");
    assert!(server.exists(), "there is no {}: .ci/setup installs it", server.display());
    server
}

/// The line of a page that tells editors of the schema.
fn modeline(page: &str) -> String {
    let text = fs::read_to_string(root().join(page)).expect("a page");
    let line = text.lines().find(|line| line.starts_with("# yaml-language-server:"));
    line.unwrap_or_else(|| panic!("{page} shows the line")).to_owned()
}

/// A server with one open file.
struct Editor {
    _process: Process,
    to: PipeWriter,
    from: Lines,
    asked: u64,
    uri: String,
    text: String,
}

impl Editor {
    /// Opens `text` in the folder.
    fn open(folder: &TempDir, text: &str) -> Self {
        let (input, to) = pipe().expect("a pipe");
        let (from, output) = pipe().expect("a pipe");
        let mut command = Command::new("node");
        command.arg(server()).arg("--stdio").stdin(input);
        let process = Process::start_with(&mut command, Stdio::from(output));
        let uri = format!("file://{}", folder.path().join("my.yaml").display());
        let from = Lines::read("the answers", messages(from));
        let mut editor = Editor { _process: process, to, from, asked: 0, uri, text: text.replace(CURSOR, "") };
        editor.ask("initialize", &json!({ "processId": null, "rootUri": null, "capabilities": {} }));
        editor.tell("initialized", &json!({}));
        let document = json!({ "uri": editor.uri, "languageId": "yaml", "version": 1, "text": editor.text });
        editor.tell("textDocument/didOpen", &json!({ "textDocument": document }));
        editor
    }

    fn send(&mut self, message: &Value) {
        let message = message.to_string();
        write!(self.to, "Content-Length: {}\r\n\r\n{message}", message.len()).expect("the server reads");
    }

    fn tell(&mut self, method: &str, params: &Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    /// The answer to a request.
    fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.asked += 1;
        let id = Value::from(self.asked);
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        loop {
            let mut message = self.heard();
            if message.get("id") == Some(&id) {
                return message["result"].take();
            }
        }
    }

    /// The next message that is not a question. Those are answered as an editor without settings of its own does.
    fn heard(&mut self) -> Value {
        loop {
            let message = self.from.next().expect("the server runs");
            let message: Value = serde_json::from_str(&message).expect("messages are JSON");
            let (Some(id), Some(_)) = (message.get("id"), message.get("method")) else { return message };
            let items = message["params"]["items"].as_array().map(Vec::as_slice).unwrap_or_default();
            // It would look for a schema on the network.
            let without_store = json!({ "schemaStore": { "enable": false } });
            let settings =
                items.iter().map(|item| if item["section"] == "yaml" { &without_store } else { &Value::Null });
            let settings = settings.collect::<Vec<_>>();
            self.send(&json!({ "jsonrpc": "2.0", "id": id, "result": settings }));
        }
    }

    /// What is wrong with the file.
    fn diagnostics(&mut self) -> Vec<Value> {
        loop {
            let mut message = self.heard();
            if message["method"] == "textDocument/publishDiagnostics" && message["params"]["uri"] == *self.uri {
                let Value::Array(diagnostics) = message["params"]["diagnostics"].take() else { panic!("{message}") };
                return diagnostics;
            }
        }
    }

    /// The answer about a place in the file.
    fn ask_at(&mut self, method: &str, line: usize, column: usize) -> Value {
        let position = json!({ "line": line, "character": column });
        self.ask(method, &json!({ "textDocument": { "uri": self.uri }, "position": position }))
    }

    /// The number of the line that holds this.
    fn line(&self, holds: &str) -> usize {
        self.text.lines().position(|line| line.contains(holds)).expect("it is written")
    }
}

/// The messages on a pipe, each behind its headers:
/// <https://microsoft.github.io/language-server-protocol/specifications/lsp/3.17/specification/#baseProtocol>.
fn messages(pipe: PipeReader) -> impl Iterator<Item = String> {
    let mut pipe = BufReader::new(pipe);
    std::iter::from_fn(move || {
        let mut length = 0;
        loop {
            let mut header = String::new();
            pipe.read_line(&mut header).ok().filter(|read| *read > 0)?;
            match header.trim_end().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("Content-Length") => length = value.parse().ok()?,
                Some(_) => {}
                None => break,
            }
        }
        let mut message = vec![0; length];
        pipe.read_exact(&mut message).ok()?;
        String::from_utf8(message).ok()
    })
}

#[test]
fn an_editor_completes_explains_and_checks_a_configuration() {
    let line = modeline("docs/CONFIGURATION.md");
    assert_eq!(modeline("README.md"), line);
    let folder = TempDir::new().expect("a folder");
    let schema = run(&mut tracecore(["schema"])).out;
    let (_, name) = line.split_once("$schema=./").expect("the schema stands beside the configuration");
    fs::write(folder.path().join(name), schema).expect("the folder is ours");
    let mut editor = Editor::open(&folder, &format!("{line}\n{WRITTEN}"));

    let misspelt = editor.line("intervall");
    let diagnostics = editor.diagnostics();
    let [diagnostic] = &diagnostics[..] else { panic!("one mistake: {diagnostics:#?}") };
    assert_eq!(diagnostic["range"]["start"], json!({ "line": misspelt, "character": 4 }), "{diagnostic:#}");
    assert!(diagnostic["message"].as_str().is_some_and(|message| message.contains("intervall")), "{diagnostic:#}");

    let hover = editor.ask_at("textDocument/hover", editor.line("interval: 1s"), 6);
    let explained = hover["contents"]["value"].as_str().unwrap_or_default();
    assert!(explained.contains("Time between two ticks."), "{hover:#}");
    assert!(explained.contains("500ms"), "an example of a time: {hover:#}");

    let completions = editor.ask_at("textDocument/completion", editor.line("stdout:") + 1, 4);
    let items = completions["items"].as_array().or(completions.as_array()).expect("completions");
    let of = |label: &str| items.iter().find(|item| item["label"] == label);
    assert!(of("format").is_some() && of("timeout").is_some(), "{completions:#}");
    let queue = of("sending_queue").expect("what the runtime adds");
    assert!(queue["documentation"].to_string().contains("The queue before the exporter."), "{queue:#}");
    assert!(of("interval").is_none(), "a setting of another component: {completions:#}");
}
