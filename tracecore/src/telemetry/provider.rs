//! The one module that names the SDK's meter provider and its Prometheus exporter, so that a change of either stays here.
//!
//! The exporter adds units and `_total` to names that may have them already: both are off, our names are complete.
//! The registry is owned: two providers in one process see nothing of each other.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::metrics::{Instrument, SdkMeterProvider, Stream};
use prometheus::Registry;
use prometheus::proto::MetricFamily;

use super::push::PushReader;
use super::renames::Rename;
use super::{BuildInfo, Resource, TelemetryError};

/// The instrumentation scope of everything that tracecore says of itself.
pub(super) const SCOPE: &str = "tracecore";

/// Who speaks, as the SDK has it.
#[derive(Clone, Copy)]
pub(super) struct Identity<'a> {
    pub(super) build: &'a BuildInfo,
    pub(super) resource: &'a opentelemetry_sdk::Resource,
}

/// The attributes of this process and no others: the SDK would add what it finds in the environment.
pub(super) fn sdk_resource(resource: &Resource) -> opentelemetry_sdk::Resource {
    let attributes = resource.attributes().iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    opentelemetry_sdk::Resource::builder_empty().with_attributes(attributes).build()
}

/// The most series of each instrument, by its name. Past it the SDK folds the rest into one overflow series.
#[derive(Clone, Debug, Default)]
pub(super) struct SeriesLimits(Arc<Mutex<HashMap<&'static str, usize>>>);

impl SeriesLimits {
    /// Must be told before the instrument is made. At least one: for 0 the SDK would take its default.
    pub(super) fn set(&self, instrument: &'static str, series: usize) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(instrument, series.max(1));
    }

    /// What is kept of an instrument, under its own name.
    fn stream(&self, instrument: &Instrument) -> Option<Stream> {
        self.stream_named(instrument, instrument.name().to_owned())
    }

    fn stream_named(&self, instrument: &Instrument, name: impl Into<Cow<'static, str>>) -> Option<Stream> {
        let limits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let series = *limits.get(instrument.name())?;
        Stream::builder().with_name(name).with_cardinality_limit(series).build().ok()
    }
}

/// The SDK's side of one [`super::SelfTelemetry`].
#[derive(Debug)]
pub(super) struct Provider {
    sdk: SdkMeterProvider,
    registry: Registry,
    limits: SeriesLimits,
}

impl Provider {
    /// With a reader, and one more for `push`, or, if not `enabled`, without: nothing is then recorded or gathered. What
    /// `renames` has is kept under both of its names.
    pub(super) fn new(
        resource: opentelemetry_sdk::Resource,
        enabled: bool,
        push: Option<PushReader>,
        renames: &'static [Rename],
    ) -> Result<Self, TelemetryError> {
        let registry = Registry::new();
        let limits = SeriesLimits::default();
        let mut builder = SdkMeterProvider::builder().with_resource(resource);
        if enabled {
            let reader = opentelemetry_prometheus::exporter()
                .with_registry(registry.clone())
                .without_units()
                .without_counter_suffixes()
                .scope_info_enabled(false)
                .build()
                .map_err(|error| TelemetryError::Exporter(error.into()))?;
            let named = limits.clone();
            builder = builder.with_reader(reader).with_view(move |instrument: &Instrument| named.stream(instrument));
            for Rename { old, new, .. } in renames {
                let limits = limits.clone();
                builder = builder.with_view(move |instrument: &Instrument| {
                    (instrument.name() == *new).then(|| limits.stream_named(instrument, *old)).flatten()
                });
            }
            if let Some(push) = push {
                builder = builder.with_reader(push);
            }
        }
        Ok(Provider { sdk: builder.build(), registry, limits })
    }

    pub(super) fn meter(&self) -> Meter {
        self.sdk.meter(SCOPE)
    }

    pub(super) fn limits(&self) -> SeriesLimits {
        self.limits.clone()
    }

    /// Every family once, sorted by name, its series sorted by their label values.
    pub(super) fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }

    pub(super) fn shutdown(&self) -> Result<(), TelemetryError> {
        match self.sdk.shutdown() {
            Ok(()) | Err(OTelSdkError::AlreadyShutdown) => Ok(()),
            Err(error) => Err(TelemetryError::Shutdown(error.into())),
        }
    }
}
