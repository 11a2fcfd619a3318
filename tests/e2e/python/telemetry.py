"""Sends one request of each signal through the OpenTelemetry SDK, over `grpc` or `http`: the first argument says which.

Where to and how is in the SDK's own variables (`OTEL_EXPORTER_OTLP_ENDPOINT`, `..._COMPRESSION`). What is to arrive is in
`expected.rs`: what stands here and what stands there are changed together. The times of metrics come from the SDK's clock;
everything else is given.
"""

import math
import sys

from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.metrics import Observation
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import AlwaysOnExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

if sys.argv[1] == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
else:
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

# The first nanosecond of what is told, and one of the last that an unsigned number of 64 bits has.
BEGIN = 1_700_000_000_123_456_789
LATE = 2**63 + 1

# Every type of a value, the extremes of each, and each inside others.
VALUES = {
    "text": 'größer "😀"\n\0',
    "text.empty": "",
    "yes": True,
    "no": False,
    "int": 42,
    "int.least": -(2**63),
    "int.most": 2**63 - 1,
    "double": 0.1,
    "double.zero": -0.0,
    "double.most": sys.float_info.max,
    "double.least": 5e-324,
    "double.nan": math.nan,
    "double.infinite": -math.inf,
    "bytes": bytes([0, 1, 254, 255]),
    "bytes.empty": b"",
    "none": None,
    "array": ["a", "b"],
    "array.empty": [],
    "array.mixed": [1, "one", 1.0, True, None, b"1", [[]], {"one": 1}],
    "map": {"a": {"b": {"c": [{"d": "deep"}]}}, "none": None},
    "map.empty": {},
}


class Counting(IdGenerator):
    """Ids that count from 1 up, each byte of them in use."""

    def __init__(self):
        self.spans = 0

    def generate_span_id(self):
        self.spans += 1
        return 0xF0E0_D0C0_B0A0_9000 + self.spans

    def generate_trace_id(self):
        return 0x0102_0304_0506_0708_090A_0B0C_0D0E_0F10


RESOURCE = Resource(
    {"service.name": "shop", "service.instance.id": "shop-1", "host.ips": ["10.0.0.1", "::1"], **VALUES},
    schema_url="https://opentelemetry.io/schemas/1.37.0",
)
SCOPE = {"schema_url": "https://example.com/schemas/1", "attributes": {"scope": "attribute", "nested": {"a": [1]}}}


def traces():
    """Four spans: with everything, with more than the limits allow, with nothing, and one of a remote parent."""
    limits = SpanLimits(max_span_attributes=len(VALUES), max_events=2, max_links=2, max_link_attributes=1)
    provider = TracerProvider(resource=RESOURCE, id_generator=Counting(), span_limits=limits)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    tracer = provider.get_tracer("checkout", "1.2.3", **SCOPE)

    state = TraceState([("vendor", "a:b;c"), ("other", "1")])
    linked = SpanContext(0xFF << 120 | 1, 0xFF << 56 | 1, is_remote=True, trace_flags=TraceFlags(1), trace_state=state)
    local = SpanContext(2, 3, is_remote=False)
    whole = tracer.start_span(
        "everything",
        kind=SpanKind.SERVER,
        start_time=BEGIN,
        attributes=VALUES,
        links=[Link(linked, {"why": "batch"}), Link(local)],
    )
    whole.add_event("retried", {"attempt": 2, "waits": [0.5, 1.5], "nested": {"a": None}}, timestamp=BEGIN + 1)
    whole.add_event("", timestamp=BEGIN + 2)
    whole.set_status(Status(StatusCode.ERROR, "payment refused: größer"))

    inside = trace.set_span_in_context(whole)
    limited = tracer.start_span("limited", inside, SpanKind.PRODUCER, start_time=BEGIN + 3)
    for number in range(len(VALUES) + 3):
        limited.set_attribute(f"attribute.{number}", number)
    for number in range(5):
        limited.add_event(f"event {number}", timestamp=BEGIN + 4 + number)
    for number in range(4):
        limited.add_link(SpanContext(4 + number, 4 + number, is_remote=False), {"kept": False, "number": number})
    limited.set_status(StatusCode.OK)
    limited.end(BEGIN + 10)
    whole.end(BEGIN + 1_000_000_000)

    tracer.start_span("", kind=SpanKind.INTERNAL, start_time=0).end(LATE)
    bare = provider.get_tracer("bare")
    remote = trace.set_span_in_context(NonRecordingSpan(linked))
    bare.start_span("of a remote parent", remote, SpanKind.CLIENT, start_time=BEGIN).end(BEGIN)
    bare.start_span("consumes", remote, SpanKind.CONSUMER, start_time=BEGIN).end(BEGIN)
    provider.shutdown()
    return whole


def metrics(span):
    """Every instrument, with exemplars that name `span`."""
    views = [
        View(instrument_name="exponential*", aggregation=ExponentialBucketHistogramAggregation(max_size=8)),
        View(instrument_name="limited", attribute_keys={"kept"}),
    ]
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(), export_interval_millis=3_600_000)
    provider = MeterProvider([reader], RESOURCE, AlwaysOnExemplarFilter(), views=views)
    meter = provider.get_meter("meter", "2.0", **SCOPE)
    inside = trace.set_span_in_context(span)

    meter.create_counter("requests", "{request}", "Requests that came").add(2**40, {"route": "/"}, inside)
    doubles = meter.create_counter("seconds", "s")
    doubles.add(0.25, VALUES)
    doubles.add(0.5, {"route": "/"})
    meter.create_up_down_counter("open", "1", "Größer").add(-7, {"yes": True}, inside)
    meter.create_gauge("temperature", "Cel").set(-0.5, {"rack": 7})
    meter.create_gauge("level").set(2**62)
    meter.create_observable_gauge("observed.gauge", [lambda _: [Observation(1.5, {"a": "b"}), Observation(2)]])
    meter.create_observable_counter("observed.counter", [lambda _: [Observation(12, {"cpu": 0})]])
    meter.create_observable_up_down_counter("observed.up_down", [lambda _: [Observation(-1.25)]])

    latency = meter.create_histogram(
        "latency", "ms", "How long it took", explicit_bucket_boundaries_advisory=[0.0, 5.0, 10.0]
    )
    for value in [5.0, 7.5, 1e300]:
        latency.record(value, {"route": "/"}, inside)
    meter.create_histogram("sizes", "By").record(0, {"route": "/empty"})
    exponential = meter.create_histogram("exponential", "By")
    for value in [0.0, 1.0, 2.0, 4.0, 1024.0]:
        exponential.record(value, {"route": "/"}, inside)
    limited = meter.create_counter("limited")
    limited.add(1, {"kept": "a", "dropped": {"nested": [1, "x"]}}, inside)
    provider.shutdown()


def logs(span):
    """Records with everything, with nothing, and with a body of each type."""
    provider = LoggerProvider(resource=RESOURCE)
    provider.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
    logger = provider.get_logger("logger", "3", **SCOPE)
    logger.emit(
        LogRecord(
            timestamp=BEGIN,
            observed_timestamp=LATE,
            context=trace.set_span_in_context(span),
            severity_text="WARN",
            severity_number=SeverityNumber.WARN2,
            body='größer "😀"',
            attributes=VALUES,
            event_name="checkout.failed",
        )
    )
    logger.emit(LogRecord(timestamp=0, observed_timestamp=1))
    bare = provider.get_logger("bare")
    for value in VALUES.values():
        bare.emit(LogRecord(timestamp=BEGIN, observed_timestamp=BEGIN, body=value))
    for severity in SeverityNumber:
        bare.emit(LogRecord(timestamp=BEGIN, observed_timestamp=BEGIN, severity_number=severity))
    provider.shutdown()


ROOT = traces()
metrics(ROOT)
logs(ROOT)
