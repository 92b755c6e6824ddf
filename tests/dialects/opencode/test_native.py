"""Events from OpenCode's own lines and spans, and the trees of a recorded run."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from receiver.codec.decode import log_records, span_records
from receiver.dialects.opencode.native import LINEAGE_SPANS, logs, spans
from receiver.events import CallEvent, Discarded, LineageEvent, SessionEvent, StateEvent
from receiver.model import Request
from receiver.pipeline.offline import build
from receiver.pipeline.record_reader import RecordReader
from tests.support.factories import SETTINGS, any_value, at, built, key_values, logs_request, spans_request
from tests.support.otlp_requests import DATA, recorded, singles
from tests.support.span_laws import canonical
from tests.support.trace_scoring import Seen, laws, score, spans_of

NOTHING: frozenset[str] = frozenset()
AGENT = {"service.name": "opencode", "opencode.client": "cli"}
# 1.18.33, most spans that are handed on left out: tasks in parallel and nested, with equal labels; the same beside
# another root, then a task taken up again and one in the background
RECORDED = {"native-export": (6, 13, 5), "native-resumed": (11, 28, 7)}  # sessions, calls, edges
OWN = ("Tool.execute",)
SPAN_ID = b"\x09" * 16 + b"\x01" * 8


def line(*body: Any, time: float = 1, resource: dict[str, Any] = AGENT, **ids: bytes):
    """The events of one line of the application's log, encoded and decoded."""
    text = list(body) if len(body) > 1 else body[0]
    record = LogRecord(time_unix_nano=at(time), observed_time_unix_nano=at(time), body=any_value(text), **ids)
    return logs(next(log_records(logs_request(record, scope="opencode", resource=resource).body)), NOTHING)


def span(name: str, error: str | None = None, resource: dict[str, Any] = AGENT, parent: bytes = b"", **attributes: Any):
    """The events of one span, encoded and decoded."""
    named = {k.replace("__", "."): v for k, v in attributes.items()}
    sent = Span(
        trace_id=b"\x09" * 16,
        span_id=b"\x01" * 8,
        parent_span_id=parent,
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
    def test_a_created_line_is_read_like_session_created(self):
        said = (
            '{"id":"ses_b","version":"1.18.33","projectID":"p","workspaceID":undefined,"parentID":"ses_a",'
            '"title":"is \\"undefined\\": undefined (@explore subagent)","agent":"explore","model":undefined,'
            '"time":{"created":1760000001000}}'
        )
        (event,) = line("created", said)
        assert isinstance(event, SessionEvent)
        assert (event.session, event.parent, event.root, event.agent) == ("ses_b", "ses_a", False, "explore")
        assert (event.created, event.version, event.model) == (at(1), "1.18.33", None)
        assert event.title == 'is "undefined": undefined (@explore subagent)'

    @pytest.mark.parametrize("broken", ['"', '"' + '\\"' * 2_000_000, '"undefined' * 500_001])
    def test_a_truncated_line_is_parsed_in_linear_time(self, broken):
        assert line("created", broken) == (Discarded(reason="not_of_the_tree"),)

    def test_a_session_without_a_parent_is_a_root(self):
        (event,) = line("created", '{"id":"ses_a","parentID":undefined,"time":{"created":1760000001000}}')
        assert (event.parent, event.root) == (None, True)

    @pytest.mark.parametrize(("word", "state"), [("loop", "busy"), ("exiting loop", "idle"), ("cancel", "idle")])
    def test_lines_begin_and_end_a_turn(self, word, state):
        assert line(word, '{"session.id":"ses_a","step":0}') == (StateEvent(session="ses_a", time=at(1), state=state),)

    @pytest.mark.parametrize(
        ("word", "said"),
        [("created", '{"id":"ses_a","parentID":"ses_r"}'), ("loop", '{"session.id":"ses_a","step":0}')],
    )
    def test_a_lines_span_gets_its_session(self, word, said):
        events = line(word, said, trace_id=b"t" * 16, span_id=b"s" * 8)
        assert events[-1] == LineageEvent(span=b"t" * 16 + b"s" * 8, session="ses_a")
        assert events[:-1] == line(word, said)

    def test_a_line_at_the_end_of_a_turn_gives_its_span_no_session(self):
        # a turn may be cancelled by whoever asks for it
        (event,) = line("cancel", '{"session.id":"ses_a"}', trace_id=b"t" * 16, span_id=b"s" * 8)
        assert isinstance(event, StateEvent)

    def test_a_request_names_agent_and_model_but_not_for_a_title(self):
        said = '{"providerID":"fake","modelID":"m","session.id":"ses_a","small":"false","agent":"build"}'
        assert line("stream", said) == (
            SessionEvent(session="ses_a", time=at(1), agent="build", provider="fake", model="m"),
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
    def test_lines_of_no_use_are_discarded(self, body):
        assert line(*body) == (Discarded(reason="not_of_the_tree"),)

    def test_a_line_without_a_session_is_discarded(self):
        assert line("loop", "{}") == (Discarded(reason="no_session"),)

    def test_lines_of_other_programs_are_left_to_other_dialects(self):
        assert line("loop", '{"session.id":"ses_a"}', resource={"service.name": "opencode"}) is None


class TestSpans:
    def test_a_call(self):
        event, place = span("Tool.execute", session__id="ses_a", tool__name="read", tool__call_id="c1")
        assert isinstance(event, CallEvent)
        assert (event.session, event.call, event.tool, event.status) == ("ses_a", "c1", "read", "completed")
        assert (event.start, event.end) == (at(1), at(2))
        assert place == LineageEvent(span=SPAN_ID, session="ses_a")

    def test_a_task_calls_span_is_a_lineage_call(self):
        _, place = span("Tool.execute", parent=b"p" * 8, session__id="ses_a", tool__name="task", tool__call_id="c1")
        assert place == LineageEvent(span=SPAN_ID, parent=SPAN_ID[:16] + b"p" * 8, session="ses_a", call="c1")

    @pytest.mark.parametrize("name", sorted(LINEAGE_SPANS))
    def test_a_lineage_span_has_its_parent(self, name):
        assert span(name, parent=b"p" * 8) == (LineageEvent(span=SPAN_ID, parent=SPAN_ID[:16] + b"p" * 8),)

    def test_a_failed_task_names_its_child(self):
        error = "Subagent failed (task_id: ses_b): no"
        event, _ = span("Tool.execute", error, session__id="ses_a", tool__name="task", tool__call_id="c1")
        assert (event.status, event.error_type, event.child) == ("error", "subagent_failed", "ses_b")

    def test_an_ai_sdk_span_is_read_as_one(self):
        (event,) = span("ai.toolCall", session__id="ses_a", ai__toolCall__id="c1", ai__toolCall__name="read")
        assert (event.call, event.tool) == ("c1", "read")

    @pytest.mark.parametrize("name", ["sql.execute", "SessionProcessor.process", "SessionHttpApi.prompt"])
    def test_other_spans_pass_through(self, name):
        assert span(name) is None

    def test_spans_of_other_programs_are_left_to_other_dialects(self):
        assert span("Tool.execute", resource={"service.name": "x"}, session__id="s", tool__call_id="c") is None

    @pytest.mark.parametrize("attributes", [{"tool__call_id": "c"}, {"session__id": "s"}])
    def test_a_tool_span_without_ids_passes_through(self, attributes):
        assert span("Tool.execute", **attributes) is None


def truth(name: str) -> list[dict[str, Any]]:
    """The recorded run in the agent's own store."""
    return json.loads((DATA / name / "expected.json").read_text())


def stated_links(seen: list[Seen]) -> dict[tuple[str, str], str]:
    """The child of each task call that names one. None of them may be inferred."""
    assert [s.name for s in seen if "parent" in s.attributes.get("opencode.inferred", ())] == []
    return {
        (s.attributes["session.id"], s.attributes["gen_ai.tool.call.id"]): child
        for s in seen
        if (child := s.attributes.get("opencode.task.child_session.id"))
    }


def true_links(name: str) -> dict[tuple[str, str], str]:
    """The same from the agent's own store."""
    return {
        (session["id"], call["callID"]): call["child_session"]
        for session in truth(name)
        for call in session["tool_calls"]
        if call.get("child_session")
    }


@pytest.mark.parametrize("name", RECORDED)
class TestARecordedRun:
    def test_a_recorded_run_has_every_call_and_every_right_edge(self, name):
        requests = recorded(name)
        seen = spans_of(built(*requests).requests())
        found = score(seen, truth(name), b"".join(r.body for r in requests))
        assert laws(seen) == []
        assert (found.sessions_ok, found.edges_ok, found.wrong) == (found.sessions, found.edges, 0)
        assert (found.sessions, found.calls - found.calls_missing, found.edges) == RECORDED[name]

    def test_lineage_links_parallel_identical_tasks(self, name):
        assert stated_links(spans_of(built(*recorded(name)).requests())) == true_links(name)

    def test_spans_without_lines_link_the_tasks_too(self, name):
        spans_alone = [r for r in recorded(name) if r.signal == "traces"]
        seen = spans_of(built(*spans_alone).requests())
        assert stated_links(seen) == true_links(name)
        assert laws(seen) == []

    def test_infer_false_infers_nothing(self, name):
        strict = build(recorded(name), replace(SETTINGS, infer=False))
        assert stated_links(spans_of(strict.requests())) == true_links(name)

    def test_all_other_spans_of_a_run_pass_through(self, name):
        requests = recorded(name)
        sent = [s.raw for r in requests if r.signal == "traces" for s, _ in span_records(r.body)]
        others = [r for r in sent if Span.FromString(r).name not in OWN or not Span.FromString(r).attributes]
        passed = [s.raw for body in built(*requests).untouched for s, _ in span_records(body)]
        assert sorted(passed) == sorted(others)
        assert others

    def test_every_record_of_a_run_is_counted_once(self, name):
        requests = recorded(name)
        result = built(*requests)
        reading = RecordReader(frozenset())
        read = [reading.read(r, 0) for r in requests]
        assert sum(e.used.total() + e.discarded.total() for e in read) == sum(r.items for r in requests)
        assert result.discarded["internal_error"] == result.discarded["too_many_spans"] == 0

    @pytest.mark.parametrize("seed", range(4))
    def test_a_run_gives_the_same_tree_in_any_order(self, name, seed):
        requests = singles(recorded(name))
        mixed = requests + requests[::3]
        random.Random(seed).shuffle(mixed)
        assert canonical(built(*mixed).spans) == canonical(built(*requests).spans)

    @pytest.mark.parametrize("gone", ["TaskTool.execute", "SessionPrompt.run", "Tool.execute", "Session.create"])
    def test_missing_spans_cause_no_wrong_edge(self, name, gone):
        """Spans that were not sent before the process ended are missing: a chain with a gap links nothing."""
        kept = [r for r in singles(recorded(name)) if not (r.signal == "traces" and gone in names(r))]
        seen = spans_of(built(*kept).requests())
        assert score(seen, truth(name), b"".join(r.body for r in kept)).wrong == 0
        assert laws(seen) == []


def names(request: Request) -> list[str]:
    """The names of the spans in a request."""
    return [span.name for span, _ in span_records(request.body)]
