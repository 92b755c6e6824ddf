"""Events from AI SDK spans: ids, times and status, but never their parent span ids."""

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


def events_of(
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
    """The events of one span, encoded and decoded."""
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
    return events_of("ai.toolCall", attributes, **more)[0]


class TestWhoseSpanItIs:
    def test_spans_of_other_scopes_pass_through(self):
        assert events_of("ai.toolCall", {"session.id": "ses_a"}, scope="checkout") is None

    def test_sdk_spans_with_other_names_pass_through(self):
        assert events_of("my.step", {"session.id": "ses_a"}) is None

    def test_other_operations_of_the_sdk_are_discarded(self):
        assert events_of("ai.embed", {"session.id": "ses_a"}) == (Discarded(reason="not_of_the_tree"),)

    def test_a_record_with_no_session_is_discarded(self):
        assert events_of("ai.toolCall", {"ai.toolCall.id": "call_1"}) == (Discarded(reason="no_session"),)

    @pytest.mark.parametrize("start", [0, 1 << 62])
    def test_a_record_with_no_time_is_discarded(self, start):
        assert events_of("ai.toolCall", {"session.id": "ses_a"}, start=start) == (Discarded(reason="no_time"),)

    @pytest.mark.parametrize(
        "name",
        [
            "session.id",
            "ai.telemetry.metadata.sessionId",
            "ai.request.headers.X-Session-Id",
            "ai.request.headers.x-session-affinity",
        ],
    )
    def test_the_session_id_is_found_under_the_names_of_all_versions(self, name):
        (event,) = events_of("ai.toolCall", {name: "ses_a", "ai.toolCall.id": "call_1"})
        assert event.session == "ses_a"

    def test_an_empty_session_id_is_skipped_for_the_next_name(self):
        attributes = {"session.id": None, "ai.request.headers.X-Session-Id": "ses_a", "ai.toolCall.id": "call_1"}
        assert events_of("ai.toolCall", attributes)[0].session == "ses_a"


class TestCalls:
    def test_a_successful_call(self):
        assert call() == CallEvent(
            session="ses_a", call="call_1", rank=SPAN, start=at(1), end=at(2), tool="read", status="completed"
        )

    def test_attributes_with_the_plugins_own_names(self):
        (event,) = events_of("ai.toolCall", {"session.id": "ses_a", "call.id": "call_1", "tool.name": "bash"})
        assert (event.call, event.tool) == ("call_1", "bash")

    def test_a_record_without_an_id_is_discarded(self):
        assert events_of("ai.toolCall", {"session.id": "ses_a"}) == (Discarded(reason="no_call"),)

    def test_a_calls_end_is_not_before_its_start(self):
        assert call(end=0).end == at(1)

    def test_a_failed_call_has_an_error_class_and_text(self):
        event = call(error="File not found: /a")
        assert (event.status, event.error_type, event.error) == ("error", "not_found", "File not found: /a")

    def test_the_error_text_may_be_in_the_exception(self):
        event = call(error="", exception={"exception.message": "Tool execution aborted"})
        assert (event.error_type, event.error) == ("cancelled", "Tool execution aborted")

    def test_a_failed_call_without_an_error_text(self):
        event = call(error="")
        assert (event.status, event.error_type, event.error) == ("error", "tool_error", None)

    def test_arguments_and_results_are_read_only_if_captured(self):
        event = call(args={"filePath": "/a"}, result="text")
        assert (event.arguments, event.result) == (None, None)
        event = call(args={"filePath": "/a"}, result="text", wanted=frozenset({"arguments", "results"}))
        assert (event.arguments, event.result) == ('{"filePath": "/a"}', "text")

    def test_a_skill_call(self):
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
        assert events_of("ai.toolCall", attributes)[1] == ServerEvent(server="team-notes", time=at(2))

    def test_arguments_that_are_not_json_are_ignored(self):
        assert call("task", args="{cut").agent is None


class TestTheChildOfATask:
    def test_a_tasks_child_is_in_its_result(self):
        result = {"metadata": {"sessionId": "ses_b"}, "output": "done"}
        assert call("task", result=result).child == "ses_b"

    def test_a_tasks_child_is_found_in_a_truncated_result(self):
        assert call("task", result='{"title":"t","metadata":{"sessionId": "ses_b","model":{"mod').child == "ses_b"

    def test_a_tasks_child_is_in_its_output(self):
        assert call("task", result={"output": 'x\n<task id="ses_b" state="completed">'}).child == "ses_b"

    def test_a_tasks_child_is_in_its_error(self):
        event = call("task", error="Subagent failed (task_id: ses_b): bad key")
        assert (event.child, event.error_type) == ("ses_b", "subagent_failed")

    def test_a_resumed_tasks_child_is_in_its_arguments(self):
        assert call("task", args={"task_id": "ses_b"}, error="Aborted").child == "ses_b"

    def test_the_child_in_the_result_wins_over_the_arguments(self):
        result = {"metadata": {"sessionId": "ses_c"}}
        assert call("task", args={"task_id": "ses_b"}, result=result).child == "ses_c"

    def test_other_tools_have_no_child(self):
        assert call("bash", result={"metadata": {"sessionId": "ses_b"}}).child is None

    def test_a_tasks_child_gets_the_agent(self):
        attributes = {
            "session.id": "ses_a",
            "ai.toolCall.id": "call_1",
            "ai.toolCall.name": "task",
            "ai.toolCall.args": '{"subagent_type": "explore", "description": "look"}',
            "ai.toolCall.result": '{"metadata": {"sessionId": "ses_b"}}',
        }
        task, child = events_of("ai.toolCall", attributes)
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

    def test_a_requests_model_tokens_and_finish_reason(self):
        _, busy, request = events_of(
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

    def test_the_outer_span_is_the_same_request_with_a_lower_rank(self):
        request = events_of("ai.streamText", self.HEADERS)[-1]
        assert (request.request, request.rank) == (f"span:{OWN.hex()}", PARTIAL)

    def test_old_attribute_names_of_tokens(self):
        request = events_of(
            "ai.generateText", {**self.HEADERS, "ai.usage.promptTokens": 7, "ai.usage.completionTokens": 8}
        )
        assert (request[-1].input_tokens, request[-1].output_tokens) == (7, 8)

    def test_a_failed_request_has_the_type_of_its_exception(self):
        exception = {"exception.type": "AI_APICallError", "exception.message": "bad key"}
        request = events_of("ai.streamText.doStream", self.HEADERS, error="bad key", exception=exception)[-1]
        assert (request.error_type, request.error) == ("AI_APICallError", "bad key")

    def test_a_failed_request_without_an_exception(self):
        assert events_of("ai.streamText.doStream", self.HEADERS, error="bad key")[-1].error_type == "error"

    @pytest.mark.parametrize("tools", [["{}"], '[{"type":"function"}]'])
    def test_the_last_answer_ends_the_turn(self, tools):
        answer = {**self.HEADERS, "ai.response.finishReason": "stop", "ai.prompt.tools": tools}
        assert events_of("ai.streamText.doStream", answer)[-1] == StateEvent(session="ses_a", time=at(2), state="idle")

    @pytest.mark.parametrize(
        "more",
        [
            {"ai.response.finishReason": "tool-calls", "ai.prompt.tools": ["{}"]},
            {"ai.response.finishReason": "stop", "ai.prompt.tools": []},
            {"ai.response.finishReason": "stop"},
        ],
        ids=["goes on", "has no tools", "says nothing of tools"],
    )
    def test_other_answers_and_titles_do_not_end_the_turn(self, more):
        assert isinstance(events_of("ai.streamText.doStream", {**self.HEADERS, **more})[-1], RequestEvent)

    def test_the_outer_span_does_not_end_the_turn(self):
        more = {"ai.response.finishReason": "stop", "ai.prompt.tools": ["{}"]}
        assert isinstance(events_of("ai.streamText", {**self.HEADERS, **more})[-1], RequestEvent)


class TestTheParentSession:
    HEADERS = TestRequests.HEADERS

    def test_the_parent_session_is_in_a_header(self):
        session = events_of("ai.streamText", {**self.HEADERS, "ai.request.headers.x-parent-session-id": "ses_0"})[0]
        assert (session.parent, session.root, session.version) == ("ses_0", False, "1.18.33")

    def test_a_session_without_the_header_is_a_root_in_new_versions(self):
        assert events_of("ai.streamText", self.HEADERS)[0].root is True

    @pytest.mark.parametrize(
        "agent", ["opencode/1.2.27", "opencode/1.1.65", "ai-sdk", "", f"opencode/{'1' * 5_000}.18"]
    )
    def test_a_session_without_the_header_is_unknown_in_old_versions(self, agent):
        session = events_of("ai.streamText", {**self.HEADERS, "ai.request.headers.User-Agent": agent})[0]
        assert (session.parent, session.root) == (None, False)

    def test_headers_of_another_session_do_not_make_a_root(self):
        headers = {**self.HEADERS, "ai.request.headers.x-session-affinity": "ses_z"}
        assert events_of("ai.streamText", headers)[0].root is False
