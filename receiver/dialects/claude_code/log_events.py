"""Claude Code's log events and metrics (docs/producers.md 20). Its spans, a beta, are read in spans.py.

Producer: Claude Code 2.1. Source: https://code.claude.com/docs/en/monitoring-usage as of 2026-09, and published
recordings of 2.1.80 to 2.1.289.
Recognized by: the scope, and a session id that does not begin with `ses_`. gcornut/opencode-otel (profile
`claude-code`) imitates Claude Code with the same scopes, resource and event names; but OpenCode's session ids begin
with `ses_`, and Claude Code's are UUIDs. plugin_otel.py reads those records. (Other attributes do not decide:
`tool_use_id`, `request_id` and the account's are on some records of some versions only, `terminal.type` and
`app.version` are on the plugin's too.)
Times: an event is sent when the call or request has finished, and its time is the end. `duration_ms` is the execution
without the wait for a permission. Calls have `tool_use_id`, requests `request_id` where the API gives one. Numbers and
booleans are text on some events.
It cannot tell a rejected call's start: there is only the decision, which is its end. Subagents share the session id of
the agent that started them; agents.py says which record is whose. No event names both an agent and the call that
started it. No event ends a turn, so sessions close by inactivity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from receiver.dialects.claude_code.agents import Agent, agent_of, has_agent_ids, lineage
from receiver.dialects.claude_code.requests import http_error, is_main, request, request_id
from receiver.dialects.claude_code.tools import PLACEHOLDERS, SKILL, TASK, named, reply, tool
from receiver.dialects.shared.commands import command_note
from receiver.dialects.shared.fields import (
    CLOCK_TOLERANCE,
    MS,
    Captured,
    as_bool,
    as_count,
    as_duration,
    as_id,
    as_text,
    event_name,
    first_set,
    from_json,
    iso_time,
    not_after,
    record_time,
)
from receiver.dialects.shared.finished_calls import CallFacts, finished_call
from receiver.dialects.shared.metric_points import usage
from receiver.events import (
    EXACT,
    PARTIAL,
    REPORTED,
    AnyEvent,
    CallEvent,
    CallHintEvent,
    Discarded,
    NoteEvent,
    RemoteParentEvent,
    RequestEvent,
    ServerEvent,
    SessionEvent,
    StateEvent,
    agent_session,
)
from receiver.model import Attributes, LogRecord, MetricPoint, Scope

# the scope of metrics; events add .events, spans .tracing (.traces up to 2.1.170)
CLAUDE_CODE_SCOPE = "com.anthropic.claude_code"
_OPENCODE_SESSION = "ses_"
_PREFIX = "claude_code."
_STARTUP = ("managed_settings_resolved", "plugin_loaded")
_MAX_STARTUP_DELAY = 600_000 * MS  # a start-up record is written at most this late; beyond it, its timestamp is wrong


def is_ours(scope: Scope, attributes: Attributes) -> bool:
    """Whether a record is Claude Code's, and not of a plugin that imitates it."""
    if scope.name != CLAUDE_CODE_SCOPE and not scope.name.startswith(CLAUDE_CODE_SCOPE + "."):
        return False
    session = attributes.get("session.id")
    return not (isinstance(session, str) and session.startswith(_OPENCODE_SESSION))


@dataclass(frozen=True, slots=True)
class _Event:
    """One event. `time` (ns) is the end of the call or request that it reports."""

    attributes: Attributes
    agent: Agent
    time: int
    captured: Captured

    @property
    def session(self) -> str:
        """The session of the agent."""
        return self.agent.session

    def text(self, *names: str) -> str | None:
        """The first text among several attributes."""
        return as_text(first_set(self.attributes, *names))

    @property
    def start(self) -> int | None:
        """The start (ns), if there is a duration."""
        duration = as_duration(self.attributes.get("duration_ms"))
        return max(self.time - duration, 1) if duration is not None else None


def logs(record: LogRecord, captured: Captured) -> Sequence[AnyEvent] | None:
    """The events of a record; None if it is not Claude Code's."""
    if not is_ours(record.scope, record.attributes):
        return None
    name = event_name(record) or (record.body if isinstance(record.body, str) else "")
    read = _EVENTS.get(name.removeprefix(_PREFIX))
    if read is None:
        return (_server_or_remote_parent(record, name.removeprefix(_PREFIX)),)
    session = as_id(record.attributes.get("session.id"))
    if session is None:
        return (Discarded(reason="no_session"),)
    time = _time(record)
    if time is None:
        return (Discarded(reason="no_time"),)
    agent = agent_of(record.attributes, session, has_agent_ids(record))
    events = tuple(read(_Event(record.attributes, agent, time, captured)))
    if all(isinstance(event, Discarded) for event in events):
        return events or (Discarded(reason="not_of_the_tree"),)
    return (
        *agent.events(),
        *(lineage(record, agent) if read is not _decision else ()),  # which is written in the wait's span
        StateEvent(session=agent.session, time=time, state="busy"),
        *events,
    )


def _server_or_remote_parent(record: LogRecord, name: str) -> AnyEvent:
    """What a record that is not of the tree tells: the true name of an MCP server, or another program's span above the
    process. Records from before the first prompt have a trace context only where TRACEPARENT was set."""
    server = as_id(record.attributes.get("server_name"))
    if name == "mcp_server_connection" and server is not None:
        return ServerEvent(server=server, time=record_time(record) or 0)
    session = as_id(record.attributes.get("session.id"))
    has_context = len(record.trace_id) == 16 and len(record.span_id) == 8
    if name in _STARTUP and has_context and session and record.attributes.get("prompt.id") is None:
        remote = f"{record.trace_id.hex()}-{record.span_id.hex()}"
        return RemoteParentEvent(session=session, time=record_time(record) or 0, rank=EXACT, remote=remote)
    return Discarded(reason="not_of_the_tree")


def _time(record: LogRecord) -> int | None:
    """The event's time (ns). A record from before the exporter was ready has the time of its writing instead."""
    written = record_time(record)
    stated = not_after(iso_time(record.attributes.get("event.timestamp")), record)
    if written is None or stated is None:
        return written or stated
    return stated if CLOCK_TOLERANCE < written - stated < _MAX_STARTUP_DELAY else written


# prompts


def _prompt(e: _Event) -> Iterator[AnyEvent]:
    length = as_count(e.attributes.get("prompt_length"))
    yield NoteEvent(
        session=e.session,
        time=e.time,
        name="user_prompt",
        attributes=(("opencode.prompt.length", length),) if length is not None else (),
    )
    if command := as_id(e.attributes.get("command_name")):
        yield command_note(e.session, e.time, command, None)


def _compaction(e: _Event) -> Iterator[AnyEvent]:
    if as_bool(e.attributes.get("success")) is not False:
        yield NoteEvent(session=e.session, time=e.time, name="session.compacted")


# calls


def _result(e: _Event) -> Iterator[AnyEvent]:
    failed = as_bool(e.attributes.get("success")) is False
    what = tool(e.attributes, e.captured)
    call = as_id(e.attributes.get("tool_use_id"))
    arguments = from_json(e.attributes.get("tool_input"))
    facts = CallFacts(
        status="error" if failed else "completed",
        error=e.text("error") if failed else None,
        error_type=(as_id(e.attributes.get("error_type")) or "tool_error") if failed else None,
        agent=what.agent,
        skill=what.skill,
        mcp_server=what.mcp_server,
        mcp_tool=what.mcp_tool,
        description=what.description,
    )
    if call is not None:
        yield from named(e.session, call, what)
        yield CallEvent(
            session=e.session,
            call=call,
            rank=REPORTED,
            tool=what.name if what.is_named else None,
            start=e.start,
            end=e.time,
            background=(as_bool(arguments.get("run_in_background")) or None) if what.name == TASK else None,
            permission_reply=reply(
                first_set(e.attributes, "decision_type", "decision"),
                first_set(e.attributes, "decision_source", "source"),
            ),
            file_path=what.file_path,
            arguments=what.arguments,
            **facts,
        )
    elif what.name is None or e.start is None:
        yield Discarded(reason="malformed")
    else:  # results have no `tool_use_id` before 2.1
        yield finished_call(e.session, None, rank=REPORTED, tool=what.name, start=e.start, end=e.time, **facts)


def _decision(e: _Event) -> Iterator[AnyEvent]:
    """How a permission was decided. A rejected call has no result, so this is its end; an accepted one begins. A result
    wins over both, but a call that is interrupted or killed has none."""
    call = as_id(e.attributes.get("tool_use_id"))
    answer = reply(e.attributes.get("decision"), e.attributes.get("source"))
    if call is None or answer is None:
        yield Discarded(reason="no_call" if call is None else "malformed")
        return
    what = tool(e.attributes, e.captured)
    rejected = answer == "reject"
    yield from named(e.session, call, what)
    yield CallEvent(
        session=e.session,
        call=call,
        rank=PARTIAL,  # a hook may still rewrite the arguments
        start=None if rejected else e.time,
        ends_with_turn=None if rejected else True,
        end=e.time if rejected else None,
        tool=what.name if what.is_named else None,
        status="error" if rejected else None,
        error_type="permission_rejected" if rejected else None,
        agent=what.agent,
        skill=what.skill,
        mcp_server=what.mcp_server,
        mcp_tool=what.mcp_tool,
        permission_reply=answer,
    )


def _subagent(e: _Event) -> Iterator[AnyEvent]:
    """A subagent finished. Its call has a record of its own, which names the agent only if the user allows it.

    A background subagent outlives its call, and some are started without a call (by a skill).
    """
    agent_type, background = as_id(e.attributes.get("agent_type")), as_bool(e.attributes.get("is_async"))
    name = agent_type if agent_type not in PLACEHOLDERS else None
    if background is not True:
        yield from _hint(e, TASK, agent=name, tool_count=as_count(e.attributes.get("total_tool_uses")))
    if not e.agent.id:
        yield StateEvent(session=e.session, time=e.time, state="busy")
        return
    if name:
        yield SessionEvent(session=e.session, time=e.start or e.time, agent=name)
    if e.start is not None and background is not None:
        yield SessionEvent(session=e.session, background=background)
        yield StateEvent(session=e.session, time=e.start, state="busy")
    yield StateEvent(session=e.session, time=e.time, state="idle")


def _skill(e: _Event) -> Iterator[AnyEvent]:
    """A skill was activated: by the model, or by a slash command."""
    skill = as_id(e.attributes.get("skill.name"))
    if skill not in PLACEHOLDERS and e.attributes.get("invocation_trigger") == "claude-proactive":
        yield from _hint(e, SKILL, skill=skill)
    yield StateEvent(session=e.session, time=e.time, state="busy")


def _hint(
    e: _Event, kind: str, agent: str | None = None, skill: str | None = None, tool_count: int | None = None
) -> Iterator[AnyEvent]:
    caller = agent_session(e.agent.shared, e.agent.parent) if e.agent.parent else e.agent.shared
    yield CallHintEvent(
        session=caller if kind == TASK else e.session,
        tool=kind,
        start=e.start or e.time,
        end=e.time,
        agent=agent,
        skill=skill,
        tool_count=tool_count,
    )


# model requests


def _key(e: _Event) -> str:
    """The request's key. `event.sequence` counts a session's events since its start or resumption."""
    return request_id(e.attributes) or f"at:{e.time // MS}:{as_count(e.attributes.get('event.sequence')) or 0}"


def _request(e: _Event) -> Iterator[AnyEvent]:
    found = request(e.attributes, e.session, _key(e), REPORTED, e.start, e.time, error_type=None)
    yield found
    if found.model and (e.agent.id or is_main(e.attributes)):
        agent = found.agent if e.agent.id else None
        yield SessionEvent(session=e.session, time=e.time, model=found.model, provider=found.provider, agent=agent)


def _failed_request(e: _Event) -> Iterator[AnyEvent]:
    yield request(e.attributes, e.session, _key(e), REPORTED, e.start, e.time, error_type=http_error(e.attributes))


def _refusal(e: _Event) -> Iterator[AnyEvent]:
    """The model refused to answer. The request itself succeeded and has its own event."""
    key = request_id(e.attributes)
    if key is not None and as_bool(e.attributes.get("server_fallback_hop")) is not True:
        yield RequestEvent(session=e.session, request=key, rank=REPORTED, model=e.text("model"), finish="refusal")


_EVENTS: dict[str, Callable[[_Event], Iterator[AnyEvent]]] = {
    "user_prompt": _prompt,
    "tool_result": _result,
    "tool_decision": _decision,
    "api_request": _request,
    "api_error": _failed_request,
    "api_refusal": _refusal,
    "compaction": _compaction,
    "subagent_completed": _subagent,
    "skill_activated": _skill,
}


# metrics


def metrics(point: MetricPoint, captured: Captured) -> Sequence[AnyEvent] | None:
    """A session's totals (tokens, cost, lines); None if the point is not Claude Code's. Other metrics are discarded.

    So is `session.count`, which makes no session: `--continue` counts one under an id that nothing else has. So are
    points of subagents, which do not say which one: their requests tell what each of them used.
    """
    if not is_ours(point.scope, point.attributes):
        return None
    is_of_subagents = point.attributes.get("query_source") == "subagent"
    if point.name == _PREFIX + "session.count" or is_of_subagents:
        return (Discarded(reason="not_of_the_tree"),)
    totals = usage(point, point.name.removeprefix(_PREFIX))
    return (Discarded(reason="not_of_the_tree"),) if totals is None else tuple(totals)
