//! The whole receiver on a host made of files, in a service with paused time.

use std::cell::RefCell;
use std::fs;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tracecore::config::{self, Source};
use tracecore::exposition::{self, Format};
use tracecore::registry::Registry;
use tracecore::runtime::{Running, Service};
use tracecore::time::Clock;

use super::*;

/// A host with a file for everything that is read, and when it booted.
const FILES: [(&str, &str); 19] = [
    ("proc/stat", "cpu  100 20 300 4000 50 6 7 8 0 0\ncpu0 1\ncpu1 1\nprocesses 17863\nbtime 1000000\n"),
    (
        "proc/meminfo",
        "MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 600 kB\nBuffers: 10 kB\nCached: 500 kB\nShmem: 5 kB\n\
         SReclaimable: 3 kB\nSUnreclaim: 4 kB\nHugePages_Total: 8\nHugePages_Free: 6\nHugePages_Rsvd: 1\n\
         HugePages_Surp: 0\nHugepagesize: 2048 kB\n",
    ),
    ("proc/loadavg", "1.87 1.42 0.63 2/97 17862\n"),
    ("proc/uptime", "2308.92 4010.30\n"),
    (
        "proc/diskstats",
        "   8 0 sda 10 1 100 1500 20 2 200 2500 3 4000 9999 0 0 0 0 0 0\n\
         \x20  7 0 loop0 1 1 1 1 1 1 1 1 1 1 1\n",
    ),
    (
        "proc/1/net/dev",
        "Inter-|   Receive |  Transmit\n face |bytes packets|bytes packets\n\
         eth0: 1000 10 1 2 0 0 0 0 2000 20 3 4 0 0 0 0\nveth1: 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n",
    ),
    ("proc/1/net/snmp", "Tcp: ActiveOpens CurrEstab\nTcp: 9 42\n"),
    ("proc/1/net/sockstat", "TCP: inuse 5 orphan 0 tw 47 alloc 1 mem 0\n"),
    ("proc/1/mountinfo", "27 1 8:1 / / rw - ext4 /dev/sda1 rw\n28 1 0:5 / /proc rw - proc proc rw\n"),
    ("proc/vmstat", "pgfault 100\npgmajfault 7\npswpin 1\npswpout 2\n"),
    ("proc/swaps", "Filename Type Size Used Priority\n/dev/sda2 partition 1000 250 -2\n"),
    ("proc/2/stat", ""),
    ("proc/sys/kernel/pid_max", "4194304\n"),
    ("proc/sys/kernel/threads-max", "192000\n"),
    ("sys/class/block/sda/size", "1024\n"),
    ("sys/devices/system/cpu/online", "0-1\n"),
    ("sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "0-1\n"),
    ("sys/devices/system/cpu/cpu1/topology/thread_siblings_list", "0-1\n"),
    ("sys/class/block/loop0/size", "0\n"),
];

/// What one collection of [`FILES`] gives, but for the real filesystem's sizes.
const EXPECTED: &str = "\
system.cpu.load_average.15m 0.63 {thread}
system.cpu.load_average.1m 1.87 {thread}
system.cpu.load_average.5m 1.42 {thread}
system.cpu.logical.count 2 {cpu}
system.cpu.physical.count 1 {cpu}
system.cpu.time{cpu.mode=\"idle\"} 40 s
system.cpu.time{cpu.mode=\"interrupt\"} 0.13 s
system.cpu.time{cpu.mode=\"iowait\"} 0.5 s
system.cpu.time{cpu.mode=\"nice\"} 0.2 s
system.cpu.time{cpu.mode=\"steal\"} 0.08 s
system.cpu.time{cpu.mode=\"system\"} 3 s
system.cpu.time{cpu.mode=\"user\"} 1 s
system.disk.io_time{system.device=\"sda\"} 4 s
system.disk.io{system.device=\"sda\",disk.io.direction=\"read\"} 51200 By
system.disk.io{system.device=\"sda\",disk.io.direction=\"write\"} 102400 By
system.disk.limit{system.device=\"sda\"} 524288 By
system.disk.merged{system.device=\"sda\",disk.io.direction=\"read\"} 1 {operation}
system.disk.merged{system.device=\"sda\",disk.io.direction=\"write\"} 2 {operation}
system.disk.operation_time{system.device=\"sda\",disk.io.direction=\"read\"} 1.5 s
system.disk.operation_time{system.device=\"sda\",disk.io.direction=\"write\"} 2.5 s
system.disk.operations{system.device=\"sda\",disk.io.direction=\"read\"} 10 {operation}
system.disk.operations{system.device=\"sda\",disk.io.direction=\"write\"} 20 {operation}
system.memory.limit 1024000 By
system.memory.linux.available 614400 By
system.memory.linux.hugepages.limit 8 {page}
system.memory.linux.hugepages.page_size 2097152 By
system.memory.linux.hugepages.reserved 1 {page}
system.memory.linux.hugepages.surplus 0 {page}
system.memory.linux.hugepages.usage{system.memory.linux.hugepages.state=\"free\"} 6 {page}
system.memory.linux.hugepages.usage{system.memory.linux.hugepages.state=\"used\"} 2 {page}
system.memory.linux.shared 5120 By
system.memory.linux.slab.usage{system.memory.linux.slab.state=\"reclaimable\"} 3072 By
system.memory.linux.slab.usage{system.memory.linux.slab.state=\"unreclaimable\"} 4096 By
system.memory.usage{system.memory.state=\"buffers\"} 10240 By
system.memory.usage{system.memory.state=\"cached\"} 512000 By
system.memory.usage{system.memory.state=\"free\"} 102400 By
system.memory.usage{system.memory.state=\"used\"} 409600 By
system.memory.utilization{system.memory.state=\"buffers\"} 0.01 1
system.memory.utilization{system.memory.state=\"cached\"} 0.5 1
system.memory.utilization{system.memory.state=\"free\"} 0.1 1
system.memory.utilization{system.memory.state=\"used\"} 0.4 1
system.network.connection.count{network.transport=\"tcp\",network.connection.state=\"established\"} 42 {connection}
system.network.connection.count{network.transport=\"tcp\",network.connection.state=\"time_wait\"} 47 {connection}
system.network.errors{network.interface.name=\"eth0\",network.io.direction=\"receive\"} 1 {error}
system.network.errors{network.interface.name=\"eth0\",network.io.direction=\"transmit\"} 3 {error}
system.network.io{network.interface.name=\"eth0\",network.io.direction=\"receive\"} 1000 By
system.network.io{network.interface.name=\"eth0\",network.io.direction=\"transmit\"} 2000 By
system.network.packet.count{system.device=\"eth0\",network.io.direction=\"receive\"} 10 {packet}
system.network.packet.count{system.device=\"eth0\",network.io.direction=\"transmit\"} 20 {packet}
system.network.packet.dropped{network.interface.name=\"eth0\",network.io.direction=\"receive\"} 2 {packet}
system.network.packet.dropped{network.interface.name=\"eth0\",network.io.direction=\"transmit\"} 4 {packet}
system.paging.faults{system.paging.fault.type=\"major\"} 7 {fault}
system.paging.faults{system.paging.fault.type=\"minor\"} 93 {fault}
system.paging.operations{system.paging.fault.type=\"major\",system.paging.direction=\"in\"} 1 {operation}
system.paging.operations{system.paging.fault.type=\"major\",system.paging.direction=\"out\"} 2 {operation}
system.paging.usage{system.device=\"/dev/sda2\",system.paging.state=\"free\"} 768000 By
system.paging.usage{system.device=\"/dev/sda2\",system.paging.state=\"used\"} 256000 By
system.paging.utilization{system.device=\"/dev/sda2\",system.paging.state=\"free\"} 0.75 1
system.paging.utilization{system.device=\"/dev/sda2\",system.paging.state=\"used\"} 0.25 1
system.process.count 2 {process}
system.process.created 17863 {process}
system.process.limit 192000 {thread}
system.uptime 2308.92 s
";

/// A host whose root directory is a temporary one.
struct FakeHost(tempfile::TempDir);

impl FakeHost {
    fn new() -> Self {
        let host = FakeHost(tempfile::tempdir().unwrap());
        for (path, content) in FILES {
            host.write(path, content);
        }
        host
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn remove(&self, path: &str) {
        fs::remove_file(self.0.path().join(path)).unwrap();
    }

    /// Starts the receiver on this host, with these scrapers.
    async fn start(&self, scrapers: &str) -> Collections {
        start(&format!("root_path: {}, {scrapers}", self.0.path().display())).await
    }
}

thread_local! {
    /// Where the next exporter of this thread sends batches to: each test has a thread to itself.
    static CAPTURED: RefCell<Option<UnboundedSender<Batch>>> = const { RefCell::new(None) };
}

/// Hands batches to the test.
#[exporter("captured", signals = [Metrics])]
struct Captured(UnboundedSender<Batch>);

impl Exporter for Captured {
    fn new(_: NoConfig) -> Result<Self, Never> {
        Ok(Captured(CAPTURED.with_borrow(Option::clone).expect("the test has made the channel")))
    }

    async fn export(&self, batch: &Batch, _: &Cx<Self>) -> Result<(), Never> {
        // A test that has seen enough hears no more.
        let _ = self.0.send(batch.clone());
        Ok(())
    }
}

/// A running receiver.
struct Collections {
    running: Running,
    batches: UnboundedReceiver<Batch>,
}

async fn start(settings: &str) -> Collections {
    let (sender, batches) = unbounded_channel();
    CAPTURED.set(Some(sender));
    let running = build(settings).unwrap().start().await.unwrap();
    Collections { running, batches }
}

fn build(settings: &str) -> Result<Service, String> {
    let yaml = format!(
        "{{receivers: {{hostmetrics: {{{settings}}}}}, exporters: {{captured: }}, \
         service: {{pipelines: {{metrics: {{receivers: [hostmetrics], exporters: [captured]}}}}}}}}"
    );
    let loaded = config::load(&[Source::Yaml(yaml)], &[], &|_: &str| None).map_err(|errors| errors.to_string())?;
    let config = loaded.config().map_err(|errors| errors.to_string())?;
    let clock = Clock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000));
    let registry = Registry::linked().map_err(|error| error.to_string())?;
    Service::builder().clock(clock).build(config, &registry).map_err(|error| error.to_string())
}

impl Collections {
    async fn batch(&mut self) -> Batch {
        self.batches.recv().await.expect("the exporter runs")
    }

    /// The series of the next collection, without times, sorted.
    async fn series(&mut self) -> Vec<String> {
        let text = self.batch().await.to_text(TextFormat::Lines);
        let mut series: Vec<String> =
            text.lines().map(|line| line.split_once(' ').expect("a time comes first").1.to_owned()).collect();
        series.sort();
        series
    }

    /// The next collection as OTLP JSON.
    async fn json(&mut self) -> String {
        self.batch().await.to_text(TextFormat::OtlpJson)
    }

    /// How many errors of this kind were counted.
    fn errors(&self, kind: &str) -> String {
        let families = self.running.telemetry().gather();
        let mut text = String::new();
        exposition::encode(&exposition::from_prometheus(&families), Format::Text, &mut text);
        let kind = format!("kind=\"{kind}\"");
        let line =
            text.lines().find(|line| line.starts_with("tracecore_receiver_errors_total") && line.contains(&kind));
        line.and_then(|line| line.rsplit_once(' ')).map_or_else(|| format!("no {kind}"), |(_, value)| value.to_owned())
    }
}

fn starting_with<'a>(series: &'a [String], name: &str) -> Vec<&'a str> {
    series.iter().map(String::as_str).filter(|line| line.starts_with(name)).collect()
}

#[tokio::test(start_paused = true)]
async fn every_metric_has_the_name_unit_and_attributes_of_the_conventions() {
    let host = FakeHost::new();
    let mut collections = host.start("").await;
    let series = collections.series().await;
    let (filesystem, rest): (Vec<_>, Vec<_>) =
        series.into_iter().partition(|line| line.starts_with("system.filesystem."));
    assert_eq!(rest, EXPECTED.lines().collect::<Vec<_>>());

    let attributes = "system.device=\"/dev/sda1\",system.filesystem.type=\"ext4\",system.filesystem.mode=\"rw\",\
                      system.filesystem.mountpoint=\"/\"";
    let without_values: Vec<&str> =
        filesystem.iter().map(|line| line.rsplitn(3, ' ').nth(2).expect("a value and a unit come last")).collect();
    let mut expected = vec![format!("system.filesystem.limit{{{attributes}}}")];
    for metric in ["usage", "utilization"] {
        for state in ["free", "reserved", "used"] {
            expected.push(format!("system.filesystem.{metric}{{{attributes},system.filesystem.state=\"{state}\"}}"));
        }
    }
    assert_eq!(without_values, expected);
    assert_eq!((collections.errors("read"), collections.errors("parse")), ("0".to_owned(), "0".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn only_the_scrapers_that_are_named_run() {
    let host = FakeHost::new();
    let mut collections = host.start("scrapers: {load: , memory: {}, cpu: {enabled: false}}").await;
    let series = collections.series().await;
    assert_eq!(starting_with(&series, "system.cpu.load_average").len(), 3);
    let others = series.iter().filter(|line| !line.starts_with("system.cpu.load_average"));
    assert!(others.clone().all(|line| line.starts_with("system.memory") || line.starts_with("system.uptime")));
    assert!(others.count() > 10);
}

#[test]
fn settings_that_mean_nothing_are_refused() {
    CAPTURED.set(Some(unbounded_channel().0));
    for (settings, complaint) in [
        ("scrapers: {gpu: }", "gpu"),
        ("scrapers: {cpu: {metrics: }}", "metrics"),
        ("scrapers: {cpu: {enabled: maybe}}", "true or false"),
        ("scrapers: ", "switches none on"),
        ("scrapers: {cpu: {enabled: false}}", "switches none on"),
        ("collection_interval: 0", "greater than zero"),
        ("interval: 5s", "interval"),
    ] {
        let refusal = build(settings).map(|_| settings).unwrap_err();
        assert!(refusal.contains("receivers.hostmetrics") && refusal.contains(complaint), "{settings}: {refusal}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_missing_or_malformed_costs_its_metrics_alone() {
    let host = FakeHost::new();
    let mut collections = host.start("").await;
    let before = collections.series().await;

    host.remove("proc/loadavg");
    host.write("proc/vmstat", "pgfault many\n");
    let during = collections.series().await;
    // How full a real filesystem is may change meanwhile.
    let before: Vec<&String> = before.iter().filter(|line| !line.starts_with("system.filesystem")).collect();
    let lost: Vec<_> = before.iter().filter(|line| !during.contains(line)).collect();
    assert!(lost.iter().all(|line| line.contains("load_average") || line.contains("paging")), "{lost:?}");
    assert_eq!(lost.len(), 3 + 4);
    collections.series().await;
    assert_eq!((collections.errors("read"), collections.errors("parse")), ("2".to_owned(), "2".to_owned()));

    host.write("proc/loadavg", FILES[2].1);
    host.write("proc/vmstat", FILES[9].1);
    let after = collections.series().await;
    assert!(before.into_iter().all(|line| after.contains(line)));
    assert_eq!((collections.errors("read"), collections.errors("parse")), ("2".to_owned(), "2".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_host_with_one_file_gives_what_that_says_and_an_error_for_each_other() {
    let host = FakeHost(tempfile::tempdir().unwrap());
    host.write("proc/uptime", "1 1\n");
    let mut collections = host.start("").await;
    assert_eq!(collections.series().await, ["system.process.count 0 {process}", "system.uptime 1 s"]);
    assert_eq!((collections.errors("read"), collections.errors("parse")), ("12".to_owned(), "0".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn totals_count_from_boot_and_anew_from_where_they_fell() {
    let host = FakeHost::new();
    let mut collections = host.start("scrapers: {network: }, collection_interval: 1m").await;
    let boot = "\"startTimeUnixNano\":\"1000000000000000\"";
    let first = collections.json().await;
    assert_eq!(first.matches(boot).count(), 8, "{first}");

    // Unplugged and plugged in again, or a counter of 32 bits that wrapped.
    host.write("proc/1/net/dev", "eth0: 5 1 0 0 0 0 0 0 5 1 0 0 0 0 0 0\n");
    let second = collections.json().await;
    assert_eq!(second.matches(boot).count(), 0);
    let collected_first = "\"startTimeUnixNano\":\"2000001";
    assert_eq!(second.matches(collected_first).count(), 8, "{second}");
}

#[tokio::test(start_paused = true)]
async fn a_device_that_vanished_is_gone() {
    let host = FakeHost::new();
    let mut collections = host.start("scrapers: {disk: }").await;
    assert_eq!(starting_with(&collections.series().await, "system.disk.limit").len(), 1);
    host.write("proc/diskstats", "   8 16 sdb 1 1 1 1 1 1 1 1 1 1 1\n");
    host.write("sys/class/block/sdb/size", "1\n");
    let series = collections.series().await;
    assert_eq!(starting_with(&series, "system.disk.limit"), ["system.disk.limit{system.device=\"sdb\"} 512 By"]);
}

#[tokio::test(start_paused = true)]
async fn utilization_is_of_the_time_between_two_collections() {
    let host = FakeHost::new();
    let mut collections = host.start("scrapers: {cpu: }").await;
    assert!(starting_with(&collections.series().await, "system.cpu.utilization").is_empty());
    host.write("proc/stat", "cpu  125 20 300 4075 50 6 7 8 0 0\ncpu0 1\ncpu1 1\nbtime 1000000\n");
    let series = collections.series().await;
    let busy: Vec<&str> =
        starting_with(&series, "system.cpu.utilization").into_iter().filter(|line| !line.ends_with("} 0 1")).collect();
    assert_eq!(
        busy,
        ["system.cpu.utilization{cpu.mode=\"idle\"} 0.75 1", "system.cpu.utilization{cpu.mode=\"user\"} 0.25 1"]
    );
}

#[tokio::test(start_paused = true)]
async fn devices_beyond_the_cap_are_left_out_and_counted() {
    let host = FakeHost::new();
    let lines: String = (0..70).map(|disk| format!("8 {disk} disk{disk} 1 1 1 1 1 1 1 1 1 1 1\n")).collect();
    host.write("proc/diskstats", &lines);
    for disk in 0..70 {
        host.write(&format!("sys/class/block/disk{disk}/size"), "1\n");
    }
    let mut collections = host.start("scrapers: {disk: }").await;
    assert_eq!(starting_with(&collections.series().await, "system.disk.limit").len(), 64);
    assert_eq!(collections.errors("cardinality"), "1");
}

#[tokio::test(start_paused = true)]
async fn numbers_beyond_the_range_stay_at_its_end() {
    let host = FakeHost::new();
    host.write("proc/diskstats", &format!("8 0 sda {}\n", [u64::MAX.to_string().as_str(); 11].join(" ")));
    host.write("sys/class/block/sda/size", "18446744073709551615\n");
    let mut collections = host.start("scrapers: {disk: }").await;
    let series = collections.series().await;
    assert_eq!(
        starting_with(&series, "system.disk.limit"),
        ["system.disk.limit{system.device=\"sda\"} 9223372036854775807 By"]
    );
    assert_eq!(starting_with(&series, "system.disk.io{").len(), 2);
}

#[test]
fn a_trouble_is_new_once_and_over_once() {
    let broken = |path: &str| Error::Read { path: path.into(), source: std::io::ErrorKind::NotFound.into() };
    let mut troubles = Troubles::default();
    let mut counts = |errors: &[Error]| {
        let change = troubles.update(errors);
        (change.new.len(), change.lasting.len(), change.over.len())
    };
    assert_eq!(counts(&[broken("/a"), broken("/b")]), (2, 0, 0));
    assert_eq!(counts(&[broken("/a"), broken("/c")]), (1, 1, 1));
    assert_eq!(counts(&[]), (0, 0, 2));
    assert_eq!(counts(&[broken("/a")]), (1, 0, 0));
}

#[tokio::test]
async fn no_file_of_this_machine_is_misread() {
    let mut collections =
        start("initial_delay: 0, scrapers: {cpu: , memory: , load: , disk: , network: , paging: , processes: }").await;
    let series = collections.series().await;
    for metric in
        ["system.cpu.time", "system.memory.limit", "system.uptime", "system.network.io", "system.process.count"]
    {
        assert!(!starting_with(&series, metric).is_empty(), "{metric} in {series:#?}");
    }
    assert_eq!(collections.errors("parse"), "0");
}
