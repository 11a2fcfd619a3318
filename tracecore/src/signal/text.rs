//! A batch as text: lines for people, OTLP JSON for programs.

use std::fmt::{self, Write};
use std::time::{Duration, SystemTime};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::view::{Attributes, DataRef, Hex, KeyValueRef, LogRecordRef, MetricRef, Number, SpanRef, ValueRef, View};
use super::{Batch, json};

/// How a batch is written as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TextFormat {
    /// A line per data point, span or log record, for people.
    Lines,
    /// A line of OTLP JSON per batch, for programs.
    OtlpJson,
}

impl Batch {
    /// The batch as text, each line with its line feed.
    pub fn to_text(&self, format: TextFormat) -> String {
        match format {
            TextFormat::Lines => lines(self),
            TextFormat::OtlpJson => {
                let mut line = String::from_utf8(json::encode(self)).expect("JSON is UTF-8");
                line.push('\n');
                line
            }
        }
    }
}

fn lines(batch: &Batch) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = match batch.view() {
        View::Metrics(mut resources) => {
            resources.try_for_each(|r| r.metrics().try_for_each(|(_, _, m)| metric(&mut out, m)))
        }
        View::Traces(mut resources) => {
            resources.try_for_each(|r| r.spans().try_for_each(|(_, _, s)| span(&mut out, s)))
        }
        View::Logs(mut resources) => {
            resources.try_for_each(|r| r.log_records().try_for_each(|(_, _, l)| log(&mut out, l)))
        }
    };
    out
}

/// `2026-11-22T15:19:00.000000000Z system.cpu.time{cpu.mode="user"} 12.5 s`
fn metric(out: &mut String, metric: MetricRef<'_>) -> fmt::Result {
    let MetricRef { name, unit, data, .. } = metric;
    match data {
        None => Ok(()),
        Some(DataRef::Gauge { mut data_points } | DataRef::Sum { mut data_points, .. }) => {
            data_points.try_for_each(|point| {
                write!(out, "{} {name}{} ", Time(point.time_unix_nano), Labels(point.attributes()))?;
                match point.value {
                    Some(Number::Int(value)) => write!(out, "{value}")?,
                    Some(Number::Double(value)) => write!(out, "{value}")?,
                    None => out.write_str("no value")?,
                }
                end(out, unit)
            })
        }
        Some(DataRef::Histogram { mut data_points, .. }) => data_points.try_for_each(|point| {
            distribution(out, name, point.time_unix_nano, point.attributes(), point.count, point.sum)?;
            end(out, unit)
        }),
        Some(DataRef::ExponentialHistogram { mut data_points, .. }) => data_points.try_for_each(|point| {
            distribution(out, name, point.time_unix_nano, point.attributes(), point.count, point.sum)?;
            end(out, unit)
        }),
        Some(DataRef::Summary { mut data_points }) => data_points.try_for_each(|point| {
            distribution(out, name, point.time_unix_nano, point.attributes(), point.count, Some(point.sum))?;
            point.quantile_values().try_for_each(|at| write!(out, " q{}={}", at.quantile, at.value))?;
            end(out, unit)
        }),
    }
}

/// `… http.server.duration{} count=3 sum=0.5`, to which a summary adds ` q0.5=0.1 q0.99=0.3`
fn distribution(
    out: &mut String,
    name: &str,
    time: u64,
    attributes: Attributes<'_>,
    count: u64,
    sum: Option<f64>,
) -> fmt::Result {
    write!(out, "{} {name}{} count={count}", Time(time), Labels(attributes))?;
    match sum {
        Some(sum) => write!(out, " sum={sum}"),
        None => Ok(()),
    }
}

/// `… span "GET /" trace_id=… span_id=… duration=1.2ms{http.route="/"}`
fn span(out: &mut String, span: SpanRef<'_>) -> fmt::Result {
    let duration = Duration::from_nanos(span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano));
    writeln!(
        out,
        "{} span {:?} trace_id={} span_id={} duration={duration:?}{}",
        Time(span.start_time_unix_nano),
        span.name,
        Hex(span.trace_id),
        Hex(span.span_id),
        Labels(span.attributes())
    )
}

/// `… WARN "disk is slow"{disk="sda"}`
fn log(out: &mut String, log: LogRecordRef<'_>) -> fmt::Result {
    let time = if log.time_unix_nano == 0 { log.observed_time_unix_nano } else { log.time_unix_nano };
    let severity = if log.severity_text.is_empty() { "-" } else { log.severity_text };
    writeln!(out, "{} {severity} {:?}{}", Time(time), log.body.to_string(), Labels(log.attributes()))
}

fn end(out: &mut String, unit: &str) -> fmt::Result {
    if unit.is_empty() { writeln!(out) } else { writeln!(out, " {unit}") }
}

/// Nanoseconds since the epoch as RFC 3339; `-` if unknown.
#[derive(Clone, Copy, Debug)]
pub struct Time(pub u64);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("-");
        }
        let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(self.0);
        humantime::format_rfc3339_nanos(time).fmt(f)
    }
}

/// `{a="b",c="d"}`, or nothing without attributes.
struct Labels<'a>(Attributes<'a>);

impl fmt::Display for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "{";
        for KeyValueRef { key, value } in self.0 {
            f.write_str(separator)?;
            separator = ",";
            match value {
                ValueRef::Str(text) => write!(f, "{key}={text:?}")?,
                other => write!(f, "{key}={other}")?,
            }
        }
        if separator == "," { f.write_str("}") } else { Ok(()) }
    }
}
