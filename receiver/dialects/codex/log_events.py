"""Codex CLI's log events (docs/producers.md 22). They suffice; its spans are adopted, its metrics name no session.

Producer: Codex CLI 0.171.0, recorded (`codex exec` and the interactive program).
Recognized by: the scopes `codex_otel.*`; where the scope was lost, by an event name that begins with `codex.`.
Names: the attribute `event.name`. The record's own `event_name` is a source line.
Times: a record's time is 0, its observed time is the event's. `tool_result` is sent at the end of a call,
`tool_decision` when it may begin, `api_request` when the response's headers came, `sse_event` with token counts when an
answer ended.
Sessions: `conversation.id`, also of subagents. `agent_communication` states a subagent's parent. Of a `multi_agent_v1`
spawn the output names the child. Of a `collaboration` spawn it names the path that the child has as `agent_name`, and
with spans both were written in the same span, so that one call fits.
Requests: no id joins an answer to its `api_request`. The core does it by order (AttemptEvent).
It cannot tell a turn's end (an answer with no call open ends it), nor from which thread `codex exec fork` began.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from receiver.dialects.shared.fields import (
    MS,
    Captured,
    as_bool,
    as_count,
    as_duration,
    as_id,
    as_text,
    from_json,
    name_digest,
    record_time,
)
from receiver.events import (
    EXACT,
    HOOK,
    REPORTED,
    TASK,
    AnyEvent,
    AttemptEvent,
    CallEvent,
    Discarded,
    NoteEvent,
    RequestEvent,
    ServerEvent,
    SessionEvent,
    StateEvent,
)
from receiver.model import Attributes, LogRecord, SpanRecord

_SCOPES = "codex_otel"
_PREFIX = "codex."
_ROOT = "/root"
_SPAWN = "spawn_agent"
_SPAN_SCOPES = frozenset({"codex_exec", "codex_cli_rs", "codex-app-server"})


@dataclass(frozen=True, slots=True)
class _Event:
    """One event. `time` (ns) is when it was sent; `span` is the span that it was written in, '' without one."""

    attributes: Attributes
    session: str
    time: int
    captured: Captured
    span: str

    def id(self, name: str) -> str | None:
        """An identifier among the attributes."""
        return as_id(self.attributes.get(name))

    def start(self) -> int | None:
        """The start (ns), if there is a duration."""
        duration = as_duration(self.attributes.get("duration_ms"))
        return max(self.time - duration, 1) if duration is not None else None


def logs(record: LogRecord, captured: Captured) -> Sequence[AnyEvent] | None:
    """The events of a record; None if it is not Codex's."""
    name = record.attributes.get("event.name")
    ours = isinstance(name, str) and name.startswith(_PREFIX)
    if not record.scope.name.startswith(_SCOPES) and not (ours and not record.scope.name):
        return None
    read = _EVENTS.get(name) if isinstance(name, str) else None
    if read is None:
        return (Discarded(reason="not_of_the_tree"),)
    time = record_time(record)
    if time is None:
        return (Discarded(reason="no_time"),)
    session = as_id(record.attributes.get("conversation.id"))
    if session is None and read is not _communication:
        return (Discarded(reason="no_session"),)
    span = (record.trace_id + record.span_id).hex() if record.trace_id and record.span_id else ""
    return tuple(read(_Event(record.attributes, session or "", time, captured, span))) or (
        Discarded(reason="not_of_the_tree"),
    )


def spans(span: SpanRecord, captured: Captured) -> Sequence[AnyEvent] | None:
    """Codex's spans add nothing to its logs and are adopted; None for another's span."""
    service = span.resource.attributes.get("service.name")
    return () if span.scope.name in _SPAN_SCOPES and service == span.scope.name else None


def _session(e: _Event) -> Iterator[AnyEvent]:
    yield SessionEvent(
        session=e.session,
        time=e.time,
        root=True,  # which a stated parent outweighs
        version=e.id("app.version"),
        model=e.id("model"),
        provider=e.id("provider_name"),
    )
    servers = as_text(e.attributes.get("mcp_servers")) or ""
    for server in filter(None, (s.strip() for s in servers.split(","))):
        yield ServerEvent(server=server, time=e.time)


def _alive(e: _Event) -> Iterator[AnyEvent]:
    yield StateEvent(session=e.session, time=e.time, state="busy")


def _prompt(e: _Event) -> Iterator[AnyEvent]:
    length = as_count(e.attributes.get("prompt_length"))
    yield StateEvent(session=e.session, time=e.time, state="busy")
    yield NoteEvent(
        session=e.session,
        time=e.time,
        name="user_prompt",
        attributes=(("opencode.prompt.length", length),) if length is not None else (),
    )


# subagents


def _communication(e: _Event) -> Iterator[AnyEvent]:
    """A message between agents. Of a spawn the sender is the parent."""
    if e.attributes.get("kind") != "spawn" or e.attributes.get("state") != "send":
        return
    parent, child = e.id("sender_thread_id"), e.id("receiver_thread_id")
    if parent and child:
        yield SessionEvent(session=child, time=e.time, rank=EXACT, parent=parent, subagent=True, context=e.span or None)


def _agent(path: str | None) -> str | None:
    """The name of a subagent, by its path (`/root/kid_a`) or nickname; None for the root."""
    return path.rpartition("/")[2] if path and path != _ROOT else None


# calls


def _result(e: _Event) -> Iterator[AnyEvent]:
    call, tool = e.id("call_id"), e.id("tool_name")
    if call is None or tool is None:
        yield Discarded(reason="no_call" if call is None else "malformed")
        return
    failed = as_bool(e.attributes.get("success")) is False
    server = e.id("mcp_server")
    output = as_text(e.attributes.get("output"))
    spawned = from_json(output) if tool == _SPAWN and not failed else {}
    path = as_id(spawned.get("task_name"))
    yield CallEvent(
        session=e.session,
        call=call,
        rank=REPORTED,
        tool=TASK if tool == _SPAWN else tool,
        start=e.start(),
        end=e.time,
        status="error" if failed else "completed",
        error_type="tool_error" if failed else None,
        error=output if failed else None,
        child=as_id(spawned.get("agent_id")),
        agent=_agent(path) or as_id(spawned.get("nickname")),
        background=True if spawned else None,
        label=name_digest(path),
        context=(e.span or None) if tool == _SPAWN else None,
        mcp=bool(server),
        mcp_server=server,
        mcp_tool=tool if server else None,
        arguments=as_text(e.attributes.get("arguments")) if "arguments" in e.captured else None,
        result=output if "results" in e.captured else None,
    )
    yield StateEvent(session=e.session, time=e.time, state="busy")
    name = e.id("agent_name")
    if agent := _agent(name):
        label = name_digest(name) if name and name.startswith(_ROOT) else None
        yield SessionEvent(session=e.session, rank=REPORTED, subagent=True, agent=agent, label=label)


def _decision(e: _Event) -> Iterator[AnyEvent]:
    """A call may begin. The time that its result states is better."""
    call, tool = e.id("call_id"), e.id("tool_name")
    if call is None or tool is None:
        yield Discarded(reason="no_call" if call is None else "malformed")
        return
    yield CallEvent(
        session=e.session,
        call=call,
        rank=HOOK,
        tool=TASK if tool == _SPAWN else tool,
        start=e.time,
        mcp=str(e.attributes.get("tool_namespace") or "").startswith("mcp__"),
        permission_reply="auto" if e.attributes.get("source") == "Config" else None,
    )


# model requests


def _attempt(e: _Event) -> Iterator[AnyEvent]:
    """The response's headers came. A failed attempt is a request of its own; of the others the answer tells."""
    status, start = as_count(e.attributes.get("http.response.status_code")), e.start() or e.time
    if e.attributes.get("error.message") is None:
        yield AttemptEvent(session=e.session, start=start, end=e.time)
        return
    yield RequestEvent(
        session=e.session,
        request=f"attempt:{e.time // MS}:{as_count(e.attributes.get('attempt')) or 0}",
        rank=REPORTED,
        start=start,
        end=e.time,
        model=e.id("model"),
        error_type=str(status) if status else "request_failed",
        error=as_text(e.attributes.get("error.message")),
    )
    yield StateEvent(session=e.session, time=e.time, state="answered")


def _answer(e: _Event) -> Iterator[AnyEvent]:
    """An event of the model's stream. Of the two forms of `response.completed` one has the tokens."""
    if e.attributes.get("event.kind") != "response.completed":
        yield StateEvent(session=e.session, time=e.time, state="busy")
        return
    tokens = as_count(e.attributes.get("input_token_count"))
    if tokens is None:
        return
    yield RequestEvent(
        session=e.session,
        request=f"answer:{e.time}",
        rank=REPORTED,
        end=e.time,
        model=e.id("model"),
        input_tokens=tokens,
        output_tokens=as_count(e.attributes.get("output_token_count")),
        cache_read_tokens=as_count(e.attributes.get("cached_token_count")),
        cache_creation_tokens=as_count(e.attributes.get("cache_write_token_count")),
        reasoning_tokens=as_count(e.attributes.get("reasoning_token_count")),
    )
    yield StateEvent(session=e.session, time=e.time, state="answered")


_EVENTS: dict[str, Callable[[_Event], Iterator[AnyEvent]]] = {
    "codex.conversation_starts": _session,
    "codex.startup_phase": _alive,
    "codex.user_prompt": _prompt,
    "codex.agent_communication": _communication,
    "codex.api_request": _attempt,
    "codex.sse_event": _answer,
    "codex.tool_decision": _decision,
    "codex.tool_result": _result,
}
