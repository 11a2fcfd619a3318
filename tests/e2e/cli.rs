//! What the program says on the command line, and how it ends.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tracecore::testing::ceiling;
use tracecore::time::Instant;

use crate::process::{Ended, Process, example, root, run, tracecore};

fn validate(arguments: &[&str]) -> Ended {
    run(&mut tracecore(["validate"].iter().chain(arguments)))
}

/// A configuration that is refused: exit code 2, nothing on standard output; what is said on standard error.
fn refused(arguments: &[&str]) -> String {
    let Ended { code, out, log } = validate(arguments);
    assert_eq!((code, out.as_str()), (Some(2), ""), "{log}");
    log
}

#[test]
fn clock_to_stdout() {
    let mut command = tracecore(["collect", "--config", &example("clock.yaml")]);
    let start = Instant::now();
    let mut process = Process::start(&mut command);
    for tick in 1..=3 {
        process.prints(&format!("clock.ticks {tick} {{tick}}"));
    }
    // The third tick is due 200 ms after the first.
    assert!(start.elapsed() < ceiling(Duration::from_secs(1)), "the first lines took {:?}", start.elapsed());
}

/// One request of a single span, shown by a `debug` exporter with these settings.
fn debugging(folder: &Path, settings: &str) -> Process {
    let config = folder.join("debug.yaml");
    let text = format!(
        "receivers:\n  generator: {{ requests: 1, items_per_request: 1, attributes: 1 }}
exporters:\n  debug: {{ {settings} }}
service:\n  pipelines:\n    traces:\n      receivers: [generator]\n      exporters: [debug]\n"
    );
    fs::write(&config, text).expect("a file");
    Process::start(&mut tracecore(["collect", "--config", &config.display().to_string()]))
}

#[test]
fn debug_shows_in_the_log_or_on_standard_output_as_much_as_it_is_told_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut process = debugging(folder.path(), "");
    process.logs("traces component=debug resource_spans=1 spans=1");
    drop(process);

    let mut process = debugging(folder.path(), "verbosity: normal, use_internal_logger: false");
    process.prints("traces: resource spans 1, spans 1");
    process.prints("app.attribute.0=");
    drop(process);

    let mut process = debugging(folder.path(), "verbosity: detailed");
    process.logs("traces component=debug resource_spans=1 spans=1");
    process.logs("ResourceSpans #0");
    process.logs("     -> service.name: Str(generator)");
    process.logs("    Kind           : Server");
}

#[test]
fn the_log_says_what_the_batch_processor_of_a_collector_file_has_become() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("collector.yaml");
    let text = "receivers:\n  generator: { requests: 1 }
processors:\n  batch: { timeout: 50ms, send_batch_size: 100, send_batch_max_size: 200, metadata_keys: [tenant] }
exporters:\n  debug:
service:\n  pipelines:\n    traces:\n      receivers: [generator]\n      processors: [batch]\n      exporters: [debug]\n";
    fs::write(&config, text).expect("a file");
    let config = config.display().to_string();
    let mut process = Process::start(&mut tracecore(["collect", "--config", &config]));
    let line = process.logs("WARN");
    let mapped = "sending_queue: {batch: {flush_timeout: 50ms, min_size: 100, max_size: 200, \
                  partition: {\"metadata_keys\": [tenant]}, sizer: items}}";
    assert!(line.contains(&format!("{config}:11:20")), "{line}");
    assert!(line.contains("service.pipelines.traces.processors"), "{line}");
    assert!(line.contains("`batch` is done by the queue of the exporter") && line.contains(mapped), "{line}");
    process.logs("traces component=debug resource_spans=1");
}

#[test]
fn ends_well_when_its_reader_has_gone() {
    let mut process = Process::start(&mut tracecore(["collect", "--config", &example("clock.yaml")]));
    process.prints("clock.ticks 1 ");
    process.close_out();
    let ended = process.ended();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(ended.log.contains("the reader has gone"), "{}", ended.log);
}

#[test]
fn validate_counts_what_is_wired() {
    let Ended { code, out, .. } = validate(&["--config", &example("clock.yaml")]);
    assert_eq!(code, Some(0));
    assert_eq!(out, "config valid: 1 pipeline(s)\nmetrics/primary: receivers=1 processors=0 exporters=1");
}

#[test]
fn a_bad_path_is_named_with_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let bad = folder.path().join("bad.yaml");
    fs::write(&bad, "telemetry:\n  enabled: true\n  paths:\n    metrics: metrics\n").expect("a file");
    let bad = bad.display().to_string();
    let log = refused(&["--config", &example("clock.yaml"), "--config", &bad]);
    let expected = format!("{bad}:4:14: telemetry.paths.metrics: must be an absolute path starting with '/'");
    assert!(log.contains(&expected), "{log}");
}

#[test]
fn a_disabled_block_is_not_looked_at() {
    let clock = example("clock.yaml");
    let template = "yaml:telemetry: {enabled: false, listen: nonsense, paths: {metrics: metrics}}";
    assert_eq!(validate(&["--config", &clock, "--config", template]).code, Some(0));
}

#[test]
fn an_unknown_key_is_refused_with_the_known_one() {
    let log = refused(&["--config", &example("clock.yaml"), "--set", "receivers.clock.intervall=1s"]);
    assert!(log.contains("receivers.clock.intervall") && log.contains("`interval`"), "{log}");
}

#[test]
fn an_unknown_section_says_what_there_is_instead() {
    let log = refused(&["--config", &example("clock.yaml"), "--config", "yaml:connectors: {forward: }"]);
    assert!(log.contains("yaml:1:14: connectors.forward: this program has no connectors"), "{log}");
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let sets = ["--set", "receivers.clock.interval=0s", "--set", "exporters.stdout.format=xml"];
    let log = refused(&[&["--config", &example("clock.yaml")], &sets[..]].concat());
    assert!(log.contains("receivers.clock.interval") && log.contains("exporters.stdout.format"), "{log}");
}

#[test]
fn later_sources_win_and_set_wins_over_all() {
    let configs = ["--config", &example("clock.yaml"), "--config", "yaml:receivers::clock::interval: nonsense"];
    assert!(refused(&configs).contains("receivers.clock.interval"));
    let set = ["--set", "receivers.clock.interval=1h"];
    let mut process = Process::start(&mut tracecore([&["collect"], &configs[..], &set[..]].concat()));
    process.prints("clock.ticks 1 ");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let log = refused(&["--config", "/no/such/file.yaml"]);
    assert!(log.contains("/no/such/file.yaml: cannot read the file"), "{log}");
}

#[test]
fn wrong_arguments_are_exit_code_2() {
    let ended = run(&mut tracecore(["gather"]));
    assert_eq!(ended.code, Some(2));
    assert!(ended.log.contains("Usage: tracecore"), "{}", ended.log);
}

#[test]
fn components_lists_what_is_linked() {
    let Ended { code, out, .. } = run(&mut tracecore(["components"]));
    assert_eq!(code, Some(0));
    let (receivers, exporters) = out.split_once("processors:").expect("the three roles, in order");
    assert!(receivers.starts_with("receivers:\n") && receivers.contains("- name: clock\n"), "{out}");
    assert!(exporters.contains("exporters:\n") && exporters.contains("- name: stdout\n"), "{out}");
}

#[test]
fn docs_prints_the_pages_that_are_committed() {
    let folder = tempfile::tempdir().expect("a folder");
    let pages = folder.path().join("made/of/declarations");
    let written = run(&mut tracecore(["docs", "--output", &pages.display().to_string()]));
    assert_eq!(written.code, Some(0), "{}", written.log);
    let committed = root().join("docs/components");
    let files =
        fs::read_dir(&committed).expect("the pages are committed").map(|file| file.expect("a file").file_name());
    let mut pairs = files.map(|name| [&pages, &committed].map(|folder| fs::read_to_string(folder.join(&name)).ok()));
    assert!(pairs.all(|[written, committed]| written == committed), "the program writes what `cargo xtask gen` does");
    let page = fs::read_to_string(committed.join("receiver.otlp.md")).expect("a page");
    for name in ["receiver/otlp", "receiver/otlpreceiver"] {
        let printed = run(&mut tracecore(["docs", name]));
        assert_eq!((printed.code, printed.out.as_str()), (Some(0), page.trim_end()), "{}", printed.log);
    }
    let check = |folder: Option<&Path>| run(tracecore(["docs", "--check"]).args(folder).current_dir(root()));
    assert_eq!((check(None).code, check(Some(&pages)).code), (Some(0), Some(0)));
    fs::write(pages.join("receiver.otlp.md"), "It was so once.").expect("a file");
    fs::rename(pages.join("errors.md"), pages.join("receiver.gone.md")).expect("a file");
    let stale = check(Some(&pages));
    let differ: Vec<_> = stale.log.lines().map(|line| line.split(' ').nth(1).expect("a path")).collect();
    let wanted =
        ["errors.md", "receiver.otlp.md", "receiver.gone.md"].map(|name| pages.join(name).display().to_string());
    assert_eq!((stale.code, differ), (Some(1), wanted.iter().map(String::as_str).collect()), "{}", stale.log);
    let taken = folder.path().join("a-file");
    fs::write(&taken, "").expect("a file");
    let refused = run(&mut tracecore(["docs", "--output", &taken.display().to_string()]));
    assert_eq!(refused.code, Some(1));
    assert!(refused.log.contains(&format!("cannot write {}", taken.display())), "{}", refused.log);
    let unknown = run(&mut tracecore(["docs", "receiver/otpl"]));
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.log.contains("no component \"receiver/otpl\""), "{}", unknown.log);
}

#[test]
fn version_tells_what_a_bug_report_needs() {
    let Ended { code, out, .. } = run(&mut tracecore(["--version"]));
    assert_eq!(code, Some(0));
    assert!(out.starts_with(concat!("tracecore ", env!("CARGO_PKG_VERSION"), "\n")), "{out}");
    for key in ["revision=", "date=", "rustc=rustc 1.", "otel-sdk-metric=v0", "otel-prom-exporter=v0", "otel-proto=v0"]
    {
        assert!(out.lines().any(|line| line.starts_with(key)), "{key} in {out}");
    }
}

#[test]
fn receivers_are_listed_a_line_each() {
    let Ended { code, out, .. } = run(&mut tracecore(["receivers", "list"]));
    assert_eq!(code, Some(0));
    let mut rows = out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    assert_eq!(rows.next(), Some(vec!["NAME", "STABILITY", "SIGNALS", "SUMMARY"]));
    let rows: Vec<_> = rows.collect();
    let otlp = rows.iter().find(|row| row[0] == "otlp").expect("a row of it");
    assert_eq!(otlp[1..4], ["development", "traces,metrics,logs", "Takes"], "{out}");
    assert!(rows.iter().all(|row| row[0] != "stdout"), "{out}");
    assert_eq!(
        rows.len(),
        run(&mut tracecore(["components"]))
            .out
            .split("processors:")
            .next()
            .map_or(0, |receivers| { receivers.matches("- name: ").count() })
    );
}

/// What `--help` of these words says.
fn help(words: &[&str]) -> String {
    let Ended { code, out, .. } = run(&mut tracecore(words.iter().chain(&["--help"])));
    assert_eq!(code, Some(0), "{words:?}");
    out
}

/// Every command, from the help of the program.
fn commands() -> Vec<String> {
    let help = help(&[]);
    let (_, commands) = help.split_once("Commands:\n").expect("the commands");
    let commands = commands.lines().take_while(|line| !line.is_empty());
    let commands: Vec<_> = commands.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
    assert!(commands.len() >= 9, "{help}");
    commands
}

#[test]
fn every_example_of_a_help_text_is_taken() {
    let pages = commands().into_iter().map(|command| help(&[&command])).chain([help(&[])]);
    let mut examples = 0;
    for page in pages {
        let (_, below) = page.split_once("Examples:\n").unwrap_or_default();
        let lines = below.lines().take_while(|line| !line.is_empty());
        // Help ends the reading of arguments.
        let lines = lines.filter(|line| !line.contains("--help"));
        for line in lines.filter_map(|line| line.trim_start().strip_prefix("tracecore ")) {
            // What an example does stands behind it, two spaces away; what follows `>` or `|` is the shell's.
            let words = line.split("  ").next().unwrap_or_default().split(['>', '|']).next().unwrap_or_default();
            let words: Vec<_> = words.split_whitespace().collect();
            // Taken until the last argument, which no command knows.
            let ended = run(&mut tracecore(words.iter().chain(&["--no-such-argument"])));
            assert_eq!(ended.code, Some(2), "{line}");
            assert!(ended.log.contains("unexpected argument '--no-such-argument'"), "{line}: {}", ended.log);
            examples += 1;
        }
    }
    assert!(examples > 20, "{examples}");
}

#[test]
fn help_says_what_exit_codes_mean() {
    assert!(help(&[]).contains("Exit codes:\n  0  done"));
    for command in ["collect", "validate", "docs", "version"] {
        let help = help(&[command]);
        assert!(help.contains("Examples:\n") && help.contains("Exit codes:\n  0"), "{help}");
    }
    // A short text fits on a screen.
    let short = run(&mut tracecore(["-h"])).out;
    assert!(short.lines().count() < 25 && !short.contains("Exit codes"), "{short}");
}

#[test]
fn a_shell_completes_what_the_program_takes() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = folder.path().join("tracecore.bash");
    fs::write(&script, run(&mut tracecore(["completions", "bash"])).out).expect("the folder is ours");
    let complete = "source \"$0\"; COMP_WORDS=(tracecore validate --e) COMP_CWORD=2; _tracecore tracecore --e validate; \
                    echo \"${COMPREPLY[@]}\"";
    let Ended { code, out, log } = run(Command::new("bash").args(["-c", complete]).arg(&script));
    assert_eq!((code, out.trim()), (Some(0), "--explain"), "{log}");
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        let script = run(&mut tracecore(["completions", shell])).out;
        assert!(commands().iter().all(|command| script.contains(command.as_str())), "{shell}: {script}");
    }
}

#[test]
fn there_is_a_manual_page_of_the_program_and_of_each_command() {
    let page = |words: &[&str]| run(&mut tracecore(["man"].iter().chain(words)));
    let of_program = page(&[]).out;
    assert!(of_program.contains(".TH tracecore 1") && of_program.contains("Exit codes:"), "{of_program}");
    for command in commands() {
        let Ended { code, out, .. } = page(&[&command]);
        assert_eq!(code, Some(0), "{command}");
        let title = format!(".TH tracecore-{command} 1").replace('-', "\\-");
        assert!(out.replace("\\-", "-").contains(&title.replace("\\-", "-")), "{title} in {out}");
        assert!(of_program.replace("\\-", "-").contains(&format!("tracecore-{command}(1)")), "{of_program}");
    }
    let Ended { code, log, .. } = page(&["validat"]);
    assert_eq!(code, Some(2));
    assert!(log.contains("there is no command \"validat\""), "{log}");
}
