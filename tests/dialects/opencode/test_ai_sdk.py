"""What AI SDK spans tell: ids, times and status, never their own parents."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from receiver.codec.decode import span_records
from receiver.dialects.opencode.ai_sdk import spans
from receiver.events import (
    PARTIAL,
    REPORTED,
    SPAN,
    CallEvent,
    Discarded,
    RequestEvent,
    ServerEvent,
    SessionEvent,
    StateEvent,
)
from tests.support.factories import at, key_values, spans_request

NOTHING: frozenset[str] = frozenset()
OWN, ABOVE = b"\x01" * 8, b"\x02" * 8


def told(
    name: str,
    attributes: dict[str, Any] | None = None,
    *,
    start: int = at(1),
    end: int = at(2),
    error: str | None = None,
    exception: dict[str, Any] | None = None,
    scope: str = "ai",
    wanted=NOTHING,
):
    """What one span tells, once it went over the wire."""
    span = Span(
        trace_id=b"\x09" * 16,
        span_id=OWN,
        parent_span_id=ABOVE,
        name=name,
        start_time_unix_nano=start,
        end_time_unix_nano=end,
        attributes=key_values(attributes or {}),
    )
    if error is not None:
        span.status.code = Status.STATUS_CODE_ERROR
        span.status.message = error
    if exception is not None:
        span.events.add(name="exception", attributes=key_values(exception))
    record, _ = next(span_records(spans_request(span, scope=scope).body))
    return spans(record, wanted)


def call(tool: str = "read", *, args: Any = None, result: Any = None, **more: Any) -> CallEvent:
    attributes = {"session.id": "ses_a", "ai.toolCall.id": "call_1", "ai.toolCall.name": tool}
    if args is not None:
        attributes["ai.toolCall.args"] = args if isinstance(args, str) else json.dumps(args)
    if result is not None:
        attributes["ai.toolCall.result"] = result if isinstance(result, str) else json.dumps(result)
    return told("ai.toolCall", attributes, **more)[0]


class TestWhoseSpanItIs:
    def test_spans_of_other_scopes_are_handed_on(self):
        assert told("ai.toolCall", {"session.id": "ses_a"}, scope="checkout") is None

    def test_spans_of_the_sdk_with_other_names_are_handed_on(self):
        assert told("my.step", {"session.id": "ses_a"}) is None

    def test_other_operations_of_the_sdk_are_not_of_the_tree(self):
        assert told("ai.embed", {"session.id": "ses_a"}) == (Discarded(reason="not_of_the_tree"),)

    def test_no_session(self):
        assert told("ai.toolCall", {"ai.toolCall.id": "call_1"}) == (Discarded(reason="no_session"),)

    @pytest.mark.parametrize("start", [0, 1 << 62])
    def test_no_time(self, start):
        assert told("ai.toolCall", {"session.id": "ses_a"}, start=start) == (Discarded(reason="no_time"),)

    @pytest.mark.parametrize(
        "name",
        [
            "session.id",
            "ai.telemetry.metadata.sessionId",
            "ai.request.headers.X-Session-Id",
            "ai.request.headers.x-session-affinity",
        ],
    )
    def test_the_session_is_found_where_versions_put_it(self, name):
        (event,) = told("ai.toolCall", {name: "ses_a", "ai.toolCall.id": "call_1"})
        assert event.session == "ses_a"

    def test_an_empty_session_is_passed_over_for_the_next_name(self):
        attributes = {"session.id": None, "ai.request.headers.X-Session-Id": "ses_a", "ai.toolCall.id": "call_1"}
        assert told("ai.toolCall", attributes)[0].session == "ses_a"


class TestCalls:
    def test_a_call_that_went_well(self):
        assert call() == CallEvent(
            session="ses_a", call="call_1", rank=SPAN, start=at(1), end=at(2), tool="read", status="completed"
        )

    def test_the_plugins_own_names(self):
        (event,) = told("ai.toolCall", {"session.id": "ses_a", "call.id": "call_1", "tool.name": "bash"})
        assert (event.call, event.tool) == ("call_1", "bash")

    def test_without_an_id(self):
        assert told("ai.toolCall", {"session.id": "ses_a"}) == (Discarded(reason="no_call"),)

    def test_an_end_is_never_before_its_start(self):
        assert call(end=0).end == at(1)

    def test_a_failed_call_has_a_class_and_its_text(self):
        event = call(error="File not found: /a")
        assert (event.status, event.error_type, event.error) == ("error", "not_found", "File not found: /a")

    def test_the_text_may_be_in_the_exception(self):
        event = call(error="", exception={"exception.message": "Tool execution aborted"})
        assert (event.error_type, event.error) == ("cancelled", "Tool execution aborted")

    def test_a_failure_without_any_text(self):
        event = call(error="")
        assert (event.status, event.error_type, event.error) == ("error", "tool_error", None)

    def test_arguments_and_results_are_read_only_where_they_are_wanted(self):
        event = call(args={"filePath": "/a"}, result="text")
        assert (event.arguments, event.result) == (None, None)
        event = call(args={"filePath": "/a"}, result="text", wanted=frozenset({"arguments", "results"}))
        assert (event.arguments, event.result) == ('{"filePath": "/a"}', "text")

    def test_a_skill(self):
        event = call("skill", args={"name": "asked"}, result={"metadata": {"name": "notes", "dir": "/skills/notes"}})
        assert (event.skill, event.skill_source) == ("notes", "/skills/notes")
        assert call("skill", args={"name": "asked"}, error="no").skill == "asked"

    def test_reading_a_resource_names_an_mcp_server(self):
        attributes = {
            "session.id": "ses_a",
            "ai.toolCall.id": "call_1",
            "ai.toolCall.name": "read_mcp_resource",
            "ai.toolCall.args": '{"server": "team-notes", "uri": "x"}',
        }
        assert told("ai.toolCall", attributes)[1] == ServerEvent(server="team-notes", time=at(2))

    def test_arguments_that_are_no_json_are_none(self):
        assert call("task", args="{cut").agent is None


class TestTheChildOfATask:
    def test_is_stated_by_the_result(self):
        result = {"metadata": {"sessionId": "ses_b"}, "output": "done"}
        assert call("task", result=result).child == "ses_b"

    def test_is_found_in_a_result_that_was_cut(self):
        assert call("task", result='{"title":"t","metadata":{"sessionId": "ses_b","model":{"mod').child == "ses_b"

    def test_is_named_by_the_output(self):
        assert call("task", result={"output": 'x\n<task id="ses_b" state="completed">'}).child == "ses_b"

    def test_is_named_by_the_error(self):
        event = call("task", error="Subagent failed (task_id: ses_b): bad key")
        assert (event.child, event.error_type) == ("ses_b", "subagent_failed")

    def test_of_a_resumed_task_is_among_the_arguments(self):
        assert call("task", args={"task_id": "ses_b"}, error="Aborted").child == "ses_b"

    def test_what_the_result_states_is_believed_before_the_arguments(self):
        result = {"metadata": {"sessionId": "ses_c"}}
        assert call("task", args={"task_id": "ses_b"}, result=result).child == "ses_c"

    def test_is_not_looked_for_in_other_tools(self):
        assert call("bash", result={"metadata": {"sessionId": "ses_b"}}).child is None

    def test_gets_its_agent_told(self):
        attributes = {
            "session.id": "ses_a",
            "ai.toolCall.id": "call_1",
            "ai.toolCall.name": "task",
            "ai.toolCall.args": '{"subagent_type": "explore", "description": "look"}',
            "ai.toolCall.result": '{"metadata": {"sessionId": "ses_b"}}',
        }
        task, child = told("ai.toolCall", attributes)
        assert (task.agent, task.description) == ("explore", "look")
        assert child == SessionEvent(session="ses_b", rank=REPORTED, agent="explore")


class TestRequests:
    HEADERS = {
        "session.id": "ses_a",
        "ai.request.headers.x-session-affinity": "ses_a",
        "ai.request.headers.User-Agent": "opencode/1.18.33 ai-sdk/provider-utils",
        "ai.model.id": "fake-1",
        "ai.model.provider": "lab.chat",
    }

    def test_what_was_asked_and_answered(self):
        _, busy, request = told(
            "ai.streamText.doStream",
            {
                **self.HEADERS,
                "ai.response.finishReason": "tool-calls",
                "ai.response.model": "fake-1-2026",
                "ai.response.id": "resp_1",
                "ai.usage.inputTokens": 100,
                "ai.usage.outputTokens": "17",
                "ai.usage.cachedInputTokens": 40,
                "ai.usage.inputTokenDetails.cacheWriteTokens": 5,
                "ai.usage.outputTokenDetails.reasoningTokens": 3,
            },
        )
        assert busy == StateEvent(session="ses_a", time=at(1), state="busy")
        assert request == RequestEvent(
            session="ses_a",
            request=f"span:{ABOVE.hex()}",
            rank=SPAN,
            start=at(1),
            end=at(2),
            provider="lab.chat",
            model="fake-1",
            response_model="fake-1-2026",
            response_id="resp_1",
            finish="tool-calls",
            input_tokens=100,
            output_tokens=17,
            cache_read_tokens=40,
            cache_creation_tokens=5,
            reasoning_tokens=3,
        )

    def test_the_outer_span_tells_of_the_same_request_but_is_believed_less(self):
        request = told("ai.streamText", self.HEADERS)[-1]
        assert (request.request, request.rank) == (f"span:{OWN.hex()}", PARTIAL)

    def test_old_names_of_tokens(self):
        request = told("ai.generateText", {**self.HEADERS, "ai.usage.promptTokens": 7, "ai.usage.completionTokens": 8})
        assert (request[-1].input_tokens, request[-1].output_tokens) == (7, 8)

    def test_a_failed_request_has_the_type_of_its_exception(self):
        exception = {"exception.type": "AI_APICallError", "exception.message": "bad key"}
        request = told("ai.streamText.doStream", self.HEADERS, error="bad key", exception=exception)[-1]
        assert (request.error_type, request.error) == ("AI_APICallError", "bad key")

    def test_a_failed_request_without_an_exception(self):
        assert told("ai.streamText.doStream", self.HEADERS, error="bad key")[-1].error_type == "error"

    @pytest.mark.parametrize("tools", [["{}"], '[{"type":"function"}]'])
    def test_the_last_answer_ends_the_turn(self, tools):
        answer = {**self.HEADERS, "ai.response.finishReason": "stop", "ai.prompt.tools": tools}
        assert told("ai.streamText.doStream", answer)[-1] == StateEvent(session="ses_a", time=at(2), state="idle")

    @pytest.mark.parametrize(
        "more",
        [
            {"ai.response.finishReason": "tool-calls", "ai.prompt.tools": ["{}"]},
            {"ai.response.finishReason": "stop", "ai.prompt.tools": []},
            {"ai.response.finishReason": "stop"},
        ],
        ids=["goes on", "has no tools", "says nothing of tools"],
    )
    def test_other_answers_and_titles_do_not(self, more):
        assert isinstance(told("ai.streamText.doStream", {**self.HEADERS, **more})[-1], RequestEvent)

    def test_the_outer_span_does_not_end_the_turn(self):
        more = {"ai.response.finishReason": "stop", "ai.prompt.tools": ["{}"]}
        assert isinstance(told("ai.streamText", {**self.HEADERS, **more})[-1], RequestEvent)


class TestTheParentSession:
    HEADERS = TestRequests.HEADERS

    def test_is_stated_by_a_header(self):
        session = told("ai.streamText", {**self.HEADERS, "ai.request.headers.x-parent-session-id": "ses_0"})[0]
        assert (session.parent, session.root, session.version) == ("ses_0", False, "1.18.33")

    def test_is_stated_to_be_none_by_versions_that_would_tell(self):
        assert told("ai.streamText", self.HEADERS)[0].root is True

    @pytest.mark.parametrize(
        "agent", ["opencode/1.2.27", "opencode/1.1.65", "ai-sdk", "", f"opencode/{'1' * 5_000}.18"]
    )
    def test_is_not_stated_by_versions_that_never_tell(self, agent):
        session = told("ai.streamText", {**self.HEADERS, "ai.request.headers.User-Agent": agent})[0]
        assert (session.parent, session.root) == (None, False)

    def test_is_not_stated_by_the_headers_of_another_session(self):
        headers = {**self.HEADERS, "ai.request.headers.x-session-affinity": "ses_z"}
        assert told("ai.streamText", headers)[0].root is False
