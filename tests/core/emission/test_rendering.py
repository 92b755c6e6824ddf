"""Facts become spans: names, kinds, limits, and what is counted as dropped."""

from __future__ import annotations

from dataclasses import replace

import pytest

from receiver import semconv as sc
from receiver.core.emission.mcp_names import McpName
from receiver.core.emission.rendering import (
    Attributes,
    Place,
    SessionPart,
    call_kind,
    call_span,
    permission_span,
    request_span,
    session_span,
    text,
)
from receiver.core.state.items import Inferred, Item
from receiver.core.state.settings import BuilderSettings
from receiver.events import EXACT
from receiver.model import KIND_CLIENT, KIND_INTERNAL, STATUS_ERROR, STATUS_UNSET, BuiltEvent, Link
from tests.support.factories import SETTINGS, at


def place(**more) -> Place:
    known = {"trace": b"\x01" * 16, "parent": b"\x02" * 8, "session": "ses_b", "root": "ses_a", "agent": "build"}
    return Place(**{**known, "resource": b"res", **more})


def item(key: str = "call_1", **facts) -> Item:
    told = {"start": at(1), "end": at(2), **facts}
    return Item(id=key, facts={field: (EXACT, value) for field, value in told.items() if value is not None})


def call(mcp: McpName | None = None, *, key: str = "call_1", where: Place | None = None, settings=SETTINGS, **facts):
    return call_span(settings, where or place(), item(key, **facts), at(2), mcp, ())


def part(**more) -> SessionPart:
    known = {
        "span_id": b"\x03" * 8,
        "number": 1,
        "start": at(0),
        "end": at(9),
        "parent_session": None,
        "end_reason": "idle",
        "facts": {},
        "usage": {},
        "lines": (0, 0),
        "error_type": None,
        "error": None,
        "events": [],
        "links": [],
    }
    return SessionPart(**{**known, **more})


class TestLimits:
    def test_attributes_beyond_the_limit_are_counted(self):
        put = Attributes(SETTINGS)
        for number in range(70):
            put.put(f"a{number}", number)
        held, dropped = put.done()
        assert (len(held), dropped) == (64, 6)
        assert held[0] == ("a0", 0)

    def test_the_span_says_how_many_were_dropped(self):
        span = call(tool="bash", settings=replace(SETTINGS, max_attributes=3))
        assert len(span.attributes) == 3
        assert span.dropped_attributes_count == len(call(tool="bash").attributes) - 3

    @pytest.mark.parametrize(
        ("value", "cut"),
        [
            ("x" * 2048, "x" * 2048),
            ("x" * 2049, "x" * 2048),
            ("é" * 1024, "é" * 1024),
            ("x" + "é" * 1024, "x" + "é" * 1023),
            ("€" * 700, "€" * 682),
            ("😀" * 513, "😀" * 512),
        ],
        ids=["fits", "one too many", "fits in bytes", "two bytes", "three bytes", "four bytes"],
    )
    def test_text_is_cut_at_2048_bytes_between_two_characters(self, value, cut):
        put = Attributes(SETTINGS)
        put.put("a", value)
        ((_, held),), _ = put.done()
        assert held == cut
        assert len(held.encode()) <= 2048

    def test_every_text_of_an_array_is_cut(self):
        put = Attributes(BuilderSettings(max_attribute_bytes=3))
        put.put("a", ("abcd", "é€"))
        assert put.done()[0] == (("a", ("abc", "é")),)

    def test_a_number_that_otlp_cannot_hold_becomes_text(self):
        put = Attributes(SETTINGS)
        put.put("a", 1 << 63)
        put.put("b", (1 << 63) - 1)
        assert put.done()[0] == (("a", str(1 << 63)), ("b", (1 << 63) - 1))

    @pytest.mark.parametrize("value", [None, "", ()])
    def test_an_empty_value_is_no_attribute(self, value):
        put = Attributes(SETTINGS)
        put.put("a", value)
        assert put.done() == ((), 0)

    @pytest.mark.parametrize("value", [0, False, 0.0])
    def test_zero_and_false_are_attributes(self, value):
        put = Attributes(SETTINGS)
        put.put("a", value)
        assert put.done() == ((("a", value),), 0)

    def test_a_span_name_is_one_line_of_at_most_200_characters(self):
        assert text("two\n  lines ") == "two lines"
        assert len(text("x" * 500)) == 200

    def test_span_events_beyond_the_limit_are_counted_and_the_first_are_kept(self):
        events = [BuiltEvent("session.retry", at(n)) for n in (3, 1, 2)]
        span = session_span(replace(SETTINGS, max_events=2), place(), part(events=events))
        assert [e.time for e in span.events] == [at(1), at(2)]
        assert span.dropped_events_count == 1


class TestCalls:
    def test_a_builtin_tool(self):
        span = call(tool="bash")
        assert (span.name, span.kind, span.status_code) == ("execute_tool bash", KIND_INTERNAL, STATUS_UNSET)
        assert dict(span.attributes) == {
            sc.OPERATION_NAME: "execute_tool",
            sc.TOOL_NAME: "bash",
            sc.TOOL_CALL_ID: "call_1",
            sc.TOOL_TYPE: "function",
            sc.SESSION_ID: "ses_b",
            sc.CONVERSATION_ID: "ses_b",
            sc.AGENT_NAME: "build",
            sc.ROOT_SESSION_ID: "ses_a",
        }
        assert (span.trace_id, span.parent_span_id, span.resource) == (b"\x01" * 16, b"\x02" * 8, b"res")

    def test_a_roots_own_call_does_not_name_the_root(self):
        assert sc.ROOT_SESSION_ID not in dict(call(tool="bash", where=place(root="ses_b")).attributes)

    def test_a_call_without_a_tool(self):
        assert call().name == "execute_tool unknown"

    def test_an_mcp_call_is_a_client_span(self):
        span = call(McpName("my_db", "run_query", True), tool="my_db_run_query")
        held = dict(span.attributes)
        assert (span.name, span.kind) == ("tools/call run_query", KIND_CLIENT)
        assert held[sc.MCP_METHOD] == "tools/call"
        assert held[sc.TOOL_NAME] == "run_query"
        assert held[sc.MCP_SERVER] == held[sc.PEER_SERVICE] == "my_db"
        assert held[sc.OPENCODE_TOOL_NAME] == "my_db_run_query"
        assert held[sc.INFERRED] == ("mcp.server",)
        assert sc.TOOL_TYPE not in held

    def test_a_task(self):
        link = Link(b"\x01" * 16, b"\x04" * 8)
        told = item(tool="task", agent="explore", tool_count=2)
        span = call_span(SETTINGS, place(), told, at(2), None, [link], "ses_c")
        held = dict(span.attributes)
        assert span.name == "execute_tool task explore"
        assert span.links == (link,)
        assert (held[sc.TRANSFER_TARGET], held[sc.TRANSFER_MODE]) == ("explore", "return_to_caller")
        assert (held[sc.CHILD_SESSION_ID], held[sc.TASK_TOOL_COUNT]) == ("ses_c", 2)

    def test_a_skill(self):
        span = call(tool="skill", skill="notes")
        assert (span.name, dict(span.attributes)[sc.SKILL_NAME]) == ("execute_tool skill notes", "notes")

    @pytest.mark.parametrize("key", ["~skill@1", "#bash@1+2/0.0"])
    def test_a_call_without_an_id_has_no_call_id(self, key):
        assert sc.TOOL_CALL_ID not in dict(call(key=key, tool="bash").attributes)

    def test_kinds_of_calls(self):
        mcp = McpName("my", "x", False)
        assert [call_kind(item(tool=t), m) for t, m in (("task", None), ("skill", None), ("a", mcp), ("a", None))] == [
            "task",
            "skill",
            "mcp",
            "tool",
        ]

    def test_lines_are_added_up(self):
        told = item(tool="edit")
        told.lines = {"p1": (3, 1), "p2": (4, 0)}
        held = dict(call_span(SETTINGS, place(), told, at(2), None, ()).attributes)
        assert (held[sc.LINES_ADDED], held[sc.LINES_REMOVED]) == (7, 1)

    def test_an_end_is_never_before_its_start(self):
        assert call_span(SETTINGS, place(), item(tool="bash"), at(0), None, ()).end == at(1)

    def test_each_inferred_fact_is_named_once(self):
        where = place(inferred=["parent"])
        told = item(tool="my_x")
        told.infer(Inferred.IDENTITY, Inferred.PARENT)
        span = call_span(SETTINGS, where, told, at(2), McpName("my", "x", True), ())
        assert dict(span.attributes)[sc.INFERRED] == ("parent", "mcp.server", "identity")

    def test_a_late_span_is_marked(self):
        assert dict(call(tool="bash", where=place(late=True)).attributes)[sc.LATE] is True


class TestFailures:
    def test_a_failed_call_has_an_error_type_and_a_message(self):
        span = call(tool="bash", status="error", error_type="timeout", error="timed\nout")
        assert (span.status_code, span.status_message) == (STATUS_ERROR, "timed out")
        assert dict(span.attributes)[sc.ERROR_TYPE] == "timeout"

    def test_a_failed_call_without_a_stated_error_type(self):
        assert dict(call(tool="bash", status="error").attributes)[sc.ERROR_TYPE] == "tool_error"

    def test_a_failed_mcp_call_is_a_tool_error(self):
        span = call(McpName("my", "x", False), tool="my_x", status="error", error_type="not_found")
        assert dict(span.attributes)[sc.ERROR_TYPE] == "tool_error"

    def test_success_leaves_the_status_unset_and_the_message_empty(self):
        span = call(tool="bash", status="completed", error="stale")
        assert (span.status_code, span.status_message) == (STATUS_UNSET, "")
        assert sc.ERROR_TYPE not in dict(span.attributes)


class TestOtherSpans:
    def test_a_request(self):
        told = item("msg_1", model="fake-1", provider="openai.chat", finish="stop", input_tokens=0, cost=0.5)
        span = request_span(SETTINGS, place(), told, at(2))
        held = dict(span.attributes)
        assert (span.name, span.kind, span.status_code) == ("chat fake-1", KIND_CLIENT, STATUS_UNSET)
        assert (held[sc.PROVIDER_NAME], held[sc.FINISH_REASONS]) == ("openai", ("stop",))
        assert (held[sc.INPUT_TOKENS], held[sc.COST]) == (0, 0.5)

    def test_a_failed_request_of_an_unknown_model(self):
        span = request_span(SETTINGS, place(), item("msg_1", error_type="APIError", error="bad key"), at(2))
        assert (span.name, span.status_code, span.status_message) == ("chat", STATUS_ERROR, "bad key")

    def test_a_requests_own_agent_beats_the_sessions(self):
        span = request_span(SETTINGS, place(), item("msg_1", agent="title"), at(2))
        assert dict(span.attributes)[sc.AGENT_NAME] == "title"

    def test_a_permission(self):
        told = Item(id="per_1", facts={"asked": (EXACT, at(3)), "name": (EXACT, "bash"), "reply": (EXACT, "once")})
        span = permission_span(SETTINGS, place(), told, at(5))
        assert (span.name, span.kind, span.start, span.end) == ("permission bash", KIND_INTERNAL, at(3), at(5))
        assert dict(span.attributes)[sc.PERMISSION_REPLY] == "once"

    def test_a_session(self):
        facts = {"model": "fake-1", "provider": "anthropic", "version": "1.18.33"}
        usage = {sc.INPUT_TOKENS: 330}
        where = place(session="ses_a", parent=b"")
        span = session_span(SETTINGS, where, part(facts=facts, usage=usage, lines=(0, 2)))
        held = dict(span.attributes)
        assert (span.name, span.kind, span.span_id) == ("invoke_agent build", KIND_INTERNAL, b"\x03" * 8)
        assert (held[sc.INPUT_TOKENS], held[sc.VERSION], held[sc.END_REASON]) == (330, "1.18.33", "idle")
        assert (held[sc.LINES_ADDED], held[sc.LINES_REMOVED]) == (0, 2)
        assert sc.SESSION_TITLE not in held

    def test_a_session_without_an_agent(self):
        assert session_span(SETTINGS, place(agent=None), part()).name == "invoke_agent"

    def test_a_session_that_failed(self):
        span = session_span(SETTINGS, place(), part(error_type="APIError", error="bad key"))
        assert (span.status_code, span.status_message) == (STATUS_ERROR, "bad key")
        assert dict(span.attributes)[sc.ERROR_TYPE] == "APIError"

    def test_span_events_are_in_order_of_time(self):
        events = [BuiltEvent("b", at(2)), BuiltEvent("a", at(2)), BuiltEvent("c", at(1))]
        assert [e.name for e in session_span(SETTINGS, place(), part(events=events)).events] == ["c", "a", "b"]
