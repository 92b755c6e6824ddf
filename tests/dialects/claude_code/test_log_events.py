"""What Claude Code's own events tell, whose they are, and that no event breaks the reading of it."""

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
    PARTIAL,
    REPORTED,
    CallEvent,
    CallHintEvent,
    CallReportEvent,
    Discarded,
    NoteEvent,
    RequestEvent,
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
    """What one record tells, once it went over the wire."""
    (held,) = log_records(logs_request(record, scope=scope, resource=RESOURCE).body)
    return log_events.logs(held, wanted)


def one(record: LogRecord, **more: Any):
    """The one thing that an event tells beside that its session is a root and at work."""
    told = read(record, **more)
    assert told is not None
    root, busy, *rest = told
    assert root == SessionEvent(session=SESSION, root=True)
    assert busy == StateEvent(session=SESSION, time=busy.time, state="busy")
    (event,) = rest
    return event


def discarded(record: LogRecord) -> str:
    told = read(record)
    assert told is not None
    (event,) = told
    assert isinstance(event, Discarded)
    return event.reason


class TestWhoseItIs:
    """gcornut/opencode-otel 0.4.0, profile claude-code: the same scope, resource and names, of OpenCode's sessions."""

    @pytest.mark.parametrize("scope", ["com.anthropic.claude_code", EVENTS])
    def test_claude_codes_own(self, scope):
        assert read(event("user_prompt", 1), scope=scope) is not None

    @pytest.mark.parametrize("name", ["user_prompt", "api_request", "tool_result", "unheard_of"])
    def test_the_plugins_that_imitates_it(self, name):
        assert read(event(name, 1, {"session.id": OPENCODE})) is None

    @pytest.mark.parametrize(
        "scope", ["com.opencode", "com.opencode.claude_code_compat", "com.anthropic.claude_codex", "", "ai"]
    )
    def test_other_scopes(self, scope):
        assert read(event("user_prompt", 1), scope=scope) is None

    def test_the_one_that_imitates_it_is_asked_later(self):
        names = [d.name for d in DIALECTS]
        assert names.index("claude_code") < names.index("plugin_otel")

    def test_each_record_goes_where_it_belongs_though_one_request_holds_both(self):
        own = result("Bash", 1, 2, "toolu_1")
        other = event("tool_result", 2, {"session.id": OPENCODE, "tool_name": "Bash", "duration_ms": "1000"})
        evidence = RecordReader(NOTHING).read(logs_request(own, other, scope=EVENTS, resource=RESOURCE), 0)
        assert evidence.used == {"claude_code": 1, "plugin_otel": 1}
        tools = {t.session: t.tool for _, t in evidence.told if isinstance(t, (CallEvent, CallReportEvent))}
        assert tools == {SESSION: "Bash", OPENCODE: "bash"}

    def test_metrics_tell_totals(self):
        for session, ours in ((SESSION, True), (None, True), (OPENCODE, False)):
            labels = {"type": "input", **({"session.id": session} if session else {})}
            metric = Metric(name="claude_code.token.usage", unit="tokens")
            metric.sum.is_monotonic, metric.sum.aggregation_temporality = True, 1
            metric.sum.data_points.add(attributes=key_values(labels), time_unix_nano=at(6), as_double=4)
            (point,) = metric_points(metrics_request(metric, scope="com.anthropic.claude_code").body)
            told = log_events.metrics(point, NOTHING)
            if ours and session:
                (total,) = told
                assert (total.session, total.what, total.amount) == (SESSION, "fresh_tokens", 4)
            else:
                assert told == ((Discarded(reason="no_session"),) if ours else None)
            assert plugin_otel_metrics.metrics(point, NOTHING) is not None


class TestCalls:
    @BOTH
    def test_a_finished_one(self, texts):
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
    def test_a_failed_one(self, texts):
        call = one(
            result("Read", 2, 3, "toolu_1", success=False, error_type="Error:ENOENT", error="no such", texts=texts)
        )
        assert (call.status, call.error_type, call.error) == ("error", "Error:ENOENT", "no such")
        unclassed = one(result("Read", 2, 3, "toolu_1", success=False, texts=texts))
        assert unclassed.error_type == "tool_error"

    @pytest.mark.parametrize("tool", ["Task", "Agent"])
    def test_a_task(self, tool):
        call = one(result(tool, 2, 3, "toolu_1", parameters={"subagent_type": "Explore"}))
        assert (call.tool, call.agent) == ("task", "Explore")
        given = one(result(tool, 2, 3, "toolu_1", tool_input='{"subagent_type": "Plan", "description": "plan it"}'))
        assert (given.agent, given.description) == ("Plan", "plan it")
        assert one(result(tool, 2, 3, "toolu_1")).agent is None

    def test_a_skill(self):
        call = one(result("Skill", 2, 3, "toolu_1", parameters={"skill_name": "release-notes"}))
        assert (call.tool, call.skill) == ("skill", "release-notes")
        assert one(result("Skill", 2, 3, "toolu_1", tool_input='{"skill": "notes"}')).skill == "notes"

    @pytest.mark.parametrize(
        ("name", "parameters", "server", "tool"),
        [
            ("mcp__my_db__run_query", None, "my_db", "run_query"),
            ("mcp__db__run__all", None, "db", "run__all"),
            ("mcp_tool", {"mcp_server_name": "my db", "mcp_tool_name": "run"}, "my db", "run"),
            ("mcp__my_db__run", {"mcp_server_name": "my db", "mcp_tool_name": "run"}, "my db", "run"),
            ("mcp_tool", None, None, None),
            ("mcp_tool", {"mcp_tool_name": "run"}, None, None),
            ("mcp__", None, None, None),
        ],
    )
    def test_of_an_mcp_server(self, name, parameters, server, tool):
        call = one(result(name, 2, 3, "toolu_1", parameters=parameters))
        assert (call.tool, call.mcp_server, call.mcp_tool) == (name, server, tool)

    def test_parameters_that_are_cut(self):
        call = one(result("Agent", 2, 3, "toolu_1", tool_parameters='{"subagent_type": "Expl'))
        assert (call.tool, call.agent) == ("task", None)

    def test_arguments_only_where_they_are_wanted(self):
        record = result("Bash", 2, 3, "toolu_1", tool_input='{"command": "ls"}')
        assert one(record).arguments is None
        assert one(record, wanted=frozenset({"arguments"})).arguments == '{"command": "ls"}'

    def test_without_a_duration_it_has_no_start(self):
        call = one(result("Bash", 2, 3, "toolu_1", duration_ms=None))
        assert (call.start, call.end) == (None, at(3))

    def test_of_a_version_that_gives_no_id(self):
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

    def test_what_was_written_late_is_of_its_own_time(self):
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
    def test_accepted(self, answer, source, reply):
        assert one(decision("Bash", 2, "toolu_1", answer, source)) == CallEvent(
            session=SESSION, call="toolu_1", rank=PARTIAL, tool="Bash", permission_reply=reply
        )
        told = one(result("Bash", 2, 3, "toolu_1", decision_type=answer, decision_source=source))
        assert told.permission_reply == reply

    @pytest.mark.parametrize("source", ["user_reject", "user_abort", "config", "hook"])
    def test_rejected_it_ended_there_and_its_start_is_not_told(self, source):
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

    def test_of_no_call(self):
        assert discarded(decision("Edit", 2, None, "accept", "config")) == "no_call"
        assert discarded(decision("Edit", 2, "toolu_1", "perhaps", "config")) == "malformed"


class TestRequests:
    @BOTH
    def test_one(self, texts):
        told = read(request(1, 2.5, "req_1", texts=texts))
        assert told[2:] == (
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
    def test_of_a_subagent(self, attributes, agent):
        assert one(request(1, 2, "req_1", **attributes)).agent == agent

    def test_without_the_apis_id(self):
        assert one(request(1, 2, None, client_request_id="c1", query_source="x")).request == "c1"
        twins = [one(request(1, 2, None, query_source="x", **{"event.sequence": n})) for n in (7, 8)]
        assert len({t.request for t in twins}) == 2

    def test_its_cost_in_millionths(self):
        assert one(request(1, 2, "r", query_source="x", cost_usd=None)).cost == 0.25
        assert one(request(1, 2, "r", query_source="x", cost_usd=-1)).cost is None

    @BOTH
    def test_a_failed_one(self, texts):
        told = {"model": "m", "error": "Overloaded", "status_code": 529, "duration_ms": 1000, "attempt": 11}
        failed = one(event("api_error", 3, told, texts=texts))
        assert (failed.start, failed.end, failed.error_type, failed.error) == (at(2), at(3), "529", "Overloaded")
        assert one(event("api_error", 3, {"error": "Connection error."})).error_type == "api_error"

    def test_a_refused_one(self):
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
    def test_a_subagent_that_is_done(self, texts):
        told = {"agent_type": "Explore", "is_async": False, "total_tool_uses": 6, "duration_ms": 4000}
        _, _, hint, _ = read(event("subagent_completed", 5, told, texts=texts))
        assert hint == CallHintEvent(
            session=SESSION, tool="task", start=at(1), end=at(5), agent="Explore", tool_count=6
        )
        _, _, busy = read(event("subagent_completed", 5, {**told, "is_async": True}, texts=texts))
        assert isinstance(busy, StateEvent)

    def test_a_skill_that_the_model_chose(self):
        told = {"skill.name": "notes", "invocation_trigger": "claude-proactive"}
        _, _, hint, _ = read(event("skill_activated", 5, told))
        assert hint == CallHintEvent(session=SESSION, tool="skill", start=at(5), end=at(5), skill="notes")
        for other in ({"invocation_trigger": "user-slash"}, {"skill.name": "custom_skill"}):
            assert not any(isinstance(t, CallHintEvent) for t in read(event("skill_activated", 5, {**told, **other})))


class TestEventsThatTellNothing:
    @pytest.mark.parametrize(
        "name", ["assistant_response", "hook_registered", "mcp_server_connection", "auth", "api_request_body", "new"]
    )
    def test_of_no_tree(self, name):
        assert discarded(event(name, 1)) == "not_of_the_tree"

    def test_without_a_session(self):
        assert discarded(event("user_prompt", 1, {"session.id": None})) == "no_session"
        assert discarded(event("user_prompt", 1, {"session.id": 7})) == "no_session"

    def test_without_a_time(self):
        record = event("user_prompt", 1, {"event.timestamp": None})
        record.time_unix_nano = record.observed_time_unix_nano = 0
        assert discarded(record) == "no_time"
        timed = event("user_prompt", 1, {"event.timestamp": iso(1)})
        timed.time_unix_nano = timed.observed_time_unix_nano = 0
        assert one(timed).time == at(1)

    def test_named_by_its_body_alone(self):
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
def test_no_event_breaks_the_reading_of_it(name, attributes, time, observed, body):
    record = LogRecord(time_unix_nano=time, observed_time_unix_nano=observed)
    record.attributes.extend(key_values({**STANDARD, "event.name": name, **attributes}))
    record.body.CopyFrom(any_value(body))
    evidence = RecordReader(frozenset({"arguments"})).read(logs_request(record, scope=EVENTS, resource=RESOURCE), 0)
    assert sum(evidence.used.values()) + sum(evidence.discarded.values()) == 1
    assert not evidence.discarded["internal_error"]
    assert not evidence.discarded["unknown_record"]
