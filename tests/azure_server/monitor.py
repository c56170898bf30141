"""Receivers of telemetry: Azure Monitor's ingestion, and a collector that speaks OTLP over HTTP.

Both keep what they were sent in one form, so that a test can ask the same of either.
"""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from azure_server.server import InvalidRequest, Recorded, Reply

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

KEY = "7c1f1d36-9a54-4b71-8f0e-3f3c2a64b0aa"
HEADER = ("x-collector-key", "canary-collector-key-33e1")

# Of the Application Insights schemas, version 2 (Envelope, RequestData, RemoteDependencyData …).
_ENVELOPE = {"name", "time", "iKey", "tags", "data"}
_SPAN = {"ver", "id", "name", "duration", "success"}
_DATA = {
    "RequestData": _SPAN | {"responseCode"},
    "RemoteDependencyData": _SPAN,
    "MessageData": {"ver", "message"},
    "MetricData": {"ver", "metrics"},
}
_DURATION = re.compile(r"(\d+)\.(\d\d):(\d\d):(\d\d\.\d{3,6})")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedSpan:
    """A received span; attribute values are text."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    seconds: float
    ok: bool
    attributes: Mapping[str, str]

    def number(self, name: str) -> float:
        """A numeric attribute, 0 where there is none."""
        return float(self.attributes.get(name, "0"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedSum:
    """A metric's data point: its count or sum."""

    name: str
    value: float
    attributes: Mapping[str, str]


class Receiver:
    """The data that both receivers keep."""

    def __init__(self) -> None:
        self.spans: list[ReceivedSpan] = []
        self.sums: list[ReceivedSum] = []
        self.moments: list[tuple[str, str]] = []
        """Span events: name and span id."""


class MonitorService(Receiver):
    """Azure Monitor's ingestion endpoint.

    Args:
        token: that it asks for; None takes whoever knows the connection string.
    """

    prefix = "/v2.1/track"

    def __init__(self, token: str | None = None) -> None:
        super().__init__()
        self._token = token

    def handle(self, request: Recorded) -> Reply:
        """Store the envelopes by type."""
        if (request.method, request.path) != ("POST", self.prefix):
            raise InvalidRequest("only POST /v2.1/track is served")
        if self._token and request.headers.get("authorization") != f"Bearer {self._token}":
            return Reply(status=401, json={"itemsReceived": 0, "itemsAccepted": 0, "errors": []})
        body = request.body
        if request.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        envelopes = _envelopes(body)
        for envelope in envelopes:
            self._take(envelope)
        taken = len(envelopes)
        return Reply(json={"itemsReceived": taken, "itemsAccepted": taken, "errors": []})

    def _take(self, envelope: dict[str, Any]) -> None:
        lacking = _ENVELOPE - set(envelope)
        kind, data = envelope["data"]["baseType"], envelope["data"]["baseData"]
        lacking |= _DATA[kind] - set(data)
        if lacking or envelope["iKey"] != KEY:
            raise InvalidRequest(f"{kind}: without {sorted(lacking)}, key {envelope['iKey']}")
        properties, tags = data.get("properties") or {}, envelope["tags"]
        if kind == "MetricData":
            self.sums += [
                ReceivedSum(name=one["name"], value=one["value"], attributes=properties)
                for one in data["metrics"]
            ]
        elif kind == "MessageData":
            self.moments.append((data["message"], tags["ai.operation.parentId"]))
        else:
            self.spans.append(
                ReceivedSpan(
                    name=data["name"],
                    trace_id=tags["ai.operation.id"],
                    span_id=data["id"],
                    parent_id=tags.get("ai.operation.parentId", ""),
                    seconds=_seconds(data["duration"]),
                    ok=data["success"],
                    attributes=properties,
                )
            )


class CollectorService(Receiver):
    """An OpenTelemetry collector."""

    prefix = ("/v1/traces", "/v1/metrics")

    def handle(self, request: Recorded) -> Reply:
        """Store the spans or metrics of a request."""
        if request.method != "POST":
            raise InvalidRequest("only POST is served")
        if request.headers.get("content-type") != "application/x-protobuf":
            raise InvalidRequest(f"content-type {request.headers.get('content-type')!r}")
        if request.headers.get(HEADER[0]) != HEADER[1]:
            raise InvalidRequest("the collector's key is missing")
        if request.path == "/v1/traces":
            self._take_spans(ExportTraceServiceRequest.FromString(request.body))
        else:
            self._take_metrics(ExportMetricsServiceRequest.FromString(request.body))
        return Reply(body=b"", headers={"content-type": "application/x-protobuf"})

    def _take_spans(self, sent: ExportTraceServiceRequest) -> None:
        for resource in sent.resource_spans:
            if _attributes(resource.resource.attributes).get("service.name") != "liftwright":
                raise InvalidRequest("service.name is not the product's")
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                if len(span.trace_id) != 16 or len(span.span_id) != 8:
                    raise InvalidRequest(f"span {span.name}: its ids are no ids")
                span_id = span.span_id.hex()
                self.moments += [(moment.name, span_id) for moment in span.events]
                self.spans.append(
                    ReceivedSpan(
                        name=span.name,
                        trace_id=span.trace_id.hex(),
                        span_id=span_id,
                        parent_id=span.parent_span_id.hex(),
                        seconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
                        ok=span.status.code == Status.STATUS_CODE_OK,
                        attributes=_attributes(span.attributes),
                    )
                )

    def _take_metrics(self, sent: ExportMetricsServiceRequest) -> None:
        for resource in sent.resource_metrics:
            for metric in (m for scope in resource.scope_metrics for m in scope.metrics):
                for point in metric.sum.data_points:
                    value = point.as_double or float(point.as_int)
                    self._add(metric.name, value, point.attributes)
                for spread in metric.histogram.data_points:
                    self._add(metric.name, spread.sum, spread.attributes)

    def _add(self, name: str, value: float, attributes: Iterable[Any]) -> None:
        found = ReceivedSum(name=name, value=value, attributes=_attributes(attributes))
        # Sums are cumulative: a later point of the same series replaces the earlier one.
        series = (found.name, found.attributes)
        self.sums = [*(one for one in self.sums if (one.name, one.attributes) != series), found]


def _envelopes(body: bytes) -> list[dict[str, Any]]:
    """A JSON array, or one JSON object a line."""
    if body.lstrip().startswith(b"["):
        return list(json.loads(body))
    return [json.loads(line) for line in body.splitlines() if line.strip()]


def _seconds(duration: str) -> float:
    found = _DURATION.fullmatch(duration)
    if found is None:
        raise InvalidRequest(f"duration {duration!r}")
    days, hours, minutes = (int(part) for part in found.groups()[:3])
    return ((days * 24 + hours) * 60 + minutes) * 60 + float(found[4])


def _attributes(pairs: Iterable[Any]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        kind = pair.value.WhichOneof("value")
        found[pair.key] = str(getattr(pair.value, kind))
    return found
