"""Spans that `run` sends to a real Phoenix, read back through its REST API, with the conventions that nobody changed
and with OpenInference's beside them. Phoenix keeps no links.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from receiver import config, semconv
from receiver.app.builder_settings import builder_settings
from receiver.errors import ConfigError
from tests.interop.backends import Phoenix, until
from tests.interop.captures import NESTED, SKILL_AND_MCP, TASK_CHILD, Expected, attributes, capture, captures
from tests.interop.stories import hosted
from tests.support.processes import Receiver, renamed

pytestmark = [pytest.mark.interop, pytest.mark.backend("phoenix")]

RECORDINGS = (SKILL_AND_MCP, NESTED, TASK_CHILD)
KINDS = {"invoke_agent": "AGENT", "chat": "LLM", "execute_tool": "TOOL"}  # Phoenix's, by gen_ai.operation.name
KIND = "openinference.span.kind"
BOTH = ("gen_ai", "openinference")


def _refusal(conventions: tuple[str, ...]) -> str:
    """Why this version does not write these conventions; nothing if it does."""
    text = f"connectors: {{agenttrace: {{conventions: [{', '.join(conventions)}]}}}}"
    try:
        builder_settings(config.load([("test", text)], [], {"HOME": "/nowhere"}).connector)
    except ConfigError as error:
        return str(error)
    return ""


@pytest.fixture(scope="module", params=[("gen_ai",), BOTH], ids="+".join)
def conventions(request):
    """Which attribute names are written."""
    return request.param


@pytest.fixture(scope="module")
def phoenix(conventions, tmp_path_factory):
    """Phoenix, after everything was sent to it by `run`."""
    if why := _refusal(conventions):
        pytest.skip(why)
    started = Phoenix(tmp_path_factory.mktemp("phoenix")).start()
    receiver = Receiver(tmp_path_factory.mktemp("receiver"), settle="1s", idle_timeout="3s", inactivity_timeout="6s")
    receiver.settings["connectors"]["agenttrace"]["conventions"] = list(conventions)
    receiver.settings["exporters"] = {"otlp_grpc": {"endpoint": f"http://127.0.0.1:{started.port}"}}
    receiver.start()
    try:
        receiver.send(*captures(*RECORDINGS))
        expected = Expected(receiver.expected(captures(*RECORDINGS)))
        until(lambda: len(list(_pages(started, "spans"))) >= len(expected.spans), "every span")
        yield started, expected
    finally:
        receiver.kill()
        started.stop()


def _pages(phoenix: Phoenix, what: str, project: str = "default") -> Iterator[dict[str, Any]]:
    cursor: dict[str, str] = {}
    while True:
        answer = phoenix.ask(f"/v1/projects/{project}/{what}", limit=100, **cursor) or {"data": [], "next_cursor": None}
        yield from answer["data"]
        if not answer["next_cursor"]:
            return
        cursor = {"cursor": answer["next_cursor"]}


def _spans(phoenix: Phoenix) -> dict[str, dict[str, Any]]:
    return {span["context"]["span_id"]: span for span in _pages(phoenix, "spans")}


def test_every_span_is_there_once_in_its_trace_below_its_parent(phoenix):
    started, expected = phoenix
    assert len(list(_pages(started, "spans"))) == len(expected.spans)
    came = {key: (span["context"]["trace_id"], span["parent_id"] or "") for key, span in _spans(started).items()}
    assert came == {key: (span.trace_id.hex(), span.parent_span_id.hex()) for key, span in expected.by_id.items()}


def test_each_trace_has_one_root(phoenix):
    started, expected = phoenix
    roots = [span["context"]["trace_id"] for span in _spans(started).values() if not span["parent_id"]]
    assert sorted(roots) == sorted(expected.traces)


def test_names_and_attributes_are_the_ones_of_build(phoenix):
    started, expected = phoenix
    for key, span in _spans(started).items():
        ours = expected.by_id[key]
        assert span["name"] == ours.name
        said = {**span["attributes"], KIND: span["span_kind"]}
        for name, value in attributes(ours).items():
            assert said[name] == value, name


def test_it_knows_agents_models_and_tools(phoenix, conventions):
    started, expected = phoenix
    for key, span in _spans(started).items():
        operation = attributes(expected.by_id[key]).get(semconv.OPERATION_NAME)
        if operation:
            assert span["span_kind"] == KINDS[operation], span["name"]
    stated = [KIND in attributes(span) for span in expected.spans]
    assert all(stated) if conventions == BOTH else not any(stated)


def test_each_trace_is_in_a_session_of_its_own(phoenix):
    """Phoenix puts a trace into one session: that of the span that came last, which may be a child's."""
    started, expected = phoenix
    found = {trace["trace_id"]: one["session_id"] for one in _pages(started, "sessions") for trace in one["traces"]}
    assert set(found) == set(expected.traces)
    for trace, session in found.items():
        assert session in {attributes(span)[semconv.SESSION_ID] for span in expected.traces[trace]}


def test_it_counts_the_tokens_of_model_requests(phoenix):
    started, expected = phoenix
    for one in _pages(started, "traces"):
        asked = [span for span in expected.traces[one["trace_id"]] if span.name.startswith("chat")]
        told = [
            sum(attributes(span).get(key, 0) for span in asked) for key in (semconv.INPUT_TOKENS, semconv.OUTPUT_TOKENS)
        ]
        assert [one["token_count_prompt"], one["token_count_completion"]] == told


@pytest.mark.parametrize("conventions", [BOTH], indirect=True, ids="+".join, scope="module")
def test_linked_sessions_are_sessions_of_their_own_in_the_producers_project(phoenix, tmp_path):
    """The project is the one that the producer's resource names, which the receiver keeps."""
    started, _ = phoenix
    receiver = Receiver(tmp_path, settle="1s", idle_timeout="3s", inactivity_timeout="6s", child_sessions="linked")
    receiver.settings["exporters"] = {"otlp_grpc": {"endpoint": f"http://127.0.0.1:{started.port}"}}
    receiver.start()
    requests = hosted(renamed(capture(NESTED), "Ph"), **{"openinference.project.name": "agents"})
    try:
        receiver.send(*requests)
        expected = Expected(receiver.expected(requests))
        until(lambda: len(list(_pages(started, "spans", "agents"))) == len(expected.spans), "every span")
    finally:
        receiver.kill()
    found = {trace["trace_id"]: s["session_id"] for s in _pages(started, "sessions", "agents") for trace in s["traces"]}
    assert found == {t: attributes(spans[0])[semconv.SESSION_ID] for t, spans in expected.traces.items()}
    assert len(set(found.values())) == len(found) > 1
