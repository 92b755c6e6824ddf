"""Events from Claude Code's log records and metrics, and which records are Claude Code's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from receiver.codec.decode import log_records, metric_points
from receiver.dialects.claude_code import log_events
from receiver.dialects.opencode import plugin_otel_metrics
from receiver.dialects.table import DIALECTS
from receiver.events import (
    EXACT,
    GUESSED,
    PARTIAL,
    REPORTED,
    CallEvent,
    CallHintEvent,
    CallReportEvent,
    Discarded,
    NoteEvent,
    RemoteParentEvent,
    RequestEvent,
    ServerEvent,
    SessionEvent,
    StateEvent,
)
from receiver.pipeline.record_reader import RecordReader
from tests.support.claude_code_records import EVENTS, RESOURCE, SESSION, STANDARD, decision, event, iso, request, result
from tests.support.factories import any_value, at, key_values, logs_request, metrics_request
from tests.support.strategies import ANY_TIMES, ANY_VALUES

NOTHING: frozenset[str] = frozenset()
OPENCODE = "ses_e070d064dffebDSylEN4sgt8BZ"
BOTH = pytest.mark.parametrize("texts", [False, True], ids=["native", "as text"])


def read(record: LogRecord, *, scope: str = EVENTS, wanted: frozenset[str] = NOTHING):
    """The events of one record, encoded and decoded."""
    (held,) = log_records(logs_request(record, scope=scope, resource=RESOURCE).body)
    return log_events.logs(held, wanted)


def one(record: LogRecord, **more: Any):
    """The one event of a record, besides those that its session is a root and busy."""
    events = read(record, **more)
    assert events is not None
    root, busy, *rest = events
    assert root == SessionEvent(session=SESSION, root=True)
    assert busy == StateEvent(session=SESSION, time=busy.time, state="busy")
    (event,) = rest
    return event


def discarded(record: LogRecord) -> str:
    events = read(record)
    assert events is not None
    (event,) = events
    assert isinstance(event, Discarded)
    return event.reason


class TestWhoseItIs:
    """gcornut/opencode-otel 0.4.0, profile claude-code: the same scope, resource and names, of OpenCode's sessions."""

    @pytest.mark.parametrize("scope", ["com.anthropic.claude_code", EVENTS])
    def test_a_uuid_session_is_claude_codes(self, scope):
        assert read(event("user_prompt", 1), scope=scope) is not None

    @pytest.mark.parametrize("name", ["user_prompt", "api_request", "tool_result", "unheard_of"])
    def test_an_opencode_session_is_the_plugins(self, name):
        assert read(event(name, 1, {"session.id": OPENCODE})) is None

    @pytest.mark.parametrize(
        "scope", ["com.opencode", "com.opencode.claude_code_compat", "com.anthropic.claude_codex", "", "ai"]
    )
    def test_other_scopes_are_not_claude_codes(self, scope):
        assert read(event("user_prompt", 1), scope=scope) is None

    def test_the_imitating_plugins_dialect_comes_later_in_the_table(self):
        names = [d.name for d in DIALECTS]
        assert names.index("claude_code") < names.index("plugin_otel")

    def test_records_of_both_producers_in_one_request_go_to_their_dialects(self):
        own = result("Bash", 1, 2, "toolu_1")
        other = event("tool_result", 2, {"session.id": OPENCODE, "tool_name": "Bash", "duration_ms": "1000"})
        read = RecordReader(NOTHING).read(logs_request(own, other, scope=EVENTS, resource=RESOURCE), 0)
        assert read.used == {"claude_code": 1, "plugin_otel": 1}
        tools = {t.session: t.tool for _, t in read.events if isinstance(t, (CallEvent, CallReportEvent))}
        assert tools == {SESSION: "Bash", OPENCODE: "bash"}

    def test_metrics_give_totals(self):
        for session, ours in ((SESSION, True), (None, True), (OPENCODE, False)):
            labels = {"type": "input", **({"session.id": session} if session else {})}
            metric = Metric(name="claude_code.token.usage", unit="tokens")
            metric.sum.is_monotonic, metric.sum.aggregation_temporality = True, 1
            metric.sum.data_points.add(attributes=key_values(labels), time_unix_nano=at(6), as_double=4)
            (point,) = metric_points(metrics_request(metric, scope="com.anthropic.claude_code").body)
            events = log_events.metrics(point, NOTHING)
            if ours and session:
                (total,) = events
                assert (total.session, total.what, total.amount) == (SESSION, "fresh_tokens", 4)
            else:
                assert events == ((Discarded(reason="no_session"),) if ours else None)
            assert plugin_otel_metrics.metrics(point, NOTHING) is not None


class TestCalls:
    @BOTH
    def test_a_finished_call(self, texts):
        assert one(result("Bash", 2, 2.85, "toolu_1", texts=texts)) == CallEvent(
            session=SESSION,
            call="toolu_1",
            rank=REPORTED,
            start=at(2),
            end=at(2.85),
            tool="Bash",
            status="completed",
            permission_reply="auto",
        )

    @BOTH
    def test_a_failed_call_or_request(self, texts):
        call = one(
            result("Read", 2, 3, "toolu_1", success=False, error_type="Error:ENOENT", error="no such", texts=texts)
        )
        assert (call.status, call.error_type, call.error) == ("error", "Error:ENOENT", "no such")
        unclassed = one(result("Read", 2, 3, "toolu_1", success=False, texts=texts))
        assert unclassed.error_type == "tool_error"

    @pytest.mark.parametrize("tool", ["Task", "Agent"])
    def test_a_task_call(self, tool):
        call = one(result(tool, 2, 3, "toolu_1", parameters={"subagent_type": "Explore"}))
        assert (call.tool, call.agent) == ("task", "Explore")
        given = one(result(tool, 2, 3, "toolu_1", tool_input='{"subagent_type": "Plan", "description": "plan it"}'))
        assert (given.agent, given.description) == ("Plan", "plan it")
        assert one(result(tool, 2, 3, "toolu_1")).agent is None

    def test_a_skill_call(self):
        call = one(result("Skill", 2, 3, "toolu_1", parameters={"skill_name": "release-notes"}))
        assert (call.tool, call.skill) == ("skill", "release-notes")
        assert one(result("Skill", 2, 3, "toolu_1", tool_input='{"skill": "notes"}')).skill == "notes"

    @pytest.mark.parametrize(
        ("name", "parameters", "server", "tool"),
        [
            ("mcp__my_db__run_query", None, "my_db", "run_query"),
            ("mcp__db__run__all", None, "db", "run__all"),
            ("mcp_tool", {"mcp_server_name": "my_db", "mcp_tool_name": "run"}, "my_db", "run"),
            ("mcp__my_db__run", {"mcp_server_name": "my db", "mcp_tool_name": "run"}, "my db", "run"),
            ("mcp__", None, None, None),
        ],
    )
    def test_an_mcp_call(self, name, parameters, server, tool):
        call = one(result(name, 2, 3, "toolu_1", parameters=parameters))
        assert (call.mcp_server, call.mcp_tool) == (server, tool)
        assert call.tool == ("mcp__my_db__run" if name == "mcp_tool" else name)

    @pytest.mark.parametrize("parameters", [None, {"mcp_tool_name": "run"}])
    def test_a_placeholder_is_the_least_reliable_name(self, parameters):
        _, _, placeholder, call = read(result("mcp_tool", 2, 3, "toolu_1", parameters=parameters))
        assert placeholder == CallEvent(session=SESSION, call="toolu_1", rank=GUESSED, tool="mcp_tool")
        assert (call.tool, call.mcp_server, call.mcp_tool) == (None, None, None)

    def test_truncated_parameters(self):
        call = one(result("Agent", 2, 3, "toolu_1", tool_parameters='{"subagent_type": "Expl'))
        assert (call.tool, call.agent) == ("task", None)

    def test_arguments_are_read_only_if_captured(self):
        record = result("Bash", 2, 3, "toolu_1", tool_input='{"command": "ls"}')
        assert one(record).arguments is None
        assert one(record, wanted=frozenset({"arguments"})).arguments == '{"command": "ls"}'

    def test_a_call_without_a_duration_has_no_start(self):
        call = one(result("Bash", 2, 3, "toolu_1", duration_ms=None))
        assert (call.start, call.end) == (None, at(3))

    def test_a_call_without_an_id_is_a_report(self):
        call = one(result("Task", 2, 3, None, parameters={"subagent_type": "Explore"}))
        assert call == CallReportEvent(
            session=SESSION,
            rank=REPORTED,
            tool="task",
            start=at(2),
            end=at(3),
            status="completed",
            agent="Explore",
        )
        assert discarded(result("Bash", 2, 3, None, duration_ms="long")) == "malformed"

    def test_a_record_that_was_written_late_has_the_time_of_its_event(self):
        record = result("Bash", 2, 3, "toolu_1")
        record.time_unix_nano = record.observed_time_unix_nano = at(9)
        assert one(record).end == at(3)
        record.time_unix_nano = record.observed_time_unix_nano = at(3600)
        assert one(record).end == at(3600)


class TestPermissions:
    @pytest.mark.parametrize(
        ("answer", "source", "reply"),
        [
            ("accept", "config", "auto"),
            ("accept", "hook", "auto"),
            ("accept", "user_permanent", "always"),
            ("accept", "user_temporary", "once"),
            ("accept", "from_elsewhere", "accept"),
        ],
    )
    def test_an_accepted_permission(self, answer, source, reply):
        assert one(decision("Bash", 2, "toolu_1", answer, source)) == CallEvent(
            session=SESSION,
            call="toolu_1",
            rank=PARTIAL,
            tool="Bash",
            start=at(2),
            ends_with_turn=True,
            permission_reply=reply,
        )
        call = one(result("Bash", 2, 3, "toolu_1", decision_type=answer, decision_source=source))
        assert call.permission_reply == reply

    @pytest.mark.parametrize("source", ["user_reject", "user_abort", "config", "hook"])
    def test_a_rejected_permission_ends_the_call(self, source):
        assert one(decision("Edit", 2, "toolu_1", "reject", source)) == CallEvent(
            session=SESSION,
            call="toolu_1",
            rank=PARTIAL,
            tool="Edit",
            start=None,
            end=at(2),
            status="error",
            error_type="permission_rejected",
            permission_reply="reject",
        )

    def test_a_permission_without_a_call_is_discarded(self):
        assert discarded(decision("Edit", 2, None, "accept", "config")) == "no_call"
        assert discarded(decision("Edit", 2, "toolu_1", "perhaps", "config")) == "malformed"


class TestRecordsThatAreNotOfTheTree:
    def test_a_connection_tells_the_true_name_of_a_server(self):
        connected = event("mcp_server_connection", 1, {"server_name": "notes.v2", "status": "connected"})
        assert read(connected) == (ServerEvent(server="notes.v2", time=at(1)),)

    def test_before_the_first_prompt_a_trace_context_is_that_of_traceparent(self):
        record = event("plugin_loaded", 1, {"prompt.id": None})
        assert discarded(record) == "not_of_the_tree"
        record.trace_id, record.span_id = b"t" * 16, b"s" * 8
        remote = f"{record.trace_id.hex()}-{record.span_id.hex()}"
        assert read(record) == (RemoteParentEvent(session=SESSION, time=at(1), rank=EXACT, remote=remote),)

    def test_later_it_is_a_span_of_claude_code(self):
        record = event("plugin_loaded", 1, {"prompt.id": "p"})
        record.trace_id, record.span_id = b"t" * 16, b"s" * 8
        assert discarded(record) == "not_of_the_tree"

    def test_session_count_alone_makes_no_session(self):
        metric = Metric(name="claude_code.session.count")
        point = metric.sum.data_points.add(as_double=1, time_unix_nano=at(2), start_time_unix_nano=at(1))
        point.attributes.extend(key_values({"session.id": SESSION, "start_type": "continue"}))
        metric.sum.aggregation_temporality, metric.sum.is_monotonic = 1, True
        request = metrics_request(metric, scope="com.anthropic.claude_code", resource=RESOURCE)
        (held,) = metric_points(request.body)
        assert log_events.metrics(held, NOTHING) == (Discarded(reason="not_of_the_tree"),)


class TestRequests:
    @BOTH
    def test_a_finished_request(self, texts):
        events = read(request(1, 2.5, "req_1", texts=texts))
        assert events[2:] == (
            RequestEvent(
                session=SESSION,
                request="req_1",
                rank=REPORTED,
                start=at(1),
                end=at(2.5),
                model="claude-opus-4-8",
                response_id="req_1",
                input_tokens=1034,
                output_tokens=120,
                cache_read_tokens=1000,
                cache_creation_tokens=30,
                cost=0.25,
            ),
            SessionEvent(session=SESSION, time=at(2.5), model="claude-opus-4-8"),
        )

    @pytest.mark.parametrize(
        ("attributes", "agent"),
        [
            ({"query_source": "agent:builtin:general-purpose"}, "general-purpose"),
            ({"query_source": "agent:custom", "agent.name": "custom"}, None),
            ({"query_source": "agent:custom:a:b", "agent.name": "custom"}, "a:b"),
            ({"query_source": "subagent", "agent.name": "Explore"}, "Explore"),
            ({"query_source": "compact"}, None),
        ],
    )
    def test_the_agent_of_a_subagents_request(self, attributes, agent):
        assert one(request(1, 2, "req_1", **attributes)).agent == agent

    def test_a_request_without_an_api_id(self):
        assert one(request(1, 2, None, client_request_id="c1", query_source="x")).request == "c1"
        twins = [one(request(1, 2, None, query_source="x", **{"event.sequence": n})) for n in (7, 8)]
        assert len({t.request for t in twins}) == 2

    def test_a_cost_in_millionths(self):
        assert one(request(1, 2, "r", query_source="x", cost_usd=None)).cost == 0.25
        assert one(request(1, 2, "r", query_source="x", cost_usd=-1)).cost is None

    @BOTH
    def test_a_failed_call_or_request(self, texts):
        attributes = {"model": "m", "error": "Overloaded", "status_code": 529, "duration_ms": 1000, "attempt": 11}
        failed = one(event("api_error", 3, attributes, texts=texts))
        assert (failed.start, failed.end, failed.error_type, failed.error) == (at(2), at(3), "529", "Overloaded")
        assert one(event("api_error", 3, {"error": "Connection error."})).error_type == "api_error"

    def test_a_refused_request(self):
        refused = one(event("api_refusal", 3, {"request_id": "req_1", "server_fallback_hop": False}))
        assert (refused.request, refused.finish, refused.start) == ("req_1", "refusal", None)
        assert discarded(event("api_refusal", 3, {"request_id": "req_1", "server_fallback_hop": True}))
        assert discarded(event("api_refusal", 3))


class TestNotes:
    @BOTH
    def test_a_prompt(self, texts):
        assert one(event("user_prompt", 1, {"prompt_length": 12, "prompt": "<REDACTED>"}, texts=texts)) == NoteEvent(
            session=SESSION, time=at(1), name="user_prompt", attributes=(("opencode.prompt.length", 12),)
        )

    def test_a_slash_command(self):
        *_, command = read(event("user_prompt", 1, {"command_name": "compact", "command_source": "builtin"}))
        assert (command.name, command.attributes) == (
            "command.executed",
            (("opencode.command.name", "compact"),),
        )

    @BOTH
    def test_a_compaction(self, texts):
        note = one(event("compaction", 1, {"trigger": "auto", "success": True}, texts=texts))
        assert (note.name, note.time) == ("session.compacted", at(1))
        assert discarded(event("compaction", 1, {"success": False}, texts=texts)) == "not_of_the_tree"


class TestHints:
    @BOTH
    def test_a_finished_subagent_is_a_hint(self, texts):
        attributes = {"agent_type": "Explore", "is_async": False, "total_tool_uses": 6, "duration_ms": 4000}
        _, _, hint, _ = read(event("subagent_completed", 5, attributes, texts=texts))
        assert hint == CallHintEvent(
            session=SESSION, tool="task", start=at(1), end=at(5), agent="Explore", tool_count=6
        )
        _, _, busy = read(event("subagent_completed", 5, {**attributes, "is_async": True}, texts=texts))
        assert isinstance(busy, StateEvent)

    def test_a_skill_that_the_model_chose_is_a_hint(self):
        attributes = {"skill.name": "notes", "invocation_trigger": "claude-proactive"}
        _, _, hint, _ = read(event("skill_activated", 5, attributes))
        assert hint == CallHintEvent(session=SESSION, tool="skill", start=at(5), end=at(5), skill="notes")
        for other in ({"invocation_trigger": "user-slash"}, {"skill.name": "custom_skill"}):
            assert not any(
                isinstance(t, CallHintEvent) for t in read(event("skill_activated", 5, {**attributes, **other}))
            )


class TestEventsThatTellNothing:
    @pytest.mark.parametrize(
        "name", ["assistant_response", "hook_registered", "mcp_server_connection", "auth", "api_request_body", "new"]
    )
    def test_events_of_no_use_are_discarded(self, name):
        assert discarded(event(name, 1)) == "not_of_the_tree"

    def test_a_record_without_a_session_is_discarded(self):
        assert discarded(event("user_prompt", 1, {"session.id": None})) == "no_session"
        assert discarded(event("user_prompt", 1, {"session.id": 7})) == "no_session"

    def test_a_record_without_a_time_is_discarded(self):
        record = event("user_prompt", 1, {"event.timestamp": None})
        record.time_unix_nano = record.observed_time_unix_nano = 0
        assert discarded(record) == "no_time"
        timed = event("user_prompt", 1, {"event.timestamp": iso(1)})
        timed.time_unix_nano = timed.observed_time_unix_nano = 0
        assert one(timed).time == at(1)

    def test_the_body_may_have_the_event_name(self):
        assert one(event("user_prompt", 1, {"event.name": None})).name == "user_prompt"


_WORDS = st.sampled_from(
    [
        SESSION,
        "toolu_1",
        "Bash",
        "Agent",
        "Skill",
        "mcp__a__b",
        "mcp__",
        "accept",
        "reject",
        "user_reject",
        "true",
        "false",
        "agent:",
        "agent:custom:x",
        "NaN",
        "1e400",
        "-5",
        "999999999999999999999",
        iso(1),
        "0001-01-01T00:00:00+23:59",
        json.dumps({"subagent_type": 1, "skill_name": [], "mcp_server_name": {"a": 1}, "mcp_tool_name": "x"}),
        "[" * 5000,
    ]
)
_NAMES = st.sampled_from(
    [
        "user_prompt",
        "tool_result",
        "tool_decision",
        "api_request",
        "api_error",
        "api_refusal",
        "compaction",
        "subagent_completed",
        "skill_activated",
        "other",
    ]
)
_ATTRIBUTES = [
    "session.id",
    "event.timestamp",
    "event.sequence",
    "tool_name",
    "tool_use_id",
    "tool_parameters",
    "tool_input",
    "success",
    "duration_ms",
    "error",
    "error_type",
    "decision",
    "decision_type",
    "source",
    "request_id",
    "model",
    "query_source",
    "agent.name",
    "input_tokens",
    "cache_read_tokens",
    "cost_usd",
    "status_code",
    "command_name",
    "agent_type",
    "is_async",
    "skill.name",
]


@given(
    name=_NAMES,
    attributes=st.dictionaries(st.sampled_from(_ATTRIBUTES), _WORDS | ANY_VALUES, max_size=8),
    time=ANY_TIMES,
    observed=ANY_TIMES,
    body=ANY_VALUES,
)
def test_no_event_makes_the_reader_raise(name, attributes, time, observed, body):
    record = LogRecord(time_unix_nano=time, observed_time_unix_nano=observed)
    record.attributes.extend(key_values({**STANDARD, "event.name": name, **attributes}))
    record.body.CopyFrom(any_value(body))
    read = RecordReader(frozenset({"arguments"})).read(logs_request(record, scope=EVENTS, resource=RESOURCE), 0)
    assert sum(read.used.values()) + sum(read.discarded.values()) == 1
    assert not read.discarded["internal_error"]
    assert not read.discarded["unknown_record"]
