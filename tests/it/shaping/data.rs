//! Generated requests in which edits find something, and what the tests do with prost's types.

#[path = "../../../tracecore/src/signal/tests/generate.rs"]
mod generate;

use generate::Generator;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tracecore::signal::{Decoded, Signal};

/// The keys that edits are about, and the texts.
pub(super) const KEYS: [&str; 6] = ["env", "tenant", "user.id", "service.name", "url", ""];
pub(super) const TEXTS: [&str; 6] = ["abc", "blue-7", "12", "2.5", "checkout", ""];

/// What is about an item.
pub(super) struct Around<'a> {
    pub(super) resource: &'a [KeyValue],
    pub(super) scope: (&'a str, &'a str),
    /// The name of its metric.
    pub(super) metric: &'a str,
    pub(super) item: Item<'a>,
}

/// An item beside its attributes.
#[derive(Clone, Copy)]
pub(super) enum Item<'a> {
    Span(&'a Span),
    Log(&'a LogRecord),
    Point,
}

pub(super) fn encoded(decoded: &Decoded) -> Vec<u8> {
    match decoded {
        Decoded::Traces(data) => data.encode_to_vec(),
        Decoded::Metrics(data) => data.encode_to_vec(),
        Decoded::Logs(data) => data.encode_to_vec(),
    }
}

/// A request of every field of OTLP, whose attributes, names and severities are often what edits ask for.
pub(super) fn generated(signal: Signal, seed: u64) -> Decoded {
    let mut random = Generator::new(seed);
    let mut decoded = random.request(signal);
    resources(&mut decoded, |resource| {
        if let Some(resource) = resource {
            sprinkle(&mut resource.attributes, &mut random);
        }
        true
    });
    let mut random = Generator::new(seed.rotate_left(7));
    scopes(&mut decoded, |scope| {
        if random.chance(2) {
            scope.get_or_insert_default().name = one_of_texts(&mut random);
        }
    });
    let mut random = Generator::new(seed.rotate_left(13));
    items(&mut decoded, |_, attributes| {
        sprinkle(attributes, &mut random);
        true
    });
    let mut random = Generator::new(seed.rotate_left(29));
    name(&mut decoded, &mut random);
    leave_out_empty(&mut decoded);
    decoded
}

/// A request of at least three items.
pub(super) fn some(signal: Signal) -> Decoded {
    let counted = |mut decoded: Decoded| {
        let mut count = 0;
        items(&mut decoded, |_, _| {
            count += 1;
            true
        });
        (count, decoded)
    };
    let mut requests = (0..).map(|seed| counted(generated(signal, seed)));
    requests.find(|(count, _)| *count >= 3).map(|(_, decoded)| decoded).expect("there is no end of seeds")
}

/// Leaves out what has no items: an edit that drops it early and one that looks into it first differ in nothing else.
fn leave_out_empty(decoded: &mut Decoded) {
    match decoded {
        Decoded::Traces(data) => data.resource_spans.retain_mut(|resource| {
            resource.scope_spans.retain(|scope| !scope.spans.is_empty());
            !resource.scope_spans.is_empty()
        }),
        Decoded::Logs(data) => data.resource_logs.retain_mut(|resource| {
            resource.scope_logs.retain(|scope| !scope.log_records.is_empty());
            !resource.scope_logs.is_empty()
        }),
        Decoded::Metrics(data) => data.resource_metrics.retain_mut(|resource| {
            resource.scope_metrics.retain_mut(|scope| {
                scope.metrics.retain(|metric| match &metric.data {
                    None => false,
                    Some(metric::Data::Gauge(data)) => !data.data_points.is_empty(),
                    Some(metric::Data::Sum(data)) => !data.data_points.is_empty(),
                    Some(metric::Data::Histogram(data)) => !data.data_points.is_empty(),
                    Some(metric::Data::ExponentialHistogram(data)) => !data.data_points.is_empty(),
                    Some(metric::Data::Summary(data)) => !data.data_points.is_empty(),
                });
                !scope.metrics.is_empty()
            });
            !resource.scope_metrics.is_empty()
        }),
    }
}

/// Adds attributes with keys and values of those that edits are about; some occur twice.
fn sprinkle(attributes: &mut Vec<KeyValue>, random: &mut Generator) {
    for _ in 0..random.below(9) {
        let value = match random.below(7) {
            0 => any_value::Value::IntValue(1),
            1 => any_value::Value::BoolValue(true),
            2 => any_value::Value::DoubleValue(2.5),
            _ => any_value::Value::StringValue(one_of_texts(random)),
        };
        let at = random.below(attributes.len() + 1);
        attributes.insert(at, pair(KEYS[random.below(KEYS.len())], Some(value)));
    }
}

/// One of the texts, the first most often.
fn one_of_texts(random: &mut Generator) -> String {
    let index = if random.chance(3) { 0 } else { random.below(TEXTS.len()) };
    TEXTS[index].to_owned()
}

/// Gives names and severities that conditions ask for.
fn name(decoded: &mut Decoded, random: &mut Generator) {
    let mut text = || one_of_texts(random);
    match decoded {
        Decoded::Traces(data) => {
            for scope in data.resource_spans.iter_mut().flat_map(|resource| &mut resource.scope_spans) {
                for span in &mut scope.spans {
                    (span.name, span.kind) = (text(), text().len() as i32 % 6);
                }
            }
        }
        Decoded::Logs(data) => {
            for scope in data.resource_logs.iter_mut().flat_map(|resource| &mut resource.scope_logs) {
                for log in &mut scope.log_records {
                    (log.severity_text, log.severity_number) = (text(), text().len() as i32 * 3 % 25);
                    log.body = Some(AnyValue { value: Some(any_value::Value::StringValue(text())) });
                }
            }
        }
        Decoded::Metrics(data) => {
            for scope in data.resource_metrics.iter_mut().flat_map(|resource| &mut resource.scope_metrics) {
                scope.metrics.iter_mut().for_each(|metric| metric.name = text());
            }
        }
    }
}

pub(super) fn pair(key: &str, value: Option<any_value::Value>) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value }), key_strindex: 0 }
}

pub(super) fn text(value: &str) -> Option<any_value::Value> {
    Some(any_value::Value::StringValue(value.to_owned()))
}

/// The value of the first attribute with this key, if it has one.
pub(super) fn get<'a>(attributes: &'a [KeyValue], key: &str) -> Option<Option<&'a any_value::Value>> {
    let found = attributes.iter().find(|pair| pair.key == key)?;
    Some(found.value.as_ref().and_then(|value| value.value.as_ref()))
}

/// Keeps what `keep` says; whether something is left of what there was.
fn retain<T>(all: &mut Vec<T>, keep: impl FnMut(&mut T) -> bool) -> bool {
    let before = all.len();
    all.retain_mut(keep);
    before == all.len() || !all.is_empty()
}

/// Shows every resource, and keeps those that are to be kept.
pub(super) fn resources(decoded: &mut Decoded, mut keep: impl FnMut(&mut Option<Resource>) -> bool) {
    match decoded {
        Decoded::Traces(data) => data.resource_spans.retain_mut(|of| keep(&mut of.resource)),
        Decoded::Metrics(data) => data.resource_metrics.retain_mut(|of| keep(&mut of.resource)),
        Decoded::Logs(data) => data.resource_logs.retain_mut(|of| keep(&mut of.resource)),
    }
}

fn scopes(decoded: &mut Decoded, mut show: impl FnMut(&mut Option<InstrumentationScope>)) {
    match decoded {
        Decoded::Traces(data) => {
            data.resource_spans.iter_mut().flat_map(|of| &mut of.scope_spans).for_each(|of| show(&mut of.scope));
        }
        Decoded::Metrics(data) => {
            data.resource_metrics.iter_mut().flat_map(|of| &mut of.scope_metrics).for_each(|of| show(&mut of.scope));
        }
        Decoded::Logs(data) => {
            data.resource_logs.iter_mut().flat_map(|of| &mut of.scope_logs).for_each(|of| show(&mut of.scope));
        }
    }
}

/// Shows every item and its attributes, keeps those that are to be kept, and leaves out what that empties.
pub(super) fn items(decoded: &mut Decoded, mut keep: impl FnMut(&Around<'_>, &mut Vec<KeyValue>) -> bool) {
    let none = Resource::default();
    match decoded {
        Decoded::Traces(data) => data.resource_spans.retain_mut(|r| {
            let resource = &r.resource.as_ref().unwrap_or(&none).attributes;
            retain(&mut r.scope_spans, |s| {
                let scope = names(s.scope.as_ref());
                retain(&mut s.spans, |span| {
                    let mut attributes = std::mem::take(&mut span.attributes);
                    let kept = keep(&Around { resource, scope, metric: "", item: Item::Span(span) }, &mut attributes);
                    span.attributes = attributes;
                    kept
                })
            })
        }),
        Decoded::Logs(data) => data.resource_logs.retain_mut(|r| {
            let resource = &r.resource.as_ref().unwrap_or(&none).attributes;
            retain(&mut r.scope_logs, |s| {
                let scope = names(s.scope.as_ref());
                retain(&mut s.log_records, |log| {
                    let mut attributes = std::mem::take(&mut log.attributes);
                    let kept = keep(&Around { resource, scope, metric: "", item: Item::Log(log) }, &mut attributes);
                    log.attributes = attributes;
                    kept
                })
            })
        }),
        Decoded::Metrics(data) => data.resource_metrics.retain_mut(|r| {
            let resource = &r.resource.as_ref().unwrap_or(&none).attributes;
            retain(&mut r.scope_metrics, |s| {
                let scope = names(s.scope.as_ref());
                retain(&mut s.metrics, |metric| points(resource, scope, metric, &mut keep))
            })
        }),
    }
}

fn names(scope: Option<&InstrumentationScope>) -> (&str, &str) {
    scope.map_or(("", ""), |scope| (&scope.name, &scope.version))
}

fn points(
    resource: &[KeyValue],
    scope: (&str, &str),
    metric: &mut Metric,
    keep: &mut impl FnMut(&Around<'_>, &mut Vec<KeyValue>) -> bool,
) -> bool {
    let around = Around { resource, scope, metric: &metric.name, item: Item::Point };
    let mut keep = |attributes: &mut Vec<KeyValue>| keep(&around, attributes);
    match &mut metric.data {
        None => true,
        Some(metric::Data::Gauge(data)) => retain(&mut data.data_points, |point| keep(&mut point.attributes)),
        Some(metric::Data::Sum(data)) => retain(&mut data.data_points, |point| keep(&mut point.attributes)),
        Some(metric::Data::Histogram(data)) => retain(&mut data.data_points, |point| keep(&mut point.attributes)),
        Some(metric::Data::ExponentialHistogram(data)) => {
            retain(&mut data.data_points, |point| keep(&mut point.attributes))
        }
        Some(metric::Data::Summary(data)) => retain(&mut data.data_points, |point| keep(&mut point.attributes)),
    }
}
