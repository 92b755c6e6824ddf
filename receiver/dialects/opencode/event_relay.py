"""The event relay: a log record for each hook call and bus event of OpenCode. docs/events.md defines the format.

Producer: plugin/event-relay.js, for OpenCode 1.1 to 1.18. Shapes are those of 1.1.65, 1.2.27 and 1.18.33.
Recognized by: the event's name and, where the body is no map, the scope. Attributes hold the ids, the body holds the
event's properties.
Times: a record's time is when the event happened. A part's own times are exact once the call has ended; a hook's
record time is within milliseconds of them.
It misses nothing that a trace needs. Two details: a hook after a call never fires for a failed call, and a slash
command's subtask has its part's id as call id in hooks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypedDict

from receiver.dialects.shared.commands import command_note
from receiver.dialects.shared.fields import (
    Captured,
    as_bool,
    as_cost,
    as_count,
    as_id,
    as_map,
    as_text,
    event_name,
    ms_time,
    not_after,
    record_time,
    to_json,
    total_input_tokens,
)
from receiver.dialects.shared.mcp_resources import resource_server
from receiver.dialects.shared.tool_errors import child_in, error_type
from receiver.events import (
    EXACT,
    GUESSED,
    HOOK,
    PARTIAL,
    REPORTED,
    AnyEvent,
    CallEvent,
    Discarded,
    EndEvent,
    NoteEvent,
    PermissionEvent,
    RequestEvent,
    ServerEvent,
    SessionEvent,
    StateEvent,
)
from receiver.model import LogRecord, Value

RELAY_SCOPE = "opencode.event-relay"
Body = Mapping[str, Value]
_PART_ID = "prt_"  # in hooks, a slash command's subtask has its part's id as call id; its part has the real one


def logs(record: LogRecord, captured: Captured) -> Sequence[AnyEvent] | None:
    """The events of a record; None if it is not a relayed event."""
    name = event_name(record)
    read = _READERS.get(name)
    body = record.body
    if read is None:
        return (Discarded(reason="not_of_the_tree"),) if record.scope.name == RELAY_SCOPE else None
    if not isinstance(body, Mapping):
        if record.scope.name != RELAY_SCOPE:
            return None
        body = {}
    time = record_time(record)
    if time is None:
        return (Discarded(reason="no_time"),)
    session = _session(record, body)
    if session is None and name != "mcp.tools.changed":
        return (Discarded(reason="no_session"),)
    events = tuple(read(record, body, session or "", time, captured))
    return events or (Discarded(reason="not_of_the_tree"),)


def _session(record: LogRecord, body: Body) -> str | None:
    stated = as_id(record.attributes.get("session.id"))
    if stated:
        return stated
    for holder in (body, as_map(body.get("part")), as_map(body.get("info")), as_map(body.get("input"))):
        if found := as_id(holder.get("sessionID")):
            return found
    return as_id(as_map(body.get("info")).get("id")) if event_name(record).startswith("session.") else None


def _session_info(record: LogRecord, body: Body, session: str, time: int, captured: Captured) -> Iterator[AnyEvent]:
    info = as_map(body.get("info"))
    parent = as_id(info.get("parentID")) or as_id(record.attributes.get("session.parent_id"))
    times, model = as_map(info.get("time")), as_map(info.get("model"))
    created = event_name(record) == "session.created"
    yield SessionEvent(
        session=session,
        time=time,
        parent=parent,
        root=not parent and as_id(info.get("id")) == session,
        created=not_after(ms_time(times.get("created")), record),
        title=as_text(info.get("title")),
        agent=as_text(info.get("agent")) if created else None,
        model=as_text(model.get("id")) or as_text(model.get("modelID")),
        provider=as_text(model.get("providerID")),
        version=as_text(info.get("version")),
        project=as_text(info.get("projectID")),
        directory=as_text(info.get("directory")),
    )
    if archived := not_after(ms_time(times.get("archived")), record):
        yield EndEvent(session=session, time=archived, reason="archived")


def _deleted(record: LogRecord, body: Body, session: str, time: int, captured: Captured) -> Iterator[AnyEvent]:
    yield EndEvent(session=session, time=time, reason="deleted")


def _status(record: LogRecord, body: Body, session: str, time: int, captured: Captured) -> Iterator[AnyEvent]:
    status = as_map(body.get("status"))
    kind = as_text(status.get("type")) or as_text(record.attributes.get("session.status"))
    if kind == "idle":
        yield StateEvent(session=session, time=time, state="idle")
        return
    yield StateEvent(session=session, time=time, state="busy")
    if kind == "retry":
        attempt, message = as_count(status.get("attempt")), as_text(status.get("message"))
        yield NoteEvent(
            session=session,
            time=time,
            name="session.retry",
            attributes=(("opencode.retry.attempt", attempt),) if attempt is not None else (),
            content=(("error.message", message, "error"),) if message else (),
        )


def _idle(record: LogRecord, body: Body, session: str, time: int, captured: Captured) -> Iterator[AnyEvent]:
    yield StateEvent(session=session, time=time, state="idle")


def _error(record: LogRecord, body: Body, session: str, time: int, captured: Captured) -> Iterator[AnyEvent]:
    error = as_map(body.get("error"))
    name = as_text(error.get("name")) or as_text(record.attributes.get("error.type")) or "session_error"
    message = as_text(as_map(error.get("data")).get("message"))
    yield NoteEvent(
        session=session,
        time=time,
        name="session.error",
        attributes=(("error.type", name),),
        content=(("error.message", message, "error"),) if message else (),
    )


def _compacted(record: LogRecord, body: Body, session: str, time: int, captured: Captured) -> Iterator[AnyEvent]:
    yield NoteEvent(session=session, time=time, name="session.compacted")


def _message(record: LogRecord, body: Body, session: str, time: int, captured: Captured) -> Iterator[AnyEvent]:
    info = as_map(body.get("info"))
    message = as_id(info.get("id")) or as_id(record.attributes.get("message.id"))
    role = as_text(info.get("role")) or as_text(record.attributes.get("message.role"))
    created = not_after(ms_time(as_map(info.get("time")).get("created")), record)
    if message is None:
        return
    if role == "user":
        yield from _user_message(info, session, message, created or time)
    elif role == "assistant":
        yield from _assistant_message(record, info, session, message, created, time)


def _user_message(info: Body, session: str, message: str, created: int) -> Iterator[AnyEvent]:
    model = as_map(info.get("model"))
    yield NoteEvent(session=session, time=created, name="user_prompt", key=message, needs_idle=True)
    yield SessionEvent(
        session=session,
        time=created,
        agent=as_text(info.get("agent")),
        model=as_text(model.get("modelID")),
        provider=as_text(model.get("providerID")),
    )


def _assistant_message(
    record: LogRecord, info: Body, session: str, message: str, created: int | None, time: int
) -> Iterator[AnyEvent]:
    stated = ms_time(as_map(info.get("time")).get("completed"))
    completed = not_after(stated, record) or (time if stated else None)
    error = as_map(info.get("error"))
    tokens = as_map(info.get("tokens")) if completed else {}
    cache = as_map(tokens.get("cache"))
    read, written, fresh = as_count(cache.get("read")), as_count(cache.get("write")), as_count(tokens.get("input"))
    yield RequestEvent(
        session=session,
        request=message,
        rank=EXACT if completed else PARTIAL,
        start=created,
        end=max(completed, created or 0) if completed else None,
        agent=as_text(info.get("agent")) or as_text(info.get("mode")),
        provider=as_text(info.get("providerID")),
        model=as_text(info.get("modelID")),
        finish=as_text(info.get("finish")),
        input_tokens=total_input_tokens(fresh, read, written),
        output_tokens=as_count(tokens.get("output")),
        cache_read_tokens=read,
        cache_creation_tokens=written,
        reasoning_tokens=as_count(tokens.get("reasoning")),
        cost=as_cost(info.get("cost")) if completed else None,
        error_type=as_text(error.get("name")),
        error=as_text(as_map(error.get("data")).get("message")),
    )


def _part(record: LogRecord, body: Body, session: str, time: int, captured: Captured) -> Iterator[AnyEvent]:
    part = as_map(body.get("part"))
    kind = as_text(part.get("type")) or as_text(record.attributes.get("part.type"))
    if kind != "tool":
        return
    call = as_id(part.get("callID")) or as_id(record.attributes.get("call.id"))
    if call is None:
        yield Discarded(reason="no_call")
        return
    state = as_map(part.get("state"))
    status = as_text(state.get("status")) or as_text(record.attributes.get("tool.status"))
    tool = as_text(part.get("tool")) or as_text(record.attributes.get("tool.name"))
    if status == "pending":
        yield CallEvent(session=session, call=call, rank=GUESSED, start=time, tool=tool)
    elif status in ("running", "completed", "error"):
        yield from _part_state(record, state, session, call, tool, status, time, captured)


def _part_state(
    record: LogRecord,
    state: Body,
    session: str,
    call: str,
    tool: str | None,
    status: str,
    time: int,
    captured: Captured,
) -> Iterator[AnyEvent]:
    times, meta, args = as_map(state.get("time")), as_map(state.get("metadata")), as_map(state.get("input"))
    ended = status != "running"
    start = not_after(ms_time(times.get("start")), record)
    end = not_after(ms_time(times.get("end")), record) if ended else None
    error = as_text(state.get("error")) if status == "error" else None
    child = as_id(meta.get("sessionId")) or as_id(record.attributes.get("child.session.id"))
    if child is None and tool == "task":
        child = child_in(error)
    agent = as_text(args.get("subagent_type")) if tool == "task" else None
    yield CallEvent(
        session=session,
        call=call,
        rank=EXACT if ended else PARTIAL,
        start=start,
        end=max(end or time, start or 0) if ended else None,
        tool=tool,
        status="error" if status == "error" else "completed" if ended else None,
        error_type=error_type(error, bool(as_bool(meta.get("interrupted")))) if status == "error" else None,
        error=error,
        child=child,
        background=as_bool(meta.get("background")),
        **_details(tool, args, meta, captured),
        result=as_text(state.get("output")) if "results" in captured else None,
    )
    if child and agent:
        yield SessionEvent(session=child, rank=REPORTED, agent=agent)
    yield from resource_server(tool, args, time)


class _Details(TypedDict, total=False):
    arguments: str | None
    agent: str | None
    description: str | None
    skill: str | None
    skill_source: str | None
    file_path: str | None


def _details(tool: str | None, args: Body, meta: Body, captured: Captured) -> _Details:
    details: _Details = {"arguments": as_text(to_json(args)) if args and "arguments" in captured else None}
    if tool == "task":
        details["agent"] = as_text(args.get("subagent_type"))
        details["description"] = as_text(args.get("description"))
    elif tool == "skill":
        details["skill"] = as_text(meta.get("name")) or as_text(args.get("name"))
        details["skill_source"] = as_text(meta.get("dir"))
    else:
        details["file_path"] = as_text(args.get("filePath"))
    return details


def _before(record: LogRecord, body: Body, session: str, time: int, captured: Captured) -> Iterator[AnyEvent]:
    call, tool = _hook(record, body)
    args = as_map(body.get("args"))
    if call is None:
        yield Discarded(reason="no_call")
    elif call.startswith(_PART_ID):
        yield StateEvent(session=session, time=time, state="busy")
    else:
        yield CallEvent(
            session=session, call=call, rank=HOOK, start=time, tool=tool, **_details(tool, args, {}, captured)
        )
        yield from resource_server(tool, args, time)


def _after(record: LogRecord, body: Body, session: str, time: int, captured: Captured) -> Iterator[AnyEvent]:
    call, tool = _hook(record, body)
    output = as_map(body.get("output"))
    meta = as_map(output.get("metadata"))
    if call is None:
        yield Discarded(reason="no_call")
    elif call.startswith(_PART_ID):
        yield StateEvent(session=session, time=time, state="busy")
    else:
        # This hook never fires on failure (docs/producers.md 5), so the call succeeded. A part that differs wins.
        child = as_id(meta.get("sessionId")) or as_id(record.attributes.get("child.session.id"))
        args = as_map(as_map(body.get("input")).get("args"))
        details = _details(tool, args, meta, captured)
        yield CallEvent(
            session=session, call=call, rank=HOOK, end=time, tool=tool, status="completed", child=child, **details
        )


def _hook(record: LogRecord, body: Body) -> tuple[str | None, str | None]:
    given = as_map(body.get("input"))
    call = as_id(record.attributes.get("call.id")) or as_id(given.get("callID"))
    return call, as_text(record.attributes.get("tool.name")) or as_text(given.get("tool"))


def _asked(record: LogRecord, body: Body, session: str, time: int, captured: Captured) -> Iterator[AnyEvent]:
    permission = as_id(record.attributes.get("permission.id")) or as_id(body.get("id"))
    if permission is None:
        yield Discarded(reason="malformed")
        return
    call = as_id(record.attributes.get("call.id")) or as_id(as_map(body.get("tool")).get("callID"))
    name = as_text(body.get("permission")) or as_text(body.get("type"))
    yield PermissionEvent(
        session=session,
        permission=permission,
        asked=time,
        name=name or as_text(record.attributes.get("permission.name")),
        call=call or as_id(body.get("callID")),
    )


def _replied(record: LogRecord, body: Body, session: str, time: int, captured: Captured) -> Iterator[AnyEvent]:
    stated = as_id(body.get("requestID")) or as_id(body.get("permissionID"))
    permission = stated or as_id(record.attributes.get("permission.id"))
    if permission is None:
        yield Discarded(reason="malformed")
        return
    reply = as_text(body.get("reply")) or as_text(body.get("response"))
    yield PermissionEvent(
        session=session,
        permission=permission,
        replied=time,
        reply=reply or as_text(record.attributes.get("permission.reply")),
    )


def _command(record: LogRecord, body: Body, session: str, time: int, captured: Captured) -> Iterator[AnyEvent]:
    name = as_text(body.get("name")) or as_text(record.attributes.get("command.name")) or "unknown"
    arguments = body.get("arguments")
    text = arguments if isinstance(arguments, str) else None
    yield command_note(session, time, name, text, as_text(body.get("messageID")) or "")


def _tools_changed(record: LogRecord, body: Body, session: str, time: int, captured: Captured) -> Iterator[AnyEvent]:
    server = as_id(body.get("server")) or as_id(record.attributes.get("mcp.server"))
    if server is None:
        yield Discarded(reason="malformed")
        return
    yield ServerEvent(server=server, time=time)
    if session:
        yield NoteEvent(session=session, time=time, name="mcp.tools.changed", attributes=(("mcp.server.name", server),))


_READERS: dict[str, Callable[[LogRecord, Body, str, int, Captured], Iterator[AnyEvent]]] = {
    "session.created": _session_info,
    "session.updated": _session_info,
    "session.deleted": _deleted,
    "session.status": _status,
    "session.idle": _idle,
    "session.error": _error,
    "session.compacted": _compacted,
    "message.updated": _message,
    "message.part.updated": _part,
    "tool.execute.before": _before,
    "tool.execute.after": _after,
    "permission.asked": _asked,
    "permission.updated": _asked,
    "permission.replied": _replied,
    "command.executed": _command,
    "mcp.tools.changed": _tools_changed,
}

EVENTS = frozenset(_READERS)
