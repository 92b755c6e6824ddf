"""The AI SDK's spans of OpenCode: tool calls, parent sessions and model requests (docs/producers.md 16).

Producers: the AI SDK in OpenCode 1.1 to 1.18, with `experimental.openTelemetry`; opencode-telemetry-plugin or
OpenCode's own export sends the spans.
Recognized by: the scope `ai` and a span name that begins with `ai.`.
Times: the span's, exact to some milliseconds.
Its parent span ids cannot be trusted: the context leaks between fibres, and 12 of 50 children were below a wrong call.
Reliable are ids, sessions, times, status, `x-parent-session-id`, and the session in a task's result or error. One
parent id is right: that of ai.streamText.doStream, which is its ai.streamText.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from receiver.dialects.shared.fields import (
    MAX_TIME,
    Captured,
    as_count,
    as_id,
    as_map,
    as_text,
    first_set,
    from_json,
)
from receiver.dialects.shared.finished_calls import outcome
from receiver.dialects.shared.mcp_resources import RESOURCE_TOOLS, resource_server
from receiver.dialects.shared.tool_errors import child_in
from receiver.events import (
    PARTIAL,
    REPORTED,
    SPAN,
    AnyEvent,
    CallEvent,
    Discarded,
    RequestEvent,
    SessionEvent,
    StateEvent,
)
from receiver.model import STATUS_ERROR, Attributes, SpanRecord

AI_SDK_SCOPE = "ai"
_AGENT_VERSION = re.compile(r"\bopencode/(\d{1,9})\.(\d{1,9})(\.\S+)?")
# From this version on a child's requests carry x-parent-session-id, so a session without it is a root. 1.1.65 and
# 1.2.27 never send it; 1.18.33 always does.
_SENDS_PARENTS = (1, 18)
_CHILD_IN_RESULT = re.compile(r'"sessionId"\s*:\s*"(ses_[0-9A-Za-z]+)"')


def spans(span: SpanRecord, captured: Captured) -> Sequence[AnyEvent] | None:
    """The events of a span; None if it is not one of the AI SDK."""
    return span_events(span, captured) if span.scope.name == AI_SDK_SCOPE and span.name.startswith("ai.") else None


def span_events(span: SpanRecord, captured: Captured) -> Sequence[AnyEvent]:
    """The events of an AI SDK span, whichever exporter sent it."""
    attributes = span.attributes
    session = as_id(
        first_set(
            attributes,
            "session.id",
            "ai.telemetry.metadata.sessionId",
            "ai.request.headers.X-Session-Id",
            "ai.request.headers.x-session-id",
            "ai.request.headers.x-session-affinity",
        )
    )
    if session is None:
        return (Discarded(reason="no_session"),)
    if not 0 < span.start < MAX_TIME or span.end >= MAX_TIME:
        return (Discarded(reason="no_time"),)
    if span.name == "ai.toolCall":
        events = tuple(_tool_call(span, session, captured))
    elif span.name in ("ai.streamText", "ai.streamText.doStream", "ai.generateText", "ai.generateText.doGenerate"):
        events = tuple(_request(span, session))
    else:
        events = ()
    return events or (Discarded(reason="not_of_the_tree"),)


def _tool_call(span: SpanRecord, session: str, captured: Captured) -> Iterator[AnyEvent]:
    attributes = span.attributes
    call = as_id(first_set(attributes, "ai.toolCall.id", "call.id"))
    if call is None:
        yield Discarded(reason="no_call")
        return
    tool = as_text(first_set(attributes, "ai.toolCall.name", "tool.name"))
    failed = span.status_code == STATUS_ERROR
    error = _error_text(span) if failed else None
    arguments = from_json(attributes.get("ai.toolCall.args")) if tool in _WITH_ARGUMENTS else {}
    child = _child(attributes, error) if tool == "task" else None
    meta = as_map(from_json(attributes.get("ai.toolCall.result")).get("metadata")) if tool == "skill" else {}
    yield CallEvent(
        session=session,
        call=call,
        rank=SPAN,
        start=span.start,
        end=max(span.end, span.start),
        tool=tool,
        **outcome(failed, error),
        child=child,
        agent=as_text(arguments.get("subagent_type")) if tool == "task" else None,
        description=as_text(arguments.get("description")) if tool == "task" else None,
        skill=(as_text(meta.get("name")) or as_text(arguments.get("name"))) if tool == "skill" else None,
        skill_source=as_text(meta.get("dir")),
        file_path=as_text(attributes.get("file.path")),
        arguments=as_text(attributes.get("ai.toolCall.args")) if "arguments" in captured else None,
        result=as_text(attributes.get("ai.toolCall.result")) if "results" in captured else None,
    )
    if child and (agent := as_text(arguments.get("subagent_type"))):
        yield SessionEvent(session=child, rank=REPORTED, agent=agent)
    yield from resource_server(tool, arguments, span.end)


_WITH_ARGUMENTS = ("task", "skill", *RESOURCE_TOOLS)


def _child(attributes: Attributes, error: str | None) -> str | None:
    """The child session of a task call: from its result, its error, or, if it resumes one, its arguments."""
    raw = as_text(attributes.get("ai.toolCall.result"), 1 << 20) or ""
    result = from_json(raw)
    stated = as_id(as_map(result.get("metadata")).get("sessionId"))
    if stated is None and raw and not result and (found := _CHILD_IN_RESULT.search(raw)):
        stated = found[1]  # a truncated result is not JSON
    if stated is None:
        stated = child_in(as_text(result.get("output"))) or child_in(error)
    return stated or as_id(from_json(attributes.get("ai.toolCall.args")).get("task_id"))


def _error_text(span: SpanRecord) -> str | None:
    if (stated := as_text(span.status_message)) is not None:
        return stated
    texts = (as_text(e.attributes.get("exception.message")) for e in span.events if e.name == "exception")
    return next((t for t in texts if t), None)


def _request(span: SpanRecord, session: str) -> Iterator[AnyEvent]:
    attributes = span.attributes
    inner = span.name.endswith((".doStream", ".doGenerate"))
    model, provider = as_text(attributes.get("ai.model.id")), as_text(attributes.get("ai.model.provider"))
    yield _session(attributes, session, span.start, model, provider)
    yield StateEvent(session=session, time=span.start, state="busy")
    failed = span.status_code == STATUS_ERROR
    types = (as_text(e.attributes.get("exception.type")) for e in span.events if e.name == "exception")
    finish = as_text(attributes.get("ai.response.finishReason"))
    frame = span.parent_span_id if inner and span.parent_span_id else span.span_id
    yield RequestEvent(
        session=session,
        request=f"span:{frame.hex()}",
        rank=SPAN if inner else PARTIAL,
        start=span.start,
        end=max(span.end, span.start),
        provider=provider,
        model=model,
        response_model=as_text(attributes.get("ai.response.model")),
        response_id=as_text(attributes.get("ai.response.id")),
        finish=finish,
        input_tokens=as_count(first_set(attributes, "ai.usage.inputTokens", "ai.usage.promptTokens")),
        output_tokens=as_count(first_set(attributes, "ai.usage.outputTokens", "ai.usage.completionTokens")),
        cache_read_tokens=as_count(
            first_set(attributes, "ai.usage.cachedInputTokens", "ai.usage.inputTokenDetails.cacheReadTokens")
        ),
        cache_creation_tokens=as_count(attributes.get("ai.usage.inputTokenDetails.cacheWriteTokens")),
        reasoning_tokens=as_count(
            first_set(attributes, "ai.usage.reasoningTokens", "ai.usage.outputTokenDetails.reasoningTokens")
        ),
        error_type=next((t for t in types if t), "error") if failed else None,
        error=_error_text(span) if failed else None,
    )
    if inner and finish == "stop" and attributes.get("ai.prompt.tools"):
        # the turn's last answer, 42 to 525 ms before session.idle; requests for titles and summaries offer no tools
        yield StateEvent(session=session, time=span.end, state="idle")


def _session(attributes: Attributes, session: str, time: int, model: str | None, provider: str | None) -> SessionEvent:
    parent = as_id(
        first_set(attributes, "ai.request.headers.x-parent-session-id", "ai.request.headers.X-Parent-Session-Id")
    )
    agent = as_text(first_set(attributes, "ai.request.headers.User-Agent", "ai.request.headers.user-agent")) or ""
    version = _AGENT_VERSION.search(agent)
    sends_parents = version is not None and (int(version[1]), int(version[2])) >= _SENDS_PARENTS
    own = as_id(first_set(attributes, "ai.request.headers.X-Session-Id", "ai.request.headers.x-session-affinity"))
    return SessionEvent(
        session=session,
        time=time,
        parent=parent,
        root=parent is None and sends_parents and own == session,
        model=model,
        provider=provider,
        version=version[0].removeprefix("opencode/") if version else None,
    )
