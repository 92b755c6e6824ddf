"""What users can ask for and what life brings, sent by `run` to a real Jaeger and a real Tempo at once: each of the
trace modes, sessions that go on, records that come too late, long texts. Both show what `build` makes, and Jaeger's
adjusters have nothing to say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from receiver import semconv
from receiver.model import Request
from tests.interop.backends import Jaeger, Tempo, until
from tests.interop.captures import ALL, NESTED, SLASH_RELAY, TASK_CHILD, Expected, attributes, captures
from tests.interop.stories import hosted, in_time, resumed, too_late, wordy
from tests.support.processes import Receiver, renamed

pytestmark = [pytest.mark.interop, pytest.mark.backend("jaeger"), pytest.mark.backend("tempo")]

SOON = {"settle": "1s", "idle_timeout": "3s", "inactivity_timeout": "6s"}
CONTENT = ["prompts", "arguments", "results", "paths", "titles", "errors"]
RECORDED = (NESTED, SLASH_RELAY, TASK_CHILD)
LINK_TYPES = {
    "linked": {"task_call", "child_session"},
    "turns": {"child_session"},
    "resumed": {"continued_from", "child_session"},
}


@dataclass
class Sent:
    """What a mode made of its records."""

    expected: Expected
    jaeger: Jaeger
    tempo: Tempo

    def arrived(self) -> None:
        """Return when both have every span."""
        for trace, ours in self.expected.traces.items():
            for backend in (self.jaeger, self.tempo):
                until(lambda b=backend, t=trace, spans=ours: len(b.spans(t)) >= len(spans), f"trace {trace}")


@pytest.fixture(scope="module")
def backends(tmp_path_factory):
    """Jaeger and Tempo."""
    started = Jaeger(tmp_path_factory.mktemp("jaeger")), Tempo(tmp_path_factory.mktemp("tempo"))
    for one in started:
        one.start()
    yield started
    for one in started:
        one.stop()


def sending(folder: Path, jaeger: Jaeger, tempo: Tempo, **connector: Any) -> Receiver:
    """A receiver that sends to both."""
    made = Receiver(folder, **SOON)
    made.settings["connectors"]["agenttrace"].update(connector)
    ends = {"otlp_grpc/jaeger": jaeger.port, "otlp_grpc/tempo": tempo.port}
    made.settings["exporters"] = {name: {"endpoint": f"http://127.0.0.1:{port}"} for name, port in ends.items()}
    made.settings["service"]["pipelines"] = {
        **{name: {"receivers": ["otlp"], "exporters": ["agenttrace"]} for name in ("logs", "metrics", "traces/in")},
        "traces": {"receivers": ["agenttrace"], "exporters": list(ends)},
    }
    return made.start()


MODES: dict[str, tuple[dict[str, Any], Callable[[], list[Request]]]] = {
    "linked": ({"child_sessions": "linked"}, lambda: renamed(hosted(captures(*RECORDED)), "Li")),
    "turns": ({"trace_mode": "turn"}, lambda: renamed(hosted(captures(*RECORDED)), "Tu")),
    "markers": ({"live_markers": True}, lambda: renamed(hosted(captures(*RECORDED)), "Ma")),
    "both conventions": ({"conventions": ["gen_ai", "openinference"]}, lambda: renamed(captures(TASK_CHILD), "Bo")),
    "all recordings": ({}, lambda: renamed(hosted(captures(*ALL)), "Al")),
    "resumed": ({}, resumed),
    "long texts": ({"capture_content": CONTENT}, wordy),
}


@pytest.fixture(scope="module", params=MODES)
def mode(request):
    """Each of them."""
    return request.param


@pytest.fixture(scope="module")
def sent(mode, backends, tmp_path_factory):
    """The backends, after the records of a mode came to them."""
    connector, records = MODES[mode]
    receiver = sending(tmp_path_factory.mktemp("receiver"), *backends, **connector)
    try:
        receiver.send(*records())
        found = Sent(Expected(receiver.expected(records())), *backends)
        found.arrived()
        yield found
    finally:
        receiver.kill()


def test_jaeger_shows_the_trees_of_build_without_warnings(sent):
    for trace, ours in sent.expected.traces.items():
        spans = sent.jaeger.spans(trace)
        came = sorted((span["spanID"], Jaeger.parent(span), span["operationName"]) for span in spans)
        assert came == sorted((one.span_id.hex(), one.parent_span_id.hex(), one.name) for one in ours)
        assert [Jaeger.parent(span) for span in spans].count("") == 1
        warnings = [(name, text.partition(" Original")[0]) for name, text in sent.jaeger.warnings(trace)]
        assert sorted(warnings) == sorted(sanitized(ours))


def sanitized(spans: list[Any]) -> list[tuple[str, str]]:
    """What Jaeger says when it takes spans without a duration, such as markers: it makes them a nanosecond long."""
    said = "Negative duration detected, sanitizing end timestamp."
    return [(one.name, said) for one in spans if one.start_time_unix_nano == one.end_time_unix_nano]


def test_tempo_shows_the_trees_of_build(sent):
    for trace, ours in sent.expected.traces.items():
        # Tempo shows nothing for a moment of what it showed before, while it makes a block of it
        came = until(lambda trace=trace: sent.tempo.spans(trace), f"trace {trace} in Tempo")
        assert sorted((Tempo.id(s["spanId"]), Tempo.id(s.get("parentSpanId")), s["name"]) for s in came) == sorted(
            (one.span_id.hex(), one.parent_span_id.hex(), one.name) for one in ours
        )


def test_links_lead_to_spans_that_are_there(sent, mode):
    types = set()
    for ours in (span for span in sent.expected.spans if span.links):
        (shown,) = (s for s in sent.jaeger.spans(ours.trace_id.hex()) if s["spanID"] == ours.span_id.hex())
        followed = {(r["traceID"], r["spanID"]) for r in shown["references"] if r["spanID"] != Jaeger.parent(shown)}
        assert followed == {(link.trace_id.hex(), link.span_id.hex()) for link in ours.links}
        for link in ours.links:
            types.add(attributes(link)[semconv.LINK_TYPE])
            assert link.span_id.hex() in {span["spanID"] for span in sent.jaeger.spans(link.trace_id.hex())}
    assert types >= LINK_TYPES.get(mode, set())


def test_each_session_is_found_by_its_id(sent):
    sessions: dict[str, set[str]] = {}
    for span in sent.expected.spans:
        sessions.setdefault(str(attributes(span)[semconv.SESSION_ID]), set()).add(span.trace_id.hex())
    for session, traces in sessions.items():
        query = f'{{ span.session.id = "{session}" }}'
        until(lambda query=query, traces=traces: set(sent.tempo.found(query)) == traces, query)


def test_traceql_walks_down_the_trees_and_along_the_links(sent):
    sent.tempo.ask("/flush")  # see test_tempo
    deep = {trace for trace, spans in sent.expected.traces.items() if len(spans) > 1}
    until(lambda: set(sent.tempo.found("{ } >> { }")) >= deep, "the search for spans below spans")
    roots = {trace for trace, spans in sent.expected.traces.items() if not depths(spans) <= {0, 1}}
    query = "{ nestedSetParent < 0 } > { } > { }"
    until(lambda: set(sent.tempo.found(query)) & set(sent.expected.traces) == roots, query)
    for ours in (span for span in sent.expected.spans if span.links):
        for link in ours.links:
            query, trace = f'{{ link:spanID = "{link.span_id.hex()}" }}', ours.trace_id.hex()
            until(lambda query=query, trace=trace: trace in sent.tempo.found(query), query)


def depths(spans: list[Any]) -> set[int]:
    """How far below its root each span lies."""
    above = {span.span_id: span.parent_span_id for span in spans}

    def depth(span: bytes) -> int:
        return 1 + depth(above[span]) if above[span] else 0

    return set(map(depth, above))


def test_what_comes_too_late_hangs_below_its_session_without_warnings(backends, tmp_path):
    receiver = sending(tmp_path, *backends)
    try:
        receiver.send(*in_time())
        found = Sent(Expected(receiver.expected(in_time())), *backends)
        found.arrived()
        ((trace, ours),) = found.expected.traces.items()
        (root,) = (span for span in ours if not span.parent_span_id)
        receiver.send(*too_late())
        for backend in backends:
            until(lambda b=backend: len(b.spans(trace)) == len(ours) + 2, "the late spans")
        spans = found.jaeger.spans(trace)
        late = [span for span in spans if {"key": semconv.LATE, "type": "bool", "value": True} in span["tags"]]
        assert {span["operationName"] for span in late} == {"execute_tool grep", "execute_tool glob"}
        assert {Jaeger.parent(span) for span in late} == {root.span_id.hex()}
        assert found.jaeger.warnings(trace) == []
    finally:
        receiver.kill()


def test_tempo_keeps_long_texts_as_they_are_cut_and_refuses_nothing(sent, mode):
    if mode != "long texts":
        return
    (trace,) = sent.expected.traces
    sizes = [
        len(one["value"].get("stringValue", "").encode()) for s in sent.tempo.spans(trace) for one in s["attributes"]
    ]
    assert max(sizes) <= 2048  # Tempo's own limit (3.x), of which this version has none yet
    assert max(sizes) > 2040
    assert sent.tempo.counted("tempo_discarded_spans_total") == 0
    values = sent.tempo.ask("/api/v2/search/tag/span.opencode.session.title/values")["tagValues"]
    assert any(one["value"].startswith("Zeile") for one in values)
