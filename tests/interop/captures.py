"""What the interop tests send and what they expect: recordings of tests/golden, and the spans that `build` makes of
them. Where a comparison differs, it names the spans.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from receiver import semconv
from receiver.model import Request
from tests.golden.rewrite import HERE, RECORDINGS, requests_of
from tests.support.otlp_requests import spans_in

ALL = tuple(f"{one.parent.name}/{one.name}" for one in RECORDINGS)
SKILL_AND_MCP = "B/02-skill-mcp-jsonbody"
NESTED = "C/04-parallel-nested"
TASK_CHILD = "A/03-task-child"
SLASH = "A/05-slash-command"
SLASH_RELAY = "C/05-slash-command"


def capture(name: str) -> list[Request]:
    """The requests of a recording."""
    return requests_of(HERE / name)


def captures(*names: str) -> list[Request]:
    """The requests of several, one after the other."""
    return [request for name in names for request in capture(name)]


def folder(name: str) -> Path:
    """Where a recording's requests lie."""
    return HERE / name / "otlp"


class Expected:
    """The spans that `build` makes, as a backend's answers are held against them."""

    def __init__(self, spans: Iterable[bytes]) -> None:
        self.spans = [span for one in spans for span in _spans(one)]
        self.by_id = {span.span_id.hex(): span for span in self.spans}

    @property
    def traces(self) -> dict[str, list[Any]]:
        """The spans of each trace, by its id."""
        found: dict[str, list[Any]] = {}
        for span in self.spans:
            found.setdefault(span.trace_id.hex(), []).append(span)
        return found


def _spans(body: bytes) -> list[Any]:
    request = ExportTraceServiceRequest.FromString(body)
    return [s for resource in request.resource_spans for scope in resource.scope_spans for s in scope.spans]


def attributes(span: Any) -> dict[str, Any]:
    """A span's attributes, by name, as Python's values."""
    return {one.key: plain(one.value) for one in span.attributes}


def plain(value: Any) -> Any:
    """An AnyValue as Python's."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(one) for one in value.array_value.values]
    return getattr(value, kind) if kind else None


def session_of(span: Any) -> str:
    """The session that a span belongs to."""
    return str(attributes(span)[semconv.SESSION_ID])


def same(came: Iterable[bytes], expected: Iterable[bytes]) -> None:
    """Fail unless both hold the same spans: ids, parents, names, times, attributes, links, resource and scope."""
    ours, theirs = set(map(_meant, expected)), set(map(_meant, spans_in(came)))
    missing, more = ours - theirs, theirs - ours
    assert not missing, f"missing or changed: {_shown(missing)}; came instead: {_shown(more)}"
    assert not more, f"too many: {_shown(more)}"


def _meant(body: bytes) -> bytes:
    """One span, with what means the same written in the same way: the Collector writes a status that says nothing."""
    request = ExportTraceServiceRequest.FromString(body)
    request.resource_spans[0].resource.SetInParent()
    request.resource_spans[0].scope_spans[0].scope.SetInParent()
    request.resource_spans[0].scope_spans[0].spans[0].status.SetInParent()
    return request.SerializeToString()


def _shown(bodies: Iterable[bytes]) -> str:
    first = [MessageToDict(ExportTraceServiceRequest.FromString(one)) for one in sorted(bodies)[:2]]
    return json.dumps(first, indent=1)[:4000]
