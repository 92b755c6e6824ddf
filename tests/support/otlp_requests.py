"""Recorded OTLP requests, split into single records or joined into larger ones, and their spans in comparable form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from receiver.codec.export_service import EXPORT_SERVICES
from receiver.model import Request
from receiver.recordings.files import read_recordings
from tests.support.paths import DATA

# of each signal: the fields that lead to its records
_LEVELS = {
    "logs": ("resource_logs", "scope_logs", "log_records"),
    "metrics": ("resource_metrics", "scope_metrics", "metrics"),
    "traces": ("resource_spans", "scope_spans", "spans"),
}


def recorded(name: str) -> list[Request]:
    """The requests of a folder of tests/data. A metric counts as one record."""
    return [_counted(one.signal, one.body) for one in read_recordings([DATA / name])]


def _counted(signal: str, body: bytes) -> Request:
    return Request(signal, body, sum(1 for _ in _records(signal, body)))


def _records(signal: str, body: bytes) -> Iterator[bytes]:
    outer, middle, inner = _LEVELS[signal]
    kind = EXPORT_SERVICES[signal].request
    for resource in getattr(kind.FromString(body), outer):
        for scope in getattr(resource, middle):
            for record in getattr(scope, inner):
                one = kind()
                of_resource = getattr(one, outer).add()
                of_resource.resource.CopyFrom(resource.resource)
                of_resource.schema_url = resource.schema_url
                of_scope = getattr(of_resource, middle).add()
                of_scope.scope.CopyFrom(scope.scope)
                of_scope.schema_url = scope.schema_url
                getattr(of_scope, inner).append(record)
                yield one.SerializeToString()


def singles(requests: Iterable[Request]) -> list[Request]:
    """Every record as a request of its own."""
    return [Request(r.signal, body, 1) for r in requests for body in _records(r.signal, r.body)]


def joined(requests: Sequence[Request], size: int) -> list[Request]:
    """Requests of one signal put together, `size` at a time."""
    groups = [requests[i : i + size] for i in range(0, len(requests), size)]
    return [Request(g[0].signal, b"".join(r.body for r in g), sum(r.items for r in g)) for g in groups]


def spans_in(bodies: Iterable[bytes]) -> list[bytes]:
    """Every span of serialized trace requests, each with its resource and scope, in an order of its own."""
    return sorted(one for body in bodies for one in _records("traces", body))


def span_ids(bodies: Iterable[bytes]) -> list[bytes]:
    """The ids of every span of serialized trace requests, as they come."""
    found = []
    for body in bodies:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            found += [span.span_id for scope in resource.scope_spans for span in scope.spans]
    return found
