//! What the collector says about itself: every family, once.
//!
//! The names are a contract with dashboards and alerts. `docs/self-metrics.md` lists them; it is made from the
//! constants here, and a test holds it against them. A level is chosen by the rule of [`super::level`].

mod component;
mod exporter;
mod ingest;
mod pipeline;
mod process;
mod processor;
mod receiver;
mod service;

use super::TelemetryError;
use super::instruments::Instruments;
use super::spec::{LabelKey, Values};
use crate::error::ErrorKind;
use crate::metrics::buckets_rise;

pub(super) use self::component::ComponentFamilies;
pub(super) use self::exporter::ExporterFamilies;
pub(super) use self::ingest::IngestFamilies;
pub(super) use self::pipeline::PipelineFamilies;
pub(super) use self::process::ProcessFamilies;
pub(super) use self::processor::ProcessorFamilies;
pub(super) use self::receiver::ReceiverFamilies;
pub(super) use self::service::{SCRAPE_PANICS, ServiceFamilies};

/// The words of a closed label, in the order of its `ALL`.
macro_rules! words {
    ($label:ident) => {{
        const WORDS: [&str; $label::ALL.len()] = {
            let mut words = [""; $label::ALL.len()];
            let mut at = 0;
            while at < words.len() {
                words[at] = $label::ALL[at].as_str();
                at += 1;
            }
            words
        };
        &WORDS
    }};
}
use words;

/// Upper edges in seconds, 1-2-5 from 100 µs to 10 s.
const LATENCY_SECONDS: [f64; 16] =
    [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];
const _: () = assert!(buckets_rise(&LATENCY_SECONDS));

const RECEIVER_ID: LabelKey = LabelKey { key: "component_id", values: Values::Receivers };
const KIND: LabelKey = LabelKey { key: "kind", values: Values::Closed(words!(ErrorKind)) };

/// All of them, made.
pub(super) struct Families {
    pub(super) component: ComponentFamilies,
    pub(super) exporter: ExporterFamilies,
    pub(super) ingest: IngestFamilies,
    pub(super) pipeline: PipelineFamilies,
    pub(super) process: ProcessFamilies,
    pub(super) processor: ProcessorFamilies,
    pub(super) receiver: ReceiverFamilies,
    pub(super) service: ServiceFamilies,
}

impl Families {
    pub(super) fn new(make: &Instruments) -> Result<Self, TelemetryError> {
        Ok(Families {
            component: ComponentFamilies::new(make)?,
            exporter: ExporterFamilies::new(make)?,
            ingest: IngestFamilies::new(make)?,
            pipeline: PipelineFamilies::new(make)?,
            process: ProcessFamilies::new(make)?,
            processor: ProcessorFamilies::new(make)?,
            receiver: ReceiverFamilies::new(make)?,
            service: ServiceFamilies::new(make)?,
        })
    }
}
