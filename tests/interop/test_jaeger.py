"""Spans that `run` sends to a real Jaeger, read back through its query APIs: the trees that `build` makes, found by the
attributes that people look for, and nothing for Jaeger's adjusters to complain of.
"""

from __future__ import annotations

import json

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from receiver import semconv
from receiver.core.state.settings import BuilderSettings
from receiver.pipeline.offline import build
from tests.interop.backends import Jaeger, until
from tests.interop.captures import NESTED, SKILL_AND_MCP, SLASH, TASK_CHILD, Expected, attributes, captures
from tests.support.processes import Receiver

pytestmark = [pytest.mark.interop, pytest.mark.backend("jaeger")]

RECORDINGS = (SKILL_AND_MCP, NESTED, TASK_CHILD, SLASH)
SERVICE = "opencode"


@pytest.fixture(scope="module")
def jaeger(tmp_path_factory):
    """Jaeger, after everything was sent to it by `run`."""
    started = Jaeger(tmp_path_factory.mktemp("jaeger")).start()
    receiver = Receiver(tmp_path_factory.mktemp("receiver"), settle="1s", idle_timeout="3s", inactivity_timeout="6s")
    receiver.settings["exporters"] = {"otlp_grpc": {"endpoint": f"http://127.0.0.1:{started.port}"}}
    receiver.start()
    try:
        receiver.send(*captures(*RECORDINGS))
        expected = Expected(receiver.expected(captures(*RECORDINGS)))
        for trace, spans in expected.traces.items():
            until(lambda trace=trace, spans=spans: len(started.spans(trace)) >= len(spans), f"trace {trace}")
        yield started, expected
    finally:
        receiver.kill()
        started.stop()


def _found(jaeger: Jaeger, expected: Expected, **tags: str) -> set[str]:
    """The traces that Jaeger's search finds by tags."""
    starts = [span.start_time_unix_nano // 1000 for span in expected.spans]
    answer = jaeger.ask(
        "/api/traces",
        service=SERVICE,
        tags=json.dumps(tags),
        start=min(starts) - 1,
        end=max(starts) + 1,
        limit=1000,
    )
    return {one["traceID"] for one in answer["data"]}


def _wanted(expected: Expected, key: str, value: str) -> set[str]:
    return {span.trace_id.hex() for span in expected.spans if attributes(span).get(key) == value}


def test_each_trace_has_every_span_once(jaeger):
    started, expected = jaeger
    for trace, spans in expected.traces.items():
        came = [span["spanID"] for span in started.spans(trace)]
        assert sorted(came) == sorted(span.span_id.hex() for span in spans)


def test_each_trace_has_one_root_and_the_right_parents(jaeger):
    started, expected = jaeger
    for trace in expected.traces:
        spans = started.spans(trace)
        assert len([span for span in spans if not Jaeger.parent(span)]) == 1
        for span in spans:
            assert Jaeger.parent(span) == expected.by_id[span["spanID"]].parent_span_id.hex()


def test_names_times_and_attributes_are_the_ones_of_build(jaeger):
    started, expected = jaeger
    for trace in expected.traces:
        for span in started.spans(trace):
            ours = expected.by_id[span["spanID"]]
            assert span["operationName"] == ours.name
            assert span["startTime"] == ours.start_time_unix_nano // 1000
            tags = {tag["key"]: tag["value"] for tag in span["tags"]}
            for key, value in attributes(ours).items():
                assert tags[key] == (json.dumps(value, separators=(",", ":")) if isinstance(value, list) else value)


def test_links_are_there(jaeger):
    started, expected = jaeger
    linked = [span for span in expected.spans if span.links]
    assert linked
    for ours in linked:
        (span,) = (one for one in started.spans(ours.trace_id.hex()) if one["spanID"] == ours.span_id.hex())
        followed = {(r["traceID"], r["spanID"]) for r in span["references"] if r["spanID"] != Jaeger.parent(span)}
        assert followed == {(link.trace_id.hex(), link.span_id.hex()) for link in ours.links}


def test_links_keep_their_attributes_in_the_newer_api(jaeger):
    started, expected = jaeger
    for ours in (span for span in expected.spans if span.links):
        answer = started.ask(f"/api/v3/traces/{ours.trace_id.hex()}")
        resources = answer["result"]["resourceSpans"]
        spans = [span for r in resources for scope in r["scopeSpans"] for span in scope["spans"]]
        (span,) = (one for one in spans if one["spanId"] == ours.span_id.hex())
        (link,) = span["links"]
        assert {"key": semconv.LINK_TYPE, "value": {"stringValue": "child_session"}} in link["attributes"]


@pytest.mark.parametrize("key", [semconv.SESSION_ID, semconv.MCP_SERVER, semconv.TOOL_NAME])
def test_it_is_found_by(jaeger, key):
    started, expected = jaeger
    values = {attributes(span)[key] for span in expected.spans if key in attributes(span)}
    assert values
    for value in values:
        assert _found(started, expected, **{key: value}) == _wanted(expected, key, value)


def test_a_tool_of_one_server_is_found(jaeger):
    started, expected = jaeger
    wanted = {semconv.MCP_SERVER: "team-notes", semconv.TOOL_NAME: "list-notes"}
    assert len(_found(started, expected, **wanted)) == 1
    assert not _found(started, expected, **{**wanted, semconv.TOOL_NAME: "no-such-tool"})


def test_failed_calls_are_errors_and_found_by_their_kind(jaeger):
    """Not searched for by `error=true`: the memory storage of this release looks for the opposite of it."""
    started, expected = jaeger
    for trace in expected.traces:
        for span in started.spans(trace):
            failed = expected.by_id[span["spanID"]].status.code == Status.STATUS_CODE_ERROR
            assert ({"key": "error", "type": "bool", "value": True} in span["tags"]) == failed
    for kind in {attributes(span).get(semconv.ERROR_TYPE) for span in expected.spans} - {None}:
        key = semconv.ERROR_TYPE
        assert _found(started, expected, **{key: kind}) == _wanted(expected, key, kind)


def test_the_adjusters_have_no_warnings(jaeger):
    """Clock skew, duplicate ids, missing parents. Jaeger compares a child's time with its parent's only where the two
    do not name one host, so the recordings of a producer that names none may have that one."""
    started, expected = jaeger
    named = Expected(build(captures(SKILL_AND_MCP, TASK_CHILD, SLASH), BuilderSettings()).requests()).traces
    for trace in expected.traces:
        shown = [(span["operationName"], w) for span in started.spans(trace) for w in span["warnings"] or ()]
        for warnings in (shown, started.warnings(trace)):
            if trace in named:
                assert not warnings
            else:
                assert warnings
                assert all("clock skew adjustment disabled" in said for _, said in warnings)


def test_the_service_and_its_operations_are_listed(jaeger):
    started, _ = jaeger
    assert SERVICE in started.ask("/api/services")["data"]
    operations = started.ask(f"/api/services/{SERVICE}/operations")["data"]
    assert {"execute_tool bash", "tools/call list-notes", "execute_tool skill release-notes"} <= set(operations)
