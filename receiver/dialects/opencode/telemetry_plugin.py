"""opencode-telemetry-plugin: its delta metrics, and the log events of its extended form (docs/producers.md 16).

Producers: opencode-telemetry-plugin as published; and with the features that its study proposes, which are the
`opencode.command/skill/mcp/agent.*` metrics and JSON events as log records (a map body, or one JSON text).
Recognized by: log events by `type` and `data` in the body; metrics by name, with the resource attribute
`opencode.plugin` or the scope.
Times: a log event's time is the end, `duration_ms` leads to the start. A metric point tells an interval.
It cannot tell failed calls in metrics, or call ids. It splits MCP names at the first underscore, often wrongly, so
that `server_tool` is joined again. Trace ids on its log records are wrong where tasks run in parallel; they are not
read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

from receiver.dialects.shared.commands import command_note
from receiver.dialects.shared.fields import (
    Captured,
    as_count,
    as_duration,
    as_id,
    as_id_unless_unknown,
    as_text,
    from_json,
    iso_time,
    not_after,
    record_time,
)
from receiver.dialects.shared.metric_points import amount, begin, durations_of, form_of, problem, series_of, session_of
from receiver.events import (
    COUNTED,
    COUNTED_NOTE,
    REPORTED,
    AnyEvent,
    CallEvent,
    CallReportEvent,
    Discarded,
    LinesEvent,
    ServerEvent,
    SessionEvent,
    StateEvent,
)
from receiver.model import LogRecord, MetricPoint, Value

TELEMETRY_PLUGIN_SCOPE = "opencode"
_PLUGIN = "telemetry"
Data = Mapping[str, Value]


# log records: the JSON events of the extended form


def logs(record: LogRecord, captured: Captured) -> Sequence[AnyEvent] | None:
    """The events of a JSON event; None if the record is no such event."""
    body = from_json(record.body)
    read = _EVENTS.get(as_text(body.get("type")) or "")
    data = body.get("data")
    if read is None or not isinstance(data, Mapping):
        return None
    time = not_after(iso_time(body.get("timestamp")), record) or record_time(record)
    if time is None:
        return (Discarded(reason="no_time"),)
    return tuple(read(data, time)) or (Discarded(reason="no_session"),)


def _duration(data: Data) -> int:
    """The duration (ns); 0 where it is missing or invalid."""
    return as_duration(data.get("duration_ms")) or 0


def _command(data: Data, time: int) -> Iterator[AnyEvent]:
    session = as_id(data.get("sessionID"))
    if session:
        name = as_text(data.get("command")) or "unknown"
        yield command_note(session, time, name, as_text(data.get("arguments")) or "")
        # the event comes 0 to 1 ms after the session's turn is over
        yield StateEvent(session=session, time=time, state="idle")


def _agent(data: Data, time: int) -> Iterator[AnyEvent]:
    parent, child = as_id(data.get("parent_session")), as_id(data.get("child_session"))
    if parent is None:
        return
    agent = as_text(data.get("agent_type"))
    yield CallReportEvent(
        session=parent,
        rank=REPORTED,
        tool="task",
        start=max(time - _duration(data), 1),
        end=time,
        status="completed",
        child=child,
        agent=agent,
        # the plugin counts metadata.summary, which no version fills, so 0 means unknown
        tool_count=as_count(data.get("tool_count")) or None,
        description=as_text(data.get("description")),
    )
    if child and agent:
        yield SessionEvent(session=child, rank=REPORTED, agent=agent)


def _skill(data: Data, time: int) -> Iterator[AnyEvent]:
    session = as_id(data.get("sessionID"))
    if session:
        yield CallReportEvent(
            session=session,
            rank=REPORTED,
            tool="skill",
            start=max(time - _duration(data), 1),
            end=time,
            status=_status(data),
            skill=as_text(data.get("skill")),
            skill_source=as_text(data.get("directory")),
        )


def _mcp(data: Data, time: int) -> Iterator[AnyEvent]:
    session, server, tool = as_id(data.get("sessionID")), as_text(data.get("server")), as_text(data.get("tool"))
    if session and server and tool:
        yield CallReportEvent(
            session=session,
            rank=REPORTED,
            tool=f"{server}_{tool}",
            start=max(time - _duration(data), 1),
            end=time,
            status=_status(data),
        )


def _status(data: Data) -> Literal["completed", "error"]:
    return "error" if as_text(data.get("status")) in ("error", "failure", "failed") else "completed"


_EVENTS: dict[str, Callable[[Data, int], Iterator[AnyEvent]]] = {
    "command_execution": _command,
    "agent_execution": _agent,
    "skill_invocation": _skill,
    "mcp_tool_execution": _mcp,
}


# metrics


def metrics(point: MetricPoint, captured: Captured) -> Sequence[AnyEvent] | None:
    """The events of a data point; None if it is no metric of the plugin."""
    read = _METRICS.get(point.name)
    if read is None or not _is_ours(point):
        return None
    if point.kind not in ("sum", "histogram"):
        return (Discarded(reason="malformed"),)
    if (reason := problem(point)) is not None:
        return (Discarded(reason=reason),)
    if form_of(point) != "delta" and read not in _CUMULATIVE:
        return (Discarded(reason="cumulative"),)
    return tuple(read(point))


def _is_ours(point: MetricPoint) -> bool:
    plugin = point.resource.attributes.get("opencode.plugin")
    return plugin == _PLUGIN or (plugin is None and point.scope.name == TELEMETRY_PLUGIN_SCOPE)


def _begin(point: MetricPoint) -> int:
    return begin(point) or point.time


def _key(point: MetricPoint) -> str:
    """A key of the point's series and interval. A copy of the point has the same key."""
    return f"{point.name}:{point.start}-{point.time}:{series_of(point)}"


def _counted(
    point: MetricPoint, tool: str | None, skill: str | None = None, agent: str | None = None
) -> Iterator[AnyEvent]:
    session = session_of(point)
    if session is None:
        yield Discarded(reason="no_session")
        return
    count = point.count if point.kind == "histogram" else as_count(point.value) or 0
    if not tool or not 0 < count < 1_000_000:
        yield Discarded(reason="empty" if tool else "malformed")
        return
    total, low, high = durations_of(point)
    known = {"total": total, "low": low, "high": high, "tool": tool, "skill": skill, "agent": agent}
    yield amount(point, session, "calls", point.name, **known)


def _tool(point: MetricPoint) -> Iterator[AnyEvent]:
    return _counted(point, as_text(point.attributes.get("tool.name")))


def _skill_count(point: MetricPoint) -> Iterator[AnyEvent]:
    return _counted(point, "skill", skill=as_text(point.attributes.get("skill")))


def _mcp_count(point: MetricPoint) -> Iterator[AnyEvent]:
    server, tool = as_text(point.attributes.get("server")), as_text(point.attributes.get("tool"))
    return _counted(point, f"{server}_{tool}" if server and tool else None)


def _spawns(point: MetricPoint) -> Iterator[AnyEvent]:
    return _counted(point, "task", agent=as_text(point.attributes.get("agent_type")))


def _command_count(point: MetricPoint) -> Iterator[AnyEvent]:
    session = session_of(point)
    name = as_text(point.attributes.get("command"))
    if session is None or name is None:
        yield Discarded(reason="no_session" if session is None else "malformed")
        return
    yield command_note(session, _begin(point), name, None, key=f"{COUNTED_NOTE}{_key(point)}")


def _refreshed(point: MetricPoint) -> Iterator[AnyEvent]:
    server = as_id(point.attributes.get("server"))
    yield ServerEvent(server=server, time=point.time) if server else Discarded(reason="malformed")


def _lines(point: MetricPoint) -> Iterator[AnyEvent]:
    session, count = session_of(point), as_count(point.value)
    if session is None or count is None:
        yield Discarded(reason="no_session" if session is None else "malformed")
        return
    added = point.name.endswith(".added")
    yield LinesEvent(
        session=session,
        key=_key(point),
        time=_begin(point),
        added=count if added else 0,
        removed=0 if added else count,
        call=as_id_unless_unknown(point.attributes.get("call.id")),
    )


def _permission(point: MetricPoint) -> Iterator[AnyEvent]:
    session, call = session_of(point), as_id_unless_unknown(point.attributes.get("call.id"))
    if session is None or call is None:
        yield Discarded(reason="no_session" if session is None else "no_call")
        return
    yield CallEvent(
        session=session,
        call=call,
        rank=COUNTED,
        permission_name=as_text(point.attributes.get("permission.name")),
        permission_reply=as_text(point.attributes.get("permission.reply")),
    )


def _no_session(point: MetricPoint) -> Iterator[AnyEvent]:
    yield Discarded(reason="no_session")


_METRICS: dict[str, Callable[[MetricPoint], Iterator[AnyEvent]]] = {
    "opencode.tool.executions": _tool,
    "opencode.tool.duration": _tool,
    "opencode.tool.loc.added": _lines,
    "opencode.tool.loc.deleted": _lines,
    "opencode.permission.requests": _permission,
    "opencode.command.executions": _command_count,
    "opencode.skill.invocations": _skill_count,
    "opencode.mcp.tool.executions": _mcp_count,
    "opencode.mcp.tools.refreshed": _refreshed,
    "opencode.agent.spawns": _spawns,
    # these have no session attribute, so which call they timed is unknown
    "opencode.skill.duration": _no_session,
    "opencode.mcp.tool.duration": _no_session,
    "opencode.agent.duration": _no_session,
    "opencode.agent.tool_count": _no_session,
}
_CUMULATIVE = (_tool, _skill_count, _mcp_count, _spawns)
