//! A metric that was renamed stands under both names, and says so.

use std::fs;
use std::path::Path;

use super::*;
use crate::config::{Period, Push};
use crate::exposition::{self, Format, from_prometheus};
use crate::telemetry::renames::{RENAMES, Rename, exposed};
use crate::telemetry::testing::{Backend, builder};

/// One of each kind of instrument; nothing of it has ever been renamed.
const FIXTURE: &[Rename] = &[
    Rename { old: "tracecore.receiver.sent_total", new: "tracecore.receiver.emissions_total", removal: "0.3.0" },
    Rename {
        old: "tracecore.receiver.latency_seconds",
        new: "tracecore.receiver.collection_latency_seconds",
        removal: "0.3.0",
    },
    Rename { old: "tracecore.queue.fullest", new: "tracecore.queue.depth_ratio", removal: "1.0.0" },
    Rename { old: "tracecore.config.seconds", new: "tracecore.config.apply_seconds", removal: "1.0.0" },
];

fn used(builder: SelfTelemetryBuilder) -> SelfTelemetry {
    let telemetry = builder.renames(FIXTURE).build().unwrap();
    telemetry.receiver("clock", &[]).emitted(41);
    telemetry.receiver("clock/other", &[]).observe_latency(Duration::from_millis(3));
    telemetry.service().config_applied(Duration::from_secs(7));
    telemetry
}

/// The lines about a family, on a page.
fn lines<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    page.lines()
        .filter(|line| line.trim_start_matches("# HELP ").trim_start_matches("# TYPE ").starts_with(name))
        .collect()
}

#[test]
fn renamed_metric_emits_both() {
    let telemetry = used(builder());
    let mut page = String::new();
    assert_eq!(exposition::encode(&from_prometheus(&telemetry.gather()), Format::Text, &mut page), 0);
    for Rename { old, new, removal } in FIXTURE {
        let (old, new) = (exposed(old), exposed(new));
        let (before, now) = (lines(&page, &old), lines(&page, &new));
        let renamed: Vec<_> = now.iter().map(|line| line.replace(&new, &old)).collect();
        assert!(now.len() >= 3, "{page}");
        assert_eq!(before, renamed, "the same help, type, labels, buckets and values");
        let labels = [("old", &*old), ("new", &*new), ("removal", *removal)];
        assert_eq!(value(&telemetry, "tracecore_deprecated_metric", &labels), 1.0);
    }
    assert!(lines(&page, "tracecore_receiver_sent_total").iter().any(|line| line.ends_with(" 41")), "{page}");
}

#[test]
fn without_renames_there_is_no_word_of_them() {
    let telemetry = telemetry();
    one_of_each(&telemetry);
    assert!(telemetry.gather().iter().all(|family| family.name() != "tracecore_deprecated_metric"));
}

#[tokio::test]
async fn a_renamed_metric_is_pushed_under_both_names() {
    let mut backend = Backend::start().await;
    let push = Push { endpoint: Some(backend.url.parse().unwrap()), interval: Period::minutes(600) };
    let telemetry = used(builder().push(push));
    telemetry.start();
    telemetry.stop(Instant::now() + Duration::from_secs(30)).await;
    let received = backend.next().await.metrics();
    let scopes = received.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
    let names: BTreeSet<_> = scopes.flat_map(|scope| &scope.metrics).map(|metric| metric.name.as_str()).collect();
    for Rename { old, new, .. } in FIXTURE {
        assert!(names.contains(old) && names.contains(new), "{names:?}");
    }
}

/// What is wrong with a table, given the names that there are.
fn mistakes(renames: &[Rename], names: &BTreeSet<String>) -> Vec<&'static str> {
    let mut olds = BTreeSet::new();
    let mut wrong = Vec::new();
    for Rename { old, new, removal } in renames {
        let release = removal.split('.').map(str::parse::<u32>).filter(Result::is_ok).count() == 3;
        if names.contains(&exposed(old)) || !names.contains(&exposed(new)) || !olds.insert(*old) || !release {
            wrong.push(*old);
        }
    }
    wrong
}

#[test]
fn a_renamed_metric_is_there_and_its_old_name_is_free() {
    let names: BTreeSet<_> = telemetry().0.instruments.made().into_keys().collect();
    assert_eq!(mistakes(RENAMES, &names), [""; 0]);
    assert_eq!(mistakes(FIXTURE, &names), [""; 0]);
    let [first, ..] = FIXTURE else { panic!("it has some") };
    let wrong = [
        Rename { old: "tracecore.queue.depth_ratio", ..*first },
        Rename { new: "tracecore.nothing", ..*first },
        Rename { removal: "soon", ..*first },
    ];
    wrong.iter().for_each(|wrong| assert_eq!(mistakes(&[*wrong], &names), [wrong.old]));
    assert_eq!(mistakes(&[*first, *first], &names), [first.old]);
}

#[test]
fn the_page_of_deprecations_has_the_table() {
    const HEAD: &str = "| Old name | New name | Gone in |\n| --- | --- | --- |\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/DEPRECATION.md");
    let text = fs::read_to_string(path).unwrap();
    let (_, rows) = text.split_once(HEAD).expect("the page has the table");
    let rows: Vec<_> = rows.lines().take_while(|line| line.starts_with('|')).map(str::to_owned).collect();
    let row =
        |rename: &Rename| format!("| `{}` | `{}` | {} |", exposed(rename.old), exposed(rename.new), rename.removal);
    assert_eq!(rows, RENAMES.iter().map(row).collect::<Vec<_>>());
}
