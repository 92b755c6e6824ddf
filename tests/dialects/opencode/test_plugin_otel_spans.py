"""Events from the plugins' own spans, and that logs and spans of one item are joined."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from receiver import semconv as sc
from receiver.codec.decode import span_records
from receiver.dialects.opencode.plugin_otel_spans import spans
from receiver.events import CallEvent, Discarded, RequestEvent, SessionEvent, StateEvent
from tests.support.factories import at, built, key_values, spans_request
from tests.support.otlp_requests import DATA, recorded, singles
from tests.support.span_laws import attribute, canonical, violations
from tests.support.trace_scoring import score, spans_of

NOTHING: frozenset[str] = frozenset()
MS = 1_000_000
RUNS = ("0.8.0", "1.2.0")  # of opencode-plugin-otel: aborts; tasks in parallel and nested
SIGNALS = {
    "all": ("logs", "metrics", "traces"),
    "logs and metrics": ("logs", "metrics"),
    "traces": ("traces",),
    "logs and traces": ("logs", "traces"),
}


def events_of(
    name: str, error: str | None = None, start: int = at(1), end: int = at(2), scope: str = "com.opencode", **more
):
    """The events of one span, encoded and decoded. `a__b` is the attribute `a.b`."""
    sent = Span(
        trace_id=b"\x09" * 16,
        span_id=b"\x01" * 8,
        name=name,
        start_time_unix_nano=start,
        end_time_unix_nano=end,
        attributes=key_values({"session.id": "ses_a"} | {k.replace("__", "."): v for k, v in more.items()}),
    )
    if error is not None:
        sent.status.code, sent.status.message = Status.STATUS_CODE_ERROR, error
    record, _ = next(span_records(spans_request(sent, scope=scope).body))
    return spans(record, NOTHING)


def one(kind: type, name: str, *arguments: Any, **more: Any) -> Any:
    """The only event of a class among a span's events."""
    (event,) = (e for e in events_of(name, *arguments, **more) if isinstance(e, kind))
    return event


class TestARequest:
    @pytest.mark.parametrize("name", ["opencode.llm", "claude_code.llm_request", "my.prefix.llm"])
    def test_a_request_span_matches_the_log_events_request(self, name):
        request = one(
            RequestEvent,
            name,
            llm__model_name="m",
            llm__provider="fake",
            llm__finish_reason="stop",
            llm__token_count__prompt=100,
            llm__token_count__completion=20,
            llm__token_count__prompt_details__cache_read=7,
            llm__token_count__prompt_details__cache_write=3,
            llm__cost__total=0.5,
            agent__name="unknown",
        )
        assert request.request == f"at:{at(1) // MS}"
        assert (request.start, request.end, request.model, request.provider) == (at(1), at(2), "m", "fake")
        assert (request.input_tokens, request.output_tokens, request.cost) == (110, 20, 0.5)
        assert (request.agent, request.finish, request.error_type) == (None, "stop", None)

    def test_a_failed_request_span_has_an_error_class_and_no_finish_reason(self):
        request = one(RequestEvent, "opencode.llm", "APIError: no", llm__finish_reason="error")
        assert (request.error_type, request.error, request.finish) == ("APIError", "APIError: no", None)

    @pytest.mark.parametrize(("finish", "idle"), [("stop", True), ("tool-calls", False), ("unknown", False)])
    def test_a_last_request_makes_the_session_idle(self, finish, idle):
        states = [e.state for e in events_of("opencode.llm", llm__finish_reason=finish) if isinstance(e, StateEvent)]
        assert ("idle" in states) is idle


class TestASession:
    def test_a_session_begins_with_its_span(self):
        session = one(SessionEvent, "opencode.session", session__is_subagent=False, session__total_messages=2)
        assert (session.root, session.time, session.created) == (True, at(1), None)
        assert one(StateEvent, "opencode.session").time == at(1)

    def test_a_session_without_messages_is_not_called_a_root(self):
        """The claude-code profile reports a child as a root after its error."""
        assert not one(SessionEvent, "claude_code.interaction", session__is_subagent=False, agent__type="primary").root

    def test_a_subagents_session_is_no_root(self):
        session = one(SessionEvent, "opencode.session", session__is_subagent=True, session__total_messages=2)
        assert (session.root, session.parent) == (False, None)

    def test_one_fork_names_parent_and_call(self):
        events = events_of("opencode.run", session__parent_id="ses_p", task__call_id="c1")
        assert SessionEvent(session="ses_a", parent="ses_p", rank=1) in events
        (call,) = (e for e in events if isinstance(e, CallEvent))
        assert (call.session, call.call, call.child, call.tool) == ("ses_p", "c1", "ses_a", "task")

    def test_a_session_is_not_its_own_parent(self):
        assert events_of("opencode.x", session__parent_id="ses_a") is None


class TestACall:
    def test_a_task_span_names_its_child(self):
        for more in (
            {"output__value": '<task id="ses_b" state="completed">'},
            {"subagent__session__id": "ses_b"},
            {"tool__error": "Subagent failed (task_id: ses_b): no", "tool__success": False},
        ):
            call = one(CallEvent, "opencode.tool.task", tool__id="c1", tool__name="task", **more)
            assert (call.call, call.child) == ("c1", "ses_b")

    def test_another_tools_span_names_no_child(self):
        output = {"output__value": '<task id="ses_b" state="completed">'}
        assert one(CallEvent, "opencode.tool.read", tool__id="c1", tool__name="read", **output).child is None

    def test_a_call_that_the_sessions_end_interrupted_is_cancelled(self):
        error = "session ended before tool completed"
        call = one(CallEvent, "opencode.tool.bash", error, tool__id="c1", tool__name="bash")
        assert (call.status, call.error_type) == ("error", "cancelled")


class TestOddSpans:
    def test_spans_of_other_scopes_are_left_to_other_dialects(self):
        assert events_of("opencode.llm", scope="other") is None

    @pytest.mark.parametrize("session", ["", "unknown", 7])
    def test_a_record_without_a_session_is_discarded(self, session):
        assert events_of("opencode.llm", session__id=session) == (Discarded(reason="no_session"),)

    @pytest.mark.parametrize(("start", "end"), [(0, at(1)), (at(1), 0), (at(9_999_999), at(1)), (1 << 63, 1 << 63)])
    def test_spans_with_invalid_times_are_discarded(self, start, end):
        assert events_of("opencode.llm", start=start, end=end) == (Discarded(reason="no_time"),)

    def test_other_kinds_of_spans_pass_through(self):
        assert events_of("opencode.other") is None


@pytest.mark.parametrize("run", RUNS)
class TestARecordedRun:
    @pytest.mark.parametrize("signals", sorted(SIGNALS))
    def test_a_recorded_run_has_each_call_and_request_once(self, run, signals):
        requests = _told_by(run, signals)
        spans_built = built(*requests).spans
        expected = _truth(run)
        found = score(spans_of(built(*requests).requests()), expected, b"".join(r.body for r in requests))
        assert violations(spans_built) == []
        assert (found.calls_missing, found.calls_extra, found.wrong) == (0, 0, 0), found.notes
        assert (found.sessions_ok, found.edges_ok) == (found.sessions, found.edges), found.notes
        chats = [s for s in spans_built if attribute(s, sc.OPERATION_NAME) == "chat"]
        assert len(chats) == sum(len(s["assistant_messages"]) for s in expected)

    @pytest.mark.parametrize("seed", range(3))
    def test_a_run_gives_the_same_tree_in_any_order(self, run, seed):
        requests = singles(_told_by(run, "logs and traces"))
        mixed = requests + requests[::3]
        random.Random(seed).shuffle(mixed)
        assert canonical(built(*mixed).spans) == canonical(built(*requests).spans)

    def test_logs_and_spans_give_the_same_tree(self, run):
        trees = [_sessions(built(*_told_by(run, signals)).spans) for signals in sorted(SIGNALS)]
        assert all(tree == trees[0] for tree in trees)


def _told_by(run, signals):
    return [r for r in recorded(f"plugin-otel/{run}") if r.signal in SIGNALS[signals]]


def _truth(run):
    return json.loads((DATA / "plugin-otel" / run / "expected.json").read_text())


def _sessions(spans_built):
    found = {(s.trace_id, s.span_id) for s in spans_built if attribute(s, sc.OPERATION_NAME) == sc.INVOKE_AGENT}
    return sorted(found)
