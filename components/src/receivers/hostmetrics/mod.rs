//! The `hostmetrics` receiver: this host as the kernel tells it in `/proc` and `/sys`.
//!
//! Names, units and attributes are those of the semantic conventions 1.44 (`system.*`), and load averages those of the
//! Collector. What goes wrong costs the values it would have given and nothing else: it is counted at each collection and
//! logged when it begins and when it ends. A value is never older than its collection; what vanished is gone.
//!
//! Deliberately absent: filters by name (devices, interfaces and filesystems of no interest are left out by rule, see the
//! scrapers), and metrics of single processes.

mod cpu;
mod disk;
mod filesystem;
mod load;
mod memory;
mod mounts;
mod network;
mod paging;
mod processes;
mod procfs;
mod stat;
mod totals;

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use futures_util::future::join_all;
use tracecore::prelude::*;

use self::cpu::{Cpu, CpuMetrics};
use self::disk::{Disk, DiskMetrics};
use self::filesystem::{ANSWER_DEADLINE, Filesystem, FilesystemMetrics, Question};
use self::load::{Load, LoadMetrics};
use self::memory::{Memory, MemoryMetrics};
use self::network::{Network, NetworkMetrics};
use self::paging::{Paging, PagingMetrics};
use self::processes::{Processes, ProcessesMetrics};
use self::procfs::{File, Malformed, Root};
use self::stat::Stat;

/// Measures the host: processors, memory, load, disks, filesystems, network, paging and processes.
#[receiver("hostmetrics", signals = [Metrics], config = Config, data = Data, error = Error)]
struct HostMetrics {
    config: Config,
}

/// Settings of the `hostmetrics` receiver.
#[config]
struct Config {
    /// Time between two collections.
    #[default(Period::minutes(1))]
    collection_interval: Period,
    /// Time from the start to the first collection.
    #[default(Delay::secs(1))]
    initial_delay: Delay,
    /// Where the host's root directory is. In a container, where the host's is mounted: `/proc`, `/sys` and all mount points
    /// are then read beneath it, and the network is that of the host's first process.
    #[default(PathBuf::from("/"))]
    root_path: PathBuf,
    /// What is measured. Without this key: everything. With it: the scrapers that it names, with or without settings.
    #[default(Scrapers::all())]
    scrapers: Scrapers,
}

/// The scrapers. One that is not named is off.
#[config]
struct Scrapers {
    /// Processor time, and the number of processors.
    #[default(Scraper::OFF)]
    cpu: Scraper,
    /// What memory is used for.
    #[default(Scraper::OFF)]
    memory: Scraper,
    /// Load averages and uptime.
    #[default(Scraper::OFF)]
    load: Scraper,
    /// What disks read and write. Left out: partitions, and loop, RAM, floppy and optical devices.
    #[default(Scraper::OFF)]
    disk: Scraper,
    /// How full filesystems are: those on block devices, ZFS and network filesystems, each once.
    #[default(Scraper::OFF)]
    filesystem: Scraper,
    /// What network interfaces receive and transmit, and TCP connections. Left out: the host's ends of container networks.
    #[default(Scraper::OFF)]
    network: Scraper,
    /// Page faults, swapping and swap space.
    #[default(Scraper::OFF)]
    paging: Scraper,
    /// How many processes there are and were created.
    #[default(Scraper::OFF)]
    processes: Scraper,
}

/// A scraper. To name it, as in `cpu:`, is to switch it on.
#[config]
#[derive(Copy)]
struct Scraper {
    /// Whether it runs.
    #[default(true)]
    enabled: bool,
}

/// What the `hostmetrics` receiver measures.
#[derive(MetricSet)]
struct Data {
    #[metrics]
    cpu: CpuMetrics,
    #[metrics]
    memory: MemoryMetrics,
    #[metrics]
    load: LoadMetrics,
    #[metrics]
    disk: DiskMetrics,
    #[metrics]
    filesystem: FilesystemMetrics,
    #[metrics]
    network: NetworkMetrics,
    #[metrics]
    paging: PagingMetrics,
    #[metrics]
    processes: ProcessesMetrics,
}

/// What can go wrong. The text of an error names what it is about and nothing that changes, so that the same text at the
/// next collection is the same trouble.
#[derive(Debug, thiserror::Error, Classify)]
enum Error {
    /// No scraper is on.
    #[error("`scrapers` switches none on: name some, or leave it out for all")]
    #[kind(Init)]
    NoScraper,
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    #[kind(Read)]
    Read { path: PathBuf, source: std::io::Error },
    /// A file says what it should not.
    #[error("cannot understand {}", path.display())]
    #[kind(Parse)]
    Parse { path: PathBuf, source: Malformed },
    /// The processes cannot be listed.
    #[error("cannot list {}", path.display())]
    #[kind(Enumerate)]
    Processes { path: PathBuf, source: std::io::Error },
    /// A filesystem does not say how full it is.
    #[error("cannot measure the filesystem at {}", mount_point.as_str())]
    #[kind(Read)]
    Filesystem { mount_point: Name, source: std::io::Error },
    /// A filesystem does not answer.
    #[error("the filesystem at {} does not answer: it is left out until it does", mount_point.as_str())]
    #[kind(Read)]
    Stuck { mount_point: Name },
    /// A filesystem could not be asked.
    #[error("cannot ask the filesystem at {}", mount_point.as_str())]
    #[kind(Read)]
    NotAsked { mount_point: Name, source: Blocked },
}

impl Receiver for HostMetrics {
    fn new(config: Config) -> Result<Self, Error> {
        if config.scrapers.is_none_on() { Err(Error::NoScraper) } else { Ok(HostMetrics { config }) }
    }

    async fn run(self, mut cx: Cx<Self>) -> Result<(), Error> {
        let Config { collection_interval, initial_delay, root_path, scrapers } = self.config;
        if !cx.delay(initial_delay.get()).await {
            return Ok(());
        }
        let mut host = Host::new(&root_path, &scrapers);
        let mut troubles = Troubles::default();
        while cx.tick(collection_interval).await {
            let now = cx.now();
            let (mut tick, questions) = host.collect(now, &mut cx.data);
            let asked = questions.iter().map(|question| {
                let question = question.clone();
                cx.blocking("statvfs", ANSWER_DEADLINE, move || question.ask())
            });
            let Some(answers) = cx.until_shutdown(join_all(asked)).await else { break };
            for (question, answer) in questions.iter().zip(answers) {
                question.record(answer, &mut tick, &mut cx.data.filesystem);
            }
            troubles.update(&tick.errors).tell(&cx);
            cx.data.sweep();
            cx.emit_data().await;
        }
        Ok(())
    }
}

impl Scrapers {
    fn all() -> Self {
        let [cpu, memory, load, disk, filesystem, network, paging, processes] = [Scraper { enabled: true }; 8];
        Scrapers { cpu, memory, load, disk, filesystem, network, paging, processes }
    }

    fn is_none_on(&self) -> bool {
        let Scrapers { cpu, memory, load, disk, filesystem, network, paging, processes } = self;
        ![cpu, memory, load, disk, filesystem, network, paging, processes].iter().any(|scraper| scraper.enabled)
    }
}

impl Scraper {
    const OFF: Scraper = Scraper { enabled: false };

    fn on<T>(self, root: &Root, new: impl FnOnce(&Root) -> T) -> Option<T> {
        self.enabled.then(|| new(root))
    }
}

/// What the scrapers that are on keep between collections.
struct Host {
    root: Root,
    stat: File,
    /// When the host booted, once it is known. The kernel computes it anew from the wall clock, so it is asked once: totals
    /// keep their start when the clock is set.
    boot: Option<SystemTime>,
    cpu: Option<Cpu>,
    memory: Option<Memory>,
    load: Option<Load>,
    disk: Option<Disk>,
    filesystem: Option<Filesystem>,
    network: Option<Network>,
    paging: Option<Paging>,
    processes: Option<Processes>,
}

impl Host {
    fn new(root_path: &Path, scrapers: &Scrapers) -> Self {
        let root = Root::new(root_path);
        Host {
            stat: root.file("/proc/stat"),
            boot: None,
            cpu: scrapers.cpu.on(&root, Cpu::new),
            memory: scrapers.memory.on(&root, Memory::new),
            load: scrapers.load.on(&root, Load::new),
            disk: scrapers.disk.on(&root, Disk::new),
            filesystem: scrapers.filesystem.on(&root, Filesystem::new),
            network: scrapers.network.on(&root, Network::new),
            paging: scrapers.paging.on(&root, Paging::new),
            processes: scrapers.processes.on(&root, Processes::new),
            root,
        }
    }

    /// Lets each scraper measure, and gives the questions that are still to be asked.
    fn collect(&mut self, now: SystemTime, data: &mut Data) -> (Tick, Vec<Question>) {
        let mut tick = Tick::at(now, &self.root);
        if self.cpu.is_some() || self.processes.is_some() || self.boot.is_none() {
            tick.stat = tick.check(self.stat.read(|content| Ok(Stat::parse(content))));
        }
        if self.boot.is_none() {
            self.boot = tick.stat(|stat| stat.boot.clone());
        }
        tick.boot = self.boot.unwrap_or(SystemTime::UNIX_EPOCH);
        if let Some(cpu) = &mut self.cpu {
            cpu.scrape(&mut tick, &mut data.cpu);
        }
        if let Some(memory) = &mut self.memory {
            memory.scrape(&mut tick, &mut data.memory);
        }
        if let Some(load) = &mut self.load {
            load.scrape(&mut tick, &mut data.load);
        }
        if let Some(disk) = &mut self.disk {
            disk.scrape(&mut tick, &mut data.disk);
        }
        if let Some(network) = &mut self.network {
            network.scrape(&mut tick, &mut data.network);
        }
        if let Some(paging) = &mut self.paging {
            paging.scrape(&mut tick, &mut data.paging);
        }
        if let Some(processes) = &mut self.processes {
            processes.scrape(&mut tick, &mut data.processes);
        }
        let filesystem = self.filesystem.as_mut();
        let questions = filesystem.map(|filesystem| filesystem.scrape(&mut tick, &mut data.filesystem));
        (tick, questions.unwrap_or_default())
    }
}

/// One collection.
struct Tick {
    now: SystemTime,
    /// When the host booted: the start of its totals. The epoch, which OTLP reads as unknown, if the host does not say.
    boot: SystemTime,
    stat: Option<Stat>,
    stat_path: PathBuf,
    errors: Vec<Error>,
}

impl Tick {
    fn at(now: SystemTime, root: &Root) -> Self {
        let boot = SystemTime::UNIX_EPOCH;
        Tick { now, boot, stat: None, stat_path: root.join("/proc/stat"), errors: Vec::new() }
    }

    /// The value, or else its error among those of this collection.
    fn check<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        result.map_err(|error| self.errors.push(error)).ok()
    }

    /// What `part` takes from `/proc/stat`, if that could be read.
    fn stat<T>(&mut self, part: impl FnOnce(&Stat) -> Result<T, Malformed>) -> Option<T> {
        let taken = part(self.stat.as_ref()?);
        self.check(taken.map_err(|source| Error::Parse { path: self.stat_path.clone(), source }))
    }
}

/// The troubles of the collection before, by their texts.
#[derive(Debug, Default)]
struct Troubles(Vec<String>);

/// How the troubles of a collection differ from those of the one before.
#[derive(Debug, Default)]
struct Change<'a> {
    new: Vec<&'a Error>,
    lasting: Vec<&'a Error>,
    over: Vec<String>,
}

impl Troubles {
    /// Takes over the errors of a collection.
    fn update<'a>(&mut self, errors: &'a [Error]) -> Change<'a> {
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let before = std::mem::replace(&mut self.0, texts);
        let (lasting, new) = errors.iter().zip(&self.0).partition::<Vec<_>, _>(|(_, text)| before.contains(text));
        let error = |(error, _)| error;
        Change {
            new: new.into_iter().map(error).collect(),
            lasting: lasting.into_iter().map(error).collect(),
            over: before.into_iter().filter(|text| !self.0.contains(text)).collect(),
        }
    }
}

impl Change<'_> {
    /// Counts every error, and logs those that are new and those that are over.
    fn tell(&self, cx: &Cx<HostMetrics>) {
        for error in &self.new {
            cx.report(error);
        }
        for error in &self.lasting {
            cx.count(error);
        }
        for error in &self.over {
            tracing::info!(component = %cx.id(), error, "the receiver's error is over");
        }
    }
}

#[cfg(test)]
mod tests;
