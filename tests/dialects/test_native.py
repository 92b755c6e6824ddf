"""OpenCode's native export: which of its lines and spans are read, and what a recorded run of it becomes."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from receiver.codec.decode import log_records, span_records
from receiver.dialects.native import logs, spans
from receiver.events import CallTold, Discarded, SessionTold, StateTold
from tests.factories import any_value, at, built, key_values, logs_request, spans_request
from tests.laws import canonical
from tests.otlp_splitting import DATA, recorded, singles
from tests.scoring import laws, score, spans_of

NOTHING: frozenset[str] = frozenset()
AGENT = {"service.name": "opencode", "opencode.client": "cli"}
RECORDED = "native-export"  # tasks in parallel and nested: 1.18.33; most sql.execute spans left out
OWN = ("Tool.execute",)


def line(*body: Any, time: float = 1, resource: dict[str, Any] = AGENT):
    """What one line of the application's log tells, once it went over the wire."""
    text = list(body) if len(body) > 1 else body[0]
    record = LogRecord(time_unix_nano=at(time), observed_time_unix_nano=at(time), body=any_value(text))
    return logs(next(log_records(logs_request(record, scope="opencode", resource=resource).body)), NOTHING)


def span(name: str, error: str | None = None, resource: dict[str, Any] = AGENT, **attributes: Any):
    """What one span tells, once it went over the wire."""
    named = {k.replace("__", "."): v for k, v in attributes.items()}
    sent = Span(
        trace_id=b"\x09" * 16,
        span_id=b"\x01" * 8,
        name=name,
        start_time_unix_nano=at(1),
        end_time_unix_nano=at(2),
        attributes=key_values(named),
    )
    if error is not None:
        sent.status.code, sent.status.message = Status.STATUS_CODE_ERROR, error
    record, _ = next(span_records(spans_request(sent, scope="opencode", resource=resource).body))
    return spans(record, NOTHING)


class TestLines:
    def test_a_created_session_is_what_session_created_would_tell(self):
        said = (
            '{"id":"ses_b","version":"1.18.33","projectID":"p","workspaceID":undefined,"parentID":"ses_a",'
            '"title":"is \\"undefined\\": undefined (@explore subagent)","agent":"explore","model":undefined,'
            '"time":{"created":1760000001000}}'
        )
        (told,) = line("created", said)
        assert isinstance(told, SessionTold)
        assert (told.session, told.parent, told.root, told.agent) == ("ses_b", "ses_a", False, "explore")
        assert (told.created, told.version, told.model) == (at(1), "1.18.33", None)
        assert told.title == 'is "undefined": undefined (@explore subagent)'

    def test_a_session_without_a_parent_is_a_root(self):
        (told,) = line("created", '{"id":"ses_a","parentID":undefined,"time":{"created":1760000001000}}')
        assert (told.parent, told.root) == (None, True)

    @pytest.mark.parametrize(("word", "state"), [("loop", "busy"), ("exiting loop", "idle"), ("cancel", "idle")])
    def test_a_turn_is_framed(self, word, state):
        assert line(word, '{"session.id":"ses_a","step":0}') == (StateTold(session="ses_a", time=at(1), state=state),)

    def test_a_request_names_agent_and_model_but_not_for_a_title(self):
        said = '{"providerID":"fake","modelID":"m","session.id":"ses_a","small":"false","agent":"build"}'
        assert line("stream", said) == (
            SessionTold(session="ses_a", time=at(1), agent="build", provider="fake", model="m"),
        )
        assert line("stream", said.replace('"false"', '"true"')) == (Discarded(reason="not_of_the_tree"),)

    @pytest.mark.parametrize(
        "body",
        [
            ("loading", '{"path":"/x"}'),
            ("created", '{"id":"prj_1","directory":"/x"}'),
            ("created", '{"id":"ses_a","title":"cut'),
            ("created", 7),
            (7, "created"),
            ("loop",),
            ("loop", "{}", "more"),
            ({"type": "loop"},),
        ],
    )
    def test_what_is_not_of_the_tree_is_said_to_be(self, body):
        assert line(*body) == (Discarded(reason="not_of_the_tree"),)

    def test_a_turn_without_a_session_is_said_to_have_none(self):
        assert line("loop", "{}") == (Discarded(reason="no_session"),)

    def test_a_line_of_another_program_is_not_known(self):
        assert line("loop", '{"session.id":"ses_a"}', resource={"service.name": "opencode"}) is None


class TestSpans:
    def test_a_call(self):
        (told,) = span("Tool.execute", session__id="ses_a", tool__name="read", tool__call_id="c1")
        assert isinstance(told, CallTold)
        assert (told.session, told.call, told.tool, told.status) == ("ses_a", "c1", "read", "completed")
        assert (told.start, told.end) == (at(1), at(2))

    def test_a_failed_task_names_its_child(self):
        error = "Subagent failed (task_id: ses_b): no"
        (told,) = span("Tool.execute", error, session__id="ses_a", tool__name="task", tool__call_id="c1")
        assert (told.status, told.error_type, told.child) == ("error", "subagent_failed", "ses_b")

    def test_an_ai_sdk_span_is_read_as_one(self):
        (told,) = span("ai.toolCall", session__id="ses_a", ai__toolCall__id="c1", ai__toolCall__name="read")
        assert (told.call, told.tool) == ("c1", "read")

    @pytest.mark.parametrize("name", ["sql.execute", "TaskTool.execute", "SessionPrompt.run"])
    def test_the_others_are_not_known(self, name):
        assert span(name) is None

    def test_nor_is_one_of_another_program(self):
        assert span("Tool.execute", resource={"service.name": "x"}, session__id="s", tool__call_id="c") is None

    @pytest.mark.parametrize("attributes", [{"tool__call_id": "c"}, {"session__id": "s"}])
    def test_one_without_ids_is_handed_on(self, attributes):
        assert span("Tool.execute", **attributes) is None


class TestARecordedRun:
    def test_has_every_call_and_every_edge_and_none_that_is_wrong(self):
        requests = recorded(RECORDED)
        seen = spans_of(built(*requests).requests())
        expected = json.loads((DATA / RECORDED / "expected.json").read_text())
        found = score(seen, expected, b"".join(r.body for r in requests))
        assert laws(seen) == []
        assert (found.sessions_ok, found.edges_ok, found.wrong) == (found.sessions, found.edges, 0)
        assert (found.sessions, found.edges) == (6, 5)
        assert (found.calls, found.calls_missing, found.calls_extra) == (13, 0, 0)

    def test_lets_every_other_span_through_as_it_came(self):
        requests = recorded(RECORDED)
        sent = [s.raw for r in requests if r.signal == "traces" for s, _ in span_records(r.body)]
        others = [r for r in sent if Span.FromString(r).name not in OWN]
        passed = [s.raw for body in built(*requests).untouched for s, _ in span_records(body)]
        assert sorted(passed) == sorted(others)
        assert others

    @pytest.mark.parametrize("seed", range(4))
    def test_does_not_depend_on_the_order(self, seed):
        requests = singles(recorded(RECORDED))
        mixed = requests + requests[::3]
        random.Random(seed).shuffle(mixed)
        assert canonical(built(*mixed).spans) == canonical(built(*requests).spans)

    def test_without_its_lines_invents_no_edge(self):
        requests = [r for r in recorded(RECORDED) if r.signal == "traces"]
        seen = spans_of(built(*requests).requests())
        expected = json.loads((DATA / RECORDED / "expected.json").read_text())
        assert score(seen, expected, b"".join(r.body for r in requests)).wrong == 0
        assert laws(seen) == []
