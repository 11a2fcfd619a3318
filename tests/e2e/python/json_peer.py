"""Another implementation of OTLP/JSON: protobuf's own mapping, with ids in hexadecimal, as OTLP has them.

In the folder that is the first argument, each `SIGNAL.pb` is written as `SIGNAL.pb.json`, and each `SIGNAL.json` as
`SIGNAL.json.pb`.
"""

import base64
import json
import pathlib
import sys

from google.protobuf.json_format import MessageToDict, ParseDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

REQUESTS = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}
IDS = {"traceId", "spanId", "parentSpanId"}


def with_ids(value, convert):
    """The same with each id converted."""
    if isinstance(value, list):
        return [with_ids(item, convert) for item in value]
    if isinstance(value, dict):
        return {key: convert(item) if key in IDS else with_ids(item, convert) for key, item in value.items()}
    return value


FOLDER = pathlib.Path(sys.argv[1])
for signal, request in REQUESTS.items():
    message = request.FromString((FOLDER / f"{signal}.pb").read_bytes())
    fields = with_ids(MessageToDict(message, use_integers_for_enums=True), lambda text: base64.b64decode(text).hex())
    (FOLDER / f"{signal}.pb.json").write_text(json.dumps(fields))

    fields = json.loads((FOLDER / f"{signal}.json").read_text())
    fields = with_ids(fields, lambda text: base64.b64encode(bytes.fromhex(text)).decode())
    (FOLDER / f"{signal}.json.pb").write_bytes(ParseDict(fields, request()).SerializeToString())
