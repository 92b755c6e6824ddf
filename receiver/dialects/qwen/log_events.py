"""Qwen Code's log events (docs/producers.md 25). Its spans are read in spans.py.

Producer: Qwen Code 0.24.4, recorded.
Recognized by: the scope `qwen-code`.
Times: `tool_call`, `api_response` and `api_error` are sent at the end, and their time is the end. `duration_ms` of a
call includes the wait before it ran.
It cannot tell HTTP attempts within a request apart, nor that a turn is over, which its spans do: without
them, it is over when the last answer ended with no call open. `session.end` is the
end of a process, with or without a turn, and therefore not read. Its metrics name no session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from receiver.dialects.qwen.agents import Agent, agent_of, is_ours, subagent
from receiver.dialects.shared.fields import (
    MS,
    Captured,
    as_bool,
    as_count,
    as_duration,
    as_id,
    as_text,
    event_name,
    from_json,
    record_time,
)
from receiver.events import (
    REPORTED,
    TASK,
    AnyEvent,
    CallEvent,
    Discarded,
    NoteEvent,
    RequestEvent,
    ServerEvent,
    SessionEvent,
    StateEvent,
)
from receiver.model import Attributes, LogRecord, MetricPoint

_PREFIX = "qwen-code."
_SKILL = "skill"
_TOOLS = {"agent": TASK, "skill": _SKILL}
_REPLIES = {"auto_accept": "auto"}  # in OpenCode's words, as far as recorded


@dataclass(frozen=True, slots=True)
class _Event:
    """One event. `time` (ns) is the end of the call or request that it reports."""

    attributes: Attributes
    agent: Agent
    time: int
    span: str
    captured: Captured

    @property
    def start(self) -> int | None:
        """The start (ns), if there is a duration."""
        duration = as_duration(self.attributes.get("duration_ms"))
        return max(self.time - duration, 1) if duration is not None else None


def logs(record: LogRecord, captured: Captured) -> Sequence[AnyEvent] | None:
    """The events of a record; None if it is not Qwen Code's."""
    if not is_ours(record.scope):
        return None
    attributes = record.attributes
    read = _EVENTS.get(event_name(record).removeprefix(_PREFIX))
    if read is None:
        return (Discarded(reason="not_of_the_tree"),)
    session, time = as_id(attributes.get("session.id")), record_time(record)
    if session is None or time is None:
        return (Discarded(reason="no_session" if session is None else "no_time"),)
    agent = agent_of(attributes.get("prompt_id"), session)
    span = (record.trace_id + record.span_id).hex() if record.span_id else ""
    events = tuple(read(_Event(attributes, agent, time, span, captured)))
    if all(isinstance(event, Discarded) for event in events):
        return events or (Discarded(reason="not_of_the_tree"),)
    return (*agent.events(as_id(attributes.get("subagent_name"))), *events)


def metrics(point: MetricPoint, captured: Captured) -> Sequence[AnyEvent] | None:
    """Metrics name no session, and their sums are of all sessions of a process."""
    return (Discarded(reason="not_of_the_tree"),) if is_ours(point.scope) else None


def _config(e: _Event) -> Iterator[AnyEvent]:
    for server in (as_text(e.attributes.get("mcp_servers")) or "").split(","):
        if name := server.strip():
            yield ServerEvent(server=name, time=e.time)


def _prompt(e: _Event) -> Iterator[AnyEvent]:
    length = as_count(e.attributes.get("prompt_length"))
    yield StateEvent(session=e.agent.session, time=e.time, state="busy")
    yield NoteEvent(
        session=e.agent.session,
        time=e.time,
        name="user_prompt",
        attributes=(("opencode.prompt.length", length),) if length is not None else (),
    )


# calls


def _call(e: _Event) -> Iterator[AnyEvent]:
    call, name = as_id(e.attributes.get("call_id")), as_id(e.attributes.get("function_name"))
    if call is None or name is None:
        yield Discarded(reason="no_call" if call is None else "malformed")
        return
    arguments = from_json(e.attributes.get("function_args"))
    status, error_type = _outcome(e)
    server = as_id(e.attributes.get("mcp_server_name"))
    is_task = name == "agent"
    child = _child(e, call, as_id(arguments.get("subagent_type"))) if is_task else None
    if child is not None:
        yield from child.events()
    yield CallEvent(
        session=e.agent.session,
        call=call,
        rank=REPORTED,
        start=e.start,
        end=e.time,
        tool=_TOOLS.get(name, name),
        status=status,
        error_type=error_type,
        error=as_text(e.attributes.get("error")) if status == "error" else None,
        child=child.session if child is not None else None,
        agent=as_id(arguments.get("subagent_type")) if is_task else None,
        background=_is_background(e, arguments) if child is not None else None,
        skill=as_id(arguments.get("skill")) if name == _SKILL else None,
        mcp_server=server,
        mcp_tool=as_id(name.removeprefix(f"mcp__{server}__")) if server else None,
        mcp=e.attributes.get("tool_type") == "mcp",
        permission_reply=_REPLIES.get(as_id(e.attributes.get("decision")) or ""),
        file_path=as_text(arguments.get("file_path")),
        description=as_text(arguments.get("description")) if is_task else None,
        arguments=as_text(e.attributes.get("function_args")) if "arguments" in e.captured else None,
    )


def _outcome(e: _Event) -> tuple[Literal["completed", "error"] | None, str | None]:
    status = e.attributes.get("status")
    if status == "success":
        return "completed", None
    if status == "cancelled":
        return "error", "cancelled"
    if status == "error" or as_bool(e.attributes.get("success")) is False:
        return "error", as_id(e.attributes.get("error_type")) or "tool_error"
    return None, None


def _child(e: _Event, call: str, kind: str | None) -> Agent | None:
    """The subagent that a call started. A call that failed may have started none."""
    ran = e.attributes.get("execution_status") != "not_started" and e.attributes.get("status") != "error"
    return subagent(e.agent.shared, f"{kind}-{call}") if kind and ran else None


def _is_background(e: _Event, arguments: Attributes) -> bool:
    """A subagent of the main agent works in the background unless asked not to; one of a subagent never does."""
    return not e.agent.id and as_bool(arguments.get("run_in_background")) is not False


# model requests


def _request(e: _Event) -> Iterator[AnyEvent]:
    yield _finished_request(e, None)
    yield StateEvent(session=e.agent.session, time=e.time, state="answered")
    if model := as_text(e.attributes.get("model")):
        yield SessionEvent(session=e.agent.session, time=e.time, model=model)


def _failed_request(e: _Event) -> Iterator[AnyEvent]:
    code = as_count(e.attributes.get("status_code"))
    has_answer = code is not None and 100 <= code <= 599
    yield _finished_request(e, str(code) if has_answer else as_id(e.attributes.get("error_type")) or "api_error")
    yield StateEvent(session=e.agent.session, time=e.time, state="answered")


def _finished_request(e: _Event, error_type: str | None) -> RequestEvent:
    attributes = e.attributes
    response = as_id(attributes.get("response_id"))
    return RequestEvent(
        session=e.agent.session,
        request=e.span or response or f"at:{e.time // MS}:{attributes.get('prompt_id') or ''}",
        rank=REPORTED,
        start=e.start,
        end=e.time,
        agent=as_id(attributes.get("subagent_name")),
        model=as_text(attributes.get("model")),
        response_id=response,
        input_tokens=as_count(attributes.get("input_token_count")),  # cached ones included
        output_tokens=as_count(attributes.get("output_token_count")),  # reasoning included
        cache_read_tokens=as_count(attributes.get("cached_content_token_count")),
        reasoning_tokens=as_count(attributes.get("thoughts_token_count")),
        error_type=error_type,
        error=as_text(attributes.get("error_message")) if error_type else None,
    )


_EVENTS: dict[str, Callable[[_Event], Iterator[AnyEvent]]] = {
    "config": _config,
    "user_prompt": _prompt,
    "tool_call": _call,
    "api_response": _request,
    "api_error": _failed_request,
}
