"""Traces from Claude Code's events, spans and both, and beside a plugin that imitates it."""

from __future__ import annotations

import random

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from receiver import semconv as sc
from receiver.core.state.settings import BuilderSettings
from receiver.model import STATUS_ERROR, Span
from tests.support import claude_code_records as claude
from tests.support.claude_code_records import RESOURCE, SESSION, decision, event, request, result
from tests.support.factories import any_value, at, built, key_values, logs_request, session_id
from tests.support.span_laws import attribute, canonical, inferred, is_session, violations

BOTH = pytest.mark.parametrize("texts", [False, True], ids=["native", "as text"])
SUBAGENT = {"query_source": "agent:builtin:Explore", "model": "claude-haiku-4-5"}


def session(texts: bool = False) -> list[LogRecord]:
    """A prompt, a permission, two subagents at once, a skill, MCP calls, a rejected edit, a failed read and request."""
    t = {"texts": texts}
    return [
        event("user_prompt", 1, {"prompt_length": 40}, **t),
        request(1.1, 2, "req_1", **t),
        decision("Bash", 2.5, "toolu_bash", "accept", "user_temporary", **t),
        result("Bash", 2.6, 3.45, "toolu_bash", decision_source="user_temporary", **t),
        request(4.1, 5, "req_a1", **SUBAGENT, **t),
        request(4.2, 5.5, "req_b1", **SUBAGENT, **t),
        result("Read", 5.1, 5.2, "toolu_read", **t),
        result("Read", 5.2, 5.3, "toolu_gone", success=False, error_type="Error:ENOENT", error="no such file", **t),
        event(
            "subagent_completed",
            6.99,
            {"agent_type": "Explore", "duration_ms": 2980, "total_tool_uses": 2, "is_async": False},
            **t,
        ),
        result("Agent", 4, 7, "toolu_a", **t),
        result("Task", 4.02, 8, "toolu_b", parameters={"subagent_type": "general-purpose"}, **t),
        result("Skill", 8.1, 8.11, "toolu_skill", parameters={"skill_name": "release-notes"}, **t),
        result("mcp__my_db__run_query", 8.2, 8.5, "toolu_mcp", **t),
        result("mcp_tool", 8.6, 8.7, "toolu_redacted", **t),
        decision("Edit", 9, "toolu_edit", "reject", "user_reject", **t),
        event("api_error", 11, {"error": "Overloaded", "status_code": 529, "duration_ms": 1000, "model": "m"}, **t),
        event("compaction", 12, {"trigger": "auto", "success": True}, **t),
        request(12.1, 13, "req_2", **t),
    ]


def by_call(spans: list[Span]) -> dict[str, Span]:
    return {str(call): s for s in spans if (call := attribute(s, sc.TOOL_CALL_ID))}


def times(span: Span) -> tuple[float, float]:
    return ((span.start - at(0)) / 1e9, (span.end - at(0)) / 1e9)


class TestFromEvents:
    @BOTH
    def test_events_build_one_tree(self, texts):
        spans = built(claude.logs(*session(texts))).spans
        assert violations(spans) == []
        (root,) = [s for s in spans if is_session(s)]
        assert (root.name, times(root), root.parent_span_id) == ("invoke_agent", (1, 13), b"")
        assert attribute(root, sc.SESSION_ID) == SESSION
        assert attribute(root, sc.REQUEST_MODEL) == "claude-opus-4-8"
        assert attribute(root, sc.INPUT_TOKENS) == 4 * 1034
        assert attribute(root, sc.COST) == 1.0
        assert attribute(root, sc.END_REASON) == "inactive"
        assert [e.name for e in root.events] == ["user_prompt", "session.compacted"]
        assert all(s.parent_span_id == root.span_id for s in spans if s is not root)
        assert {s.name: times(s) for s in spans if attribute(s, sc.OPERATION_NAME) != sc.CHAT} == {
            "invoke_agent": (1, 13),
            "execute_tool Bash": (2.6, 3.45),
            "execute_tool Read": (5.2, 5.3),
            "execute_tool task Explore": (4, 7),
            "execute_tool task general-purpose": (4.02, 8),
            "execute_tool skill release-notes": (8.1, 8.11),
            "tools/call run_query": (8.2, 8.5),
            "execute_tool mcp_tool": (8.6, 8.7),
            "execute_tool Edit": (9, 9),
        }

    def test_the_tree_is_the_same_for_text_and_typed_attributes(self):
        native, text = (built(claude.logs(*session(t))).spans for t in (False, True))
        assert canonical(native) == canonical(text)

    def test_the_tree_is_the_same_for_any_order_and_duplicates(self):
        expected = canonical(built(claude.logs(*session())).spans)
        for seed in range(8):
            records = session() * 2
            random.Random(seed).shuffle(records)
            assert canonical(built(*(claude.logs(r) for r in records)).spans) == expected

    def test_calls_of_events(self):
        calls = by_call(built(claude.logs(*session())).spans)
        assert attribute(calls["toolu_bash"], sc.PERMISSION_REPLY) == "once"
        assert attribute(calls["toolu_mcp"], sc.MCP_SERVER) == "my_db"
        assert attribute(calls["toolu_mcp"], sc.OPENCODE_TOOL_NAME) == "mcp__my_db__run_query"
        gone = calls["toolu_gone"]
        assert (gone.status_code, gone.status_message) == (STATUS_ERROR, "no such file")
        assert attribute(gone, sc.ERROR_TYPE) == "Error:ENOENT"
        assert not any(inferred(calls[c]) for c in calls if c not in ("toolu_edit", "toolu_a"))

    def test_a_rejected_call_has_its_decision_as_end_and_an_inferred_start(self):
        edit = by_call(built(claude.logs(*session())).spans)["toolu_edit"]
        assert (edit.status_code, attribute(edit, sc.ERROR_TYPE)) == (STATUS_ERROR, "permission_rejected")
        assert attribute(edit, sc.PERMISSION_REPLY) == "reject"
        assert inferred(edit) == ("start",)
        stated = built(claude.logs(*session()), settings=BuilderSettings(infer=False)).spans
        assert "toolu_edit" not in by_call(stated)

    def test_a_result_wins_over_a_rejection(self):
        records = [decision("Edit", 2, "t", "reject", "user_reject"), result("Edit", 3, 4, "t")]
        for events in (records, records[::-1]):
            edit = by_call(built(claude.logs(*events)).spans)["t"]
            assert (edit.status_code, times(edit)) == (0, (3, 4))

    def test_requests_of_events(self):
        spans = built(claude.logs(*session())).spans
        chats = sorted((s for s in spans if attribute(s, sc.OPERATION_NAME) == sc.CHAT), key=lambda s: s.start)
        assert [(s.name, attribute(s, sc.AGENT_NAME), attribute(s, sc.ERROR_TYPE)) for s in chats] == [
            ("chat claude-opus-4-8", None, None),
            ("chat claude-haiku-4-5", "Explore", None),
            ("chat claude-haiku-4-5", "Explore", None),
            ("chat m", None, "529"),
            ("chat claude-opus-4-8", None, None),
        ]

    def test_events_without_call_ids_build_the_same_calls(self):
        records = [result("Bash", 2, 3, None), result("Task", 3, 5, None, parameters={"subagent_type": "Plan"})]
        spans = built(claude.logs(event("user_prompt", 1), *records)).spans
        assert {s.name: times(s) for s in spans if not is_session(s)} == {
            "execute_tool Bash": (2, 3),
            "execute_tool task Plan": (3, 5),
        }

    def test_a_long_pause_starts_another_trace(self):
        spans = built(claude.logs(event("user_prompt", 1), event("user_prompt", 500), event("user_prompt", 1200))).spans
        assert sorted(times(s) for s in spans) == [(1, 500), (1200, 1200)]


class TestWhichAgentATaskWas:
    def done(self, agent: str, start: float, end: float) -> LogRecord:
        return event(
            "subagent_completed",
            end,
            {"agent_type": agent, "duration_ms": round((end - start) * 1000), "total_tool_uses": 3, "is_async": False},
        )

    def names(self, *records: LogRecord, **settings: bool) -> dict[str, str]:
        spans = built(claude.logs(*records), settings=BuilderSettings(**settings)).spans  # type: ignore[arg-type]
        assert violations(spans) == []
        return {c: s.name for c, s in by_call(spans).items()}

    def test_the_subagents_end_and_duration_decide_which_call_it_was(self):
        records = [
            result("Agent", 1, 5, "a"),
            result("Agent", 1, 7, "b"),
            self.done("Explore", 1.02, 4.98),
            self.done("Plan", 1.03, 6.99),
        ]
        expected = {"a": "execute_tool task Explore", "b": "execute_tool task Plan"}
        assert self.names(*records) == self.names(*records[::-1]) == expected
        explore = by_call(built(claude.logs(*records)).spans)["a"]
        assert attribute(explore, sc.TASK_TOOL_COUNT) == 3
        assert inferred(explore) == ("identity",)
        assert self.names(*records, infer=False) == {"a": "execute_tool task", "b": "execute_tool task"}

    def test_calls_that_ended_together_get_no_agent(self):
        records = [result("Agent", 1, 5, "a"), result("Agent", 1, 5.01, "b")]
        names = self.names(*records, self.done("Explore", 1.02, 4.99), self.done("Plan", 1.02, 5))
        assert names == {"a": "execute_tool task", "b": "execute_tool task"}

    def test_the_agent_of_the_call_record_wins(self):
        stated = result("Agent", 1, 5, "a", parameters={"subagent_type": "Plan"})
        assert self.names(stated, self.done("Explore", 1.02, 4.98)) == {"a": "execute_tool task Plan"}

    def test_a_subagent_without_a_call_adds_no_call(self):
        outcome = built(claude.logs(event("user_prompt", 1), self.done("Explore", 2, 6)))
        assert [s.name for s in outcome.spans] == ["invoke_agent"]
        assert outcome.discarded["not_told"] == 1

    def test_a_skill_call_gets_its_name_from_the_activation(self):
        activated = event("skill_activated", 2.005, {"skill.name": "notes", "invocation_trigger": "claude-proactive"})
        assert self.names(result("Skill", 2, 2.01, "s"), activated) == {"s": "execute_tool skill notes"}


class TestWithSpans:
    def spans(self) -> list:
        """A turn: a request, a call that waited for a person, a failed one and a rejected one."""
        return [
            claude.span("interaction", 1, 20, 1),
            claude.span("llm_request", 1.1, 2.001, 2, 1, request_id="req_1", model="m", stop_reason="tool_use"),
            claude.span("tool", 2.1, 3.46, 3, 1, tool_name="Bash", tool_use_id="toolu_1"),
            claude.span("tool.blocked_on_user", 2.1, 2.59, 4, 3, decision="accept", source="user_temporary"),
            claude.span("tool.execution", 2.6, 3.45, 5, 3, tool_use_id="toolu_1", success="true"),
            claude.span("tool", 4, 5, 6, 1, tool_name="Read", tool_use_id="toolu_2"),
            claude.span("tool.execution", 4, 5, 7, 6, STATUS_ERROR, tool_use_id="toolu_2", success="false"),
            claude.span("tool", 6, 7, 8, 1, tool_name="Edit", tool_use_id="toolu_3"),
        ]

    def test_spans_alone_build_the_tree(self):
        outcome = built(claude.spans(*self.spans()))
        assert violations(outcome.spans) == []
        assert outcome.untouched == []
        assert {s.name: (times(s), s.status_code) for s in outcome.spans} == {
            "invoke_agent": ((1, 20), 0),
            "chat m": ((1.1, 2.001), 0),
            "execute_tool Bash": ((2.1, 3.46), 0),
            "execute_tool Read": ((4, 5), STATUS_ERROR),
            "execute_tool Edit": ((6, 7), 0),
        }

    def test_spans_and_events_together_give_each_item_once(self):
        events = claude.logs(
            event("user_prompt", 1.01),
            request(1.1, 2, "req_1", model="m"),
            result("Bash", 2.6, 3.45, "toolu_1", decision_source="user_temporary"),
            result("Read", 4, 5, "toolu_2", success="false", error_type="Error:ENOENT"),
            decision("Edit", 6.9, "toolu_3", "reject", "user_reject"),
        )
        one, other = built(events, claude.spans(*self.spans())), built(claude.spans(*self.spans()[::-1]), events)
        assert canonical(one.spans) == canonical(other.spans)
        assert violations(one.spans) == []
        assert {s.name: (times(s), s.status_code) for s in one.spans} == {
            "invoke_agent": ((1, 20), 0),
            "chat m": ((1.1, 2), 0),
            "execute_tool Bash": ((2.1, 3.46), 0),
            "execute_tool Read": ((4, 5), STATUS_ERROR),
            "execute_tool Edit": ((6, 7), STATUS_ERROR),
        }
        calls = by_call(one.spans)
        assert attribute(calls["toolu_2"], sc.ERROR_TYPE) == "Error:ENOENT"
        assert not any(map(inferred, calls.values()))
        (chat,) = [s for s in one.spans if s.name == "chat m"]
        assert (attribute(chat, sc.FINISH_REASONS), attribute(chat, sc.COST)) == (("tool_use",), 0.25)


class TestBesideThePluginThatImitatesIt:
    """gcornut/opencode-otel 0.4.0, profile claude-code, as it was recorded: numbers as text, names capitalized, no ids
    of calls, no severity, `prompt.id` of the process."""

    CHILD = session_id(3.0, 2)
    ROOT = session_id(0.5, 1)

    def record(self, name: str, session: str, time: float, **attributes: str) -> LogRecord:
        record = LogRecord(time_unix_nano=at(time), observed_time_unix_nano=at(time))
        record.body.CopyFrom(any_value(f"claude_code.{name}"))
        held = {"user.id": "7cde", "session.id": session, "event.name": name, "event.sequence": 3, "prompt.id": "p"}
        record.attributes.extend(key_values({**held, "event.timestamp": claude.iso(time), **attributes}))
        return record

    def tool(self, tool: str, session: str, start: float, end: float) -> LogRecord:
        ms = str(round((end - start) * 1000))
        return self.record("tool_result", session, end, tool_name=tool, duration_ms=ms, success="true")

    def imitation(self) -> list[LogRecord]:
        return [
            self.record("user_prompt", self.ROOT, 1, prompt_length="10"),
            self.tool("Bash", self.ROOT, 2, 2.8),
            self.record("user_prompt", self.CHILD, 3.05, prompt_length="10"),
            self.tool("Read", self.CHILD, 4, 4.2),
            self.record("api_request", self.CHILD, 4.99, model="m", duration_ms="700", input_tokens="5"),
            self.tool("Task", self.ROOT, 3, 5),
        ]

    def test_claude_code_and_the_plugin_have_separate_traces(self):
        imitated = logs_request(
            *self.imitation(),
            scope="com.anthropic.claude_code.events",
            resource={**RESOURCE, "service.version": "0.4.0"},
        )
        alone, own = built(imitated), built(claude.logs(*session()))
        assert alone.used == {"plugin_otel": 6}
        assert own.used == {"claude_code": 18}
        both = built(imitated, claude.logs(*session()))
        assert canonical(both.spans) == canonical([*alone.spans, *own.spans])
        assert violations(both.spans) == []
        names = {s.name for s in alone.spans if attribute(s, sc.SESSION_ID) in (self.ROOT, self.CHILD)}
        assert {"execute_tool bash", "execute_tool read", "execute_tool task"} <= names

    def test_no_opencode_session_is_a_child_of_a_claude_code_task(self):
        """They have the same resource, and the times would fit. The plugin reports no failed task."""
        child = [
            self.record("user_prompt", self.CHILD, 3.05, prompt_length="10"),
            self.record("api_request", self.CHILD, 4.99, model="m", duration_ms="700", input_tokens="5"),
        ]
        own = [event("user_prompt", 1), result("Agent", 3, 5, "toolu_1")]
        requests = [logs_request(r, scope=claude.EVENTS, resource=RESOURCE) for r in (*child, *own)]
        spans = built(*requests).spans
        assert violations(spans) == []
        assert sorted(str(attribute(s, sc.SESSION_ID)) for s in spans if is_session(s) and not s.parent_span_id) == [
            SESSION,
            self.CHILD,
        ]
