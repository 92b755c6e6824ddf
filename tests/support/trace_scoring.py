"""Judging built traces by the truth of a run: what the agent's own store says its sessions and calls were.

The truth is a list of sessions as `tests/agent_lab/truth.py` reads them (`expected.json`): id, parent_id, title and
tool_calls, each with callID, partID, tool, status, start and end (ms) and child_session. The rules:

laws      one root a trace; every parent is exported in the same trace; no span id twice; end >= start; a session's
          span covers everything below it, but what is marked `opencode.late`.
sessions  a session that the input told of has a span.
calls     a finished call of such a session has one span of its own, of its tool, with its id where the span has one;
          its duration is right to 2 ms, and its status is ERROR exactly where the call failed. Among several spans
          that could be it, the nearest in time is taken.
edges     a child session's first span hangs below the span of the task call that made it, and that span links to it.
          Below the parent session's own span is `loose`: not wrong, but less than could be known.
wrong     a child session below any other span: an invention.

Only what the input contains can be asked for: a process that ends in haste does not send its last events.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

SCOPE = "opencode-trace-receiver"
MS = 1_000_000
TOLERANCE = 2.0  # ms: the agent keeps whole milliseconds at both ends


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One exported span. Times in nanoseconds; `links` are the span ids that it points to."""

    trace: bytes
    id: bytes
    parent: bytes
    name: str
    start: int
    end: int
    failed: bool
    attributes: Mapping[str, Any]
    links: tuple[bytes, ...]

    @property
    def session(self) -> str | None:
        """Id of the session that the span belongs to."""
        return self.attributes.get("session.id")

    @property
    def is_session(self) -> bool:
        """Whether the span is a session's own."""
        return self.attributes.get("gen_ai.operation.name") == "invoke_agent"

    @property
    def is_call(self) -> bool:
        """Whether the span is a tool call's."""
        return self.attributes.get("gen_ai.operation.name") == "execute_tool"

    @property
    def tool(self) -> str | None:
        """The tool, as OpenCode names it."""
        return self.attributes.get("opencode.tool.name") or self.attributes.get("gen_ai.tool.name")

    @property
    def ms(self) -> float:
        """Duration in milliseconds."""
        return (self.end - self.start) / MS


@dataclass(slots=True)
class Score:
    """How much of the truth was found. `notes` say in words what was not."""

    sessions: int = 0
    sessions_ok: int = 0
    calls: int = 0
    calls_ok: int = 0
    calls_missing: int = 0
    calls_extra: int = 0
    calls_untold: int = 0
    edges: int = 0
    edges_ok: int = 0
    edges_loose: int = 0
    edges_missing: int = 0
    wrong: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def perfect(self) -> bool:
        """Whether all that the input told of was found, and nothing was invented."""
        found = (self.sessions_ok, self.calls_ok, self.edges_ok)
        return found == (self.sessions, self.calls, self.edges) and not self.wrong

    def __str__(self) -> str:
        return (
            f"sessions {self.sessions_ok}/{self.sessions} · calls {self.calls_ok}/{self.calls} (missing "
            f"{self.calls_missing}, extra {self.calls_extra}, not told {self.calls_untold}) · edges {self.edges_ok}/"
            f"{self.edges} (loose {self.edges_loose}, missing {self.edges_missing}) · wrong {self.wrong}"
        )


def spans_of(requests: Iterable[bytes]) -> list[Seen]:
    """The built spans in serialized ExportTraceServiceRequests; spans of other scopes were handed on, not built."""
    found = []
    for request in requests:
        for resource in ExportTraceServiceRequest.FromString(request).resource_spans:
            for scope in resource.scope_spans:
                if scope.scope.name != SCOPE:
                    continue
                found.extend(_seen(span) for span in scope.spans)
    return found


def _seen(span: Span) -> Seen:
    return Seen(
        trace=span.trace_id,
        id=span.span_id,
        parent=span.parent_span_id,
        name=span.name,
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        failed=span.status.code == Status.STATUS_CODE_ERROR,
        attributes={a.key: _plain(a.value) for a in span.attributes},
        links=tuple(link.span_id for link in span.links),
    )


def _plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_plain(v) for v in value.array_value.values]
    return getattr(value, kind) if kind else None


def laws(spans: Sequence[Seen]) -> list[str]:
    """Every breach of the shape that a trace must have, in words; empty where there is none.

    A parent in another process (the producer's trace context) is not expected here: no scenario has one.
    """
    broken, traces = set(), defaultdict[bytes, dict[bytes, Seen]](dict)
    for span in spans:
        if span.id in traces[span.trace]:
            broken.add(f"span id {span.id.hex()} twice")
        if span.end < span.start:
            broken.add(f"{span.name} ends before it starts")
        traces[span.trace][span.id] = span
    for trace, by_id in traces.items():
        roots = sum(not span.parent for span in by_id.values())
        if roots != 1:
            broken.add(f"trace {trace.hex()} has {roots} roots")
        for span in by_id.values():
            broken.update(_breaches_above(span, by_id))
    return sorted(broken)


def _breaches_above(span: Seen, by_id: Mapping[bytes, Seen]) -> Iterable[str]:
    below, passed = span, {span.id}
    while below.parent:
        above = by_id.get(below.parent)
        if above is None:
            yield f"{below.name} has a parent that was not exported"
            return
        if above.id in passed:
            yield f"{above.name} is below itself"
            return
        passed.add(above.id)
        late = span.attributes.get("opencode.late")  # it came when the session's span had left
        if above.is_session and not late and not (above.start <= span.start and span.end <= above.end):
            yield f"{above.name} does not cover {span.name}"
        below = above


def score(
    spans: Sequence[Seen],
    expected: Sequence[Mapping[str, Any]],
    told_text: bytes,
    told_results: Mapping[tuple[str, str], int] | None = None,
) -> Score:
    """Holds built spans against the truth.

    `told_text` is the input's bytes: a session whose id is not in them cannot be known. `told_results` counts the
    results that the input tells of for (session id, tool), for producers whose calls have no ids; None: all are told.
    """
    result = Score()
    matched = _score_calls(result, spans, expected, told_text, told_results)
    _score_edges(result, spans, expected, matched)
    known = {session["id"] for session in expected}  # a deleted session is not in the agent's store any more
    result.calls_extra = sum(span.is_call and span.session in known and span not in matched for span in spans)
    return result


def _score_calls(
    result: Score,
    spans: Sequence[Seen],
    expected: Sequence[Mapping[str, Any]],
    told_text: bytes,
    told_results: Mapping[tuple[str, str], int] | None,
) -> dict[Seen, tuple[str, str]]:
    """Counts sessions and calls; which call each span was matched with, as (session id, call id)."""
    matched: dict[Seen, tuple[str, str]] = {}
    found: Counter[tuple[str, str]] = Counter()
    with_span = {span.session for span in spans if span.is_session}
    for session in expected:
        if session["id"].encode() not in told_text:
            continue
        result.sessions += 1
        result.sessions_ok += session["id"] in with_span
        if session["id"] not in with_span:
            result.notes.append(f"session {session['id']} {session['title']!r} has no span")
        for call in session["tool_calls"]:
            if call["status"] not in ("completed", "error") or not call.get("end"):
                continue
            if call["end"] < session.get("time_created", 0):
                continue
            kind = (session["id"], call["tool"])
            span = _nearest(call, (s for s in spans if s.is_call and (s.session, s.tool) == kind and s not in matched))
            if span is None and told_results is not None and told_results.get(kind, 0) <= found[kind]:
                result.calls_untold += 1
                continue
            result.calls += 1
            if span is None:
                result.calls_missing += 1
                result.notes.append(f"call {call['callID']} {call['tool']} of {session['title']!r} has no span")
                continue
            matched[span] = (session["id"], call["callID"])
            found[kind] += 1
            ms, failed = call["end"] - call["start"], call["status"] == "error"
            fine = abs(span.ms - ms) <= TOLERANCE and span.failed == failed
            result.calls_ok += fine
            if not fine:
                result.notes.append(
                    f"call {call['callID']} {call['tool']}: {span.ms:.0f} ms, {'failed' if span.failed else 'well'}; "
                    f"expected {ms} ms, {call['status']}"
                )
    return matched


def _nearest(call: Mapping[str, Any], candidates: Iterable[Seen]) -> Seen | None:
    ids = (None, call["callID"], call.get("partID"))
    fitting = [span for span in candidates if span.attributes.get("gen_ai.tool.call.id") in ids]

    def distance(span: Seen) -> float:
        return abs(span.ms - (call["end"] - call["start"])) + abs(span.start / MS - call["start"])

    return min(fitting, key=distance, default=None)


def _score_edges(
    result: Score,
    spans: Sequence[Seen],
    expected: Sequence[Mapping[str, Any]],
    matched: Mapping[Seen, tuple[str, str]],
) -> None:
    truth, by_id = {session["id"]: session for session in expected}, {span.id: span for span in spans}
    for child in expected:
        parent = truth.get(child["parent_id"])
        own = [span for span in spans if span.is_session and span.session == child["id"]]
        if parent is None or not own:
            continue
        result.edges += 1
        first = min(own, key=lambda span: span.start)
        above = by_id.get(first.parent)
        makers = {(parent["id"], c["callID"]) for c in parent["tool_calls"] if c.get("child_session") == child["id"]}
        if above is None:
            result.edges_missing += 1
            result.notes.append(f"{child['title']!r} has no parent")
        elif above.is_call and (matched[above] in makers if above in matched else above.session == parent["id"]):
            # a call's span that no expected call was matched with has the benefit of the doubt: it was not told of
            linked = first.id in above.links
            result.edges_ok += linked
            if not linked:
                result.notes.append(f"the task call of {child['title']!r} has no link to it")
        elif above.is_session and above.session == parent["id"]:
            result.edges_loose += 1
            result.notes.append(f"{child['title']!r} hangs below its parent session, not below its task call")
        else:
            result.wrong += 1
            result.notes.append(f"WRONG: {child['title']!r} hangs below {above.name} of session {above.session}")
