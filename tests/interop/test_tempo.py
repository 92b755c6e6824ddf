"""Spans that `run` sends to a real Tempo, read back by id and found by TraceQL: the trees that `build` makes, within
the limits that Tempo enforces. Tempo runs with deploy/tempo.yaml.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from receiver import semconv
from tests.interop.backends import Tempo, until
from tests.interop.captures import NESTED, SKILL_AND_MCP, SLASH, TASK_CHILD, Expected, attributes, capture, captures
from tests.support.processes import Receiver

pytestmark = [pytest.mark.interop, pytest.mark.backend("tempo")]

RECORDINGS = (SKILL_AND_MCP, NESTED, TASK_CHILD, SLASH)
SOON = {"settle": "1s", "idle_timeout": "3s", "inactivity_timeout": "6s"}


def _receiver(folder: Any, tempo: Tempo) -> Receiver:
    made = Receiver(folder, **SOON)
    made.settings["exporters"] = {"otlp_grpc": {"endpoint": f"http://127.0.0.1:{tempo.port}"}}
    return made.start()


@pytest.fixture(scope="module")
def tempo(tmp_path_factory):
    """Tempo, after everything was sent to it by `run`."""
    started = Tempo(tmp_path_factory.mktemp("tempo")).start()
    receiver = _receiver(tmp_path_factory.mktemp("receiver"), started)
    try:
        receiver.send(*captures(*RECORDINGS))
        expected = Expected(receiver.expected(captures(*RECORDINGS)))
        for trace, spans in expected.traces.items():
            until(lambda trace=trace, spans=spans: len(started.spans(trace)) >= len(spans), f"trace {trace}")
        # Ten seconds after its beginning Tempo writes down what it has of a trace, and searches the pieces one by one
        # until they become a block, which this makes them do now. Only then can a search see from one to another.
        started.ask("/flush")
        yield started, expected
    finally:
        receiver.kill()
        started.stop()


def _values(span: dict[str, Any]) -> dict[str, Any]:
    return {one["key"]: _plain(one["value"]) for one in span["attributes"]}


def _plain(value: dict[str, Any]) -> Any:
    ((kind, plain),) = value.items()
    if kind == "arrayValue":
        return [_plain(one) for one in plain.get("values", ())]
    return int(plain) if kind == "intValue" else plain


def _having(expected: Expected, key: str, value: str) -> set[str]:
    return {span.trace_id.hex() for span in expected.spans if attributes(span).get(key) == value}


def test_each_trace_has_every_span_once_with_the_right_parents(tempo):
    started, expected = tempo
    for trace, spans in expected.traces.items():
        came = {Tempo.id(span["spanId"]): Tempo.id(span.get("parentSpanId")) for span in started.spans(trace)}
        assert came == {span.span_id.hex(): span.parent_span_id.hex() for span in spans}
        assert len(started.spans(trace)) == len(spans)
        assert list(came.values()).count("") == 1


def test_names_times_and_attributes_are_the_ones_of_build(tempo):
    started, expected = tempo
    for trace in expected.traces:
        for span in started.spans(trace):
            ours = expected.by_id[Tempo.id(span["spanId"])]
            assert span["name"] == ours.name
            assert int(span["startTimeUnixNano"]) == ours.start_time_unix_nano
            assert int(span["endTimeUnixNano"]) == ours.end_time_unix_nano
            assert _values(span) == attributes(ours)


def test_links_are_there(tempo):
    started, expected = tempo
    linked = [span for span in expected.spans if span.links]
    assert linked
    for ours in linked:
        (span,) = (s for s in started.spans(ours.trace_id.hex()) if Tempo.id(s["spanId"]) == ours.span_id.hex())
        came = [(Tempo.id(link["traceId"]), Tempo.id(link["spanId"]), _values(link)) for link in span["links"]]
        assert came == [(link.trace_id.hex(), link.span_id.hex(), attributes(link)) for link in ours.links]


@pytest.mark.parametrize("key", [semconv.SESSION_ID, semconv.MCP_SERVER, semconv.TOOL_NAME])
def test_traceql_finds_by(tempo, key):
    started, expected = tempo
    values = {attributes(span)[key] for span in expected.spans if key in attributes(span)}
    assert values
    for value in values:
        wanted = _having(expected, key, value)
        until(lambda value=value, wanted=wanted: set(started.found(f'{{ span.{key} = "{value}" }}')) == wanted, value)


def test_traceql_walks_from_a_task_call_to_what_its_child_session_did(tempo):
    started, expected = tempo
    query = '{ name =~ "execute_tool task .*" } >> { span.gen_ai.tool.name = "bash" }'
    runs = [span for span in expected.spans if attributes(span).get(semconv.TOOL_NAME) == "bash"]
    below = {run.trace_id.hex() for run in runs if any("tool task" in above.name for above in _up(run, expected))}
    assert below
    until(lambda: set(started.found(query)) == below, "the search")


def _up(span: Any, expected: Expected) -> Iterator[Any]:
    while span.parent_span_id:
        span = expected.by_id[span.parent_span_id.hex()]
        yield span


def test_a_trace_has_its_root_for_a_name(tempo):
    started, expected = tempo
    roots = {span.trace_id.hex(): span for span in expected.spans if not span.parent_span_id}
    found = until(lambda: (f := started.found("{ }")) and set(f) >= set(roots) and f, "every trace")
    for trace, root in roots.items():
        assert found[trace]["rootTraceName"] == root.name
        assert found[trace]["rootServiceName"] == "opencode"


def test_nothing_was_refused_or_cut(tempo):
    started, expected = tempo
    assert started.counted("tempo_distributor_spans_received_total") == len(expected.spans)
    assert started.counted("tempo_discarded_spans_total") == 0
    # attributes are cut at 2,048 bytes where Tempo has that limit (3.x)
    assert all(len(str(value)) <= 2048 for span in expected.spans for value in attributes(span).values())


def test_a_trace_beyond_its_limit_is_refused_and_the_next_one_is_not(tmp_path, tmp_path_factory):
    small = Tempo(tmp_path_factory.mktemp("small"), tempo_max_bytes_per_trace=9000).start()
    receiver = _receiver(tmp_path, small)
    try:
        receiver.send(*capture(NESTED))
        until(lambda: small.counted("tempo_discarded_spans_total"), "a refusal")
        receiver.send(*capture(SLASH))
        wanted = Expected(receiver.expected(capture(SLASH))).traces
        for trace, spans in wanted.items():
            until(lambda trace=trace, spans=spans: len(small.spans(trace)) >= len(spans), f"trace {trace}")
    finally:
        receiver.kill()
        small.stop()
