//! Of the process, under the names that the client libraries of Prometheus have agreed upon:
//! <https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>.

use crate::telemetry::TelemetryError;
use crate::telemetry::instruments::{Instruments, ObservedCounterFamily, ObservedGaugeFamily};
use crate::telemetry::level::Level;
use crate::telemetry::spec::Spec;

const CPU_SECONDS: Spec<0> = Spec {
    name: "process_cpu_seconds_total",
    help: "Processor time that the process has used, in user and system mode.",
    unit: "s",
    labels: [],
    level: Level::Basic,
    since: "0.1.0",
};

const RESIDENT_MEMORY: Spec<0> = Spec {
    name: "process_resident_memory_bytes",
    help: "Memory of the process that is in RAM.",
    unit: "By",
    labels: [],
    level: Level::Basic,
    since: "0.1.0",
};

const VIRTUAL_MEMORY: Spec<0> = Spec {
    name: "process_virtual_memory_bytes",
    help: "Address space of the process.",
    unit: "By",
    labels: [],
    level: Level::Normal,
    since: "0.1.0",
};

const OPEN_FDS: Spec<0> = Spec {
    name: "process_open_fds",
    help: "File descriptors that the process has open.",
    unit: "{fd}",
    labels: [],
    level: Level::Basic,
    since: "0.1.0",
};

const MAX_FDS: Spec<0> = Spec {
    name: "process_max_fds",
    help: "File descriptors that the process may open.",
    unit: "{fd}",
    labels: [],
    level: Level::Basic,
    since: "0.1.0",
};

const THREADS: Spec<0> = Spec {
    name: "process_threads",
    help: "Threads of the process.",
    unit: "{thread}",
    labels: [],
    level: Level::Normal,
    since: "0.1.0",
};

const START_TIME: Spec<0> = Spec {
    name: "process_start_time_seconds",
    help: "When the process started, in Unix time.",
    unit: "s",
    labels: [],
    level: Level::Normal,
    since: "0.1.0",
};

/// Of the process, under the names that the client libraries of Prometheus have agreed upon:
pub(in crate::telemetry) struct ProcessFamilies {
    pub(in crate::telemetry) cpu_seconds: ObservedCounterFamily<0>,
    pub(in crate::telemetry) resident_memory: ObservedGaugeFamily<0>,
    pub(in crate::telemetry) virtual_memory: ObservedGaugeFamily<0>,
    pub(in crate::telemetry) open_fds: ObservedGaugeFamily<0>,
    pub(in crate::telemetry) max_fds: ObservedGaugeFamily<0>,
    pub(in crate::telemetry) threads: ObservedGaugeFamily<0>,
    pub(in crate::telemetry) start_time: ObservedGaugeFamily<0>,
}

impl ProcessFamilies {
    pub(super) fn new(make: &Instruments) -> Result<Self, TelemetryError> {
        Ok(ProcessFamilies {
            cpu_seconds: make.observed_counter(&CPU_SECONDS)?,
            resident_memory: make.observed_gauge(&RESIDENT_MEMORY)?,
            virtual_memory: make.observed_gauge(&VIRTUAL_MEMORY)?,
            open_fds: make.observed_gauge(&OPEN_FDS)?,
            max_fds: make.observed_gauge(&MAX_FDS)?,
            threads: make.observed_gauge(&THREADS)?,
            start_time: make.observed_gauge(&START_TIME)?,
        })
    }
}
