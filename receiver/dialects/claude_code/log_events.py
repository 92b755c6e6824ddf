"""Claude Code's own telemetry: its events. Its spans (a beta) are read in claude_spans.py.

Whose a record is: a plugin of OpenCode that imitates Claude Code (gcornut/opencode-otel, profile `claude-code`) has the
same scopes, the same resource and the same names of events. What it cannot imitate is whom it tells of: OpenCode's
session ids begin with `ses_`, Claude Code's are UUIDs. So a record of a `ses_` session is left to plugin_otel.py, and
every other of these scopes is Claude Code's. (`tool_use_id`, `request_id` and the account's attributes are on some
records only, and on none of some versions; `terminal.type` and `app.version` are on the plugin's too.)

What is told: calls by `tool_use_id`, when they are finished: the event's time is the end, `duration_ms` the execution
without the wait for a permission. Numbers and booleans come as text on some events, as themselves on others. Requests
to the model by `request_id`, where the API gives one. A rejected call has nothing but its decision: it ended there, and
its start is not told. Subagents share the session of the agent that started them, and no event says whose a call is:
there is no child session, and every session is a root. No event says that a turn is over: sessions end by inactivity.
Source: https://code.claude.com/docs/en/monitoring-usage as of 2026-09, and what others recorded of 2.1.80 to 2.1.289.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from receiver.dialects.claude_code.requests import http_error, is_main, request, request_id
from receiver.dialects.claude_code.tools import PLACEHOLDERS, SKILL, TASK, Tool, reply, tool
from receiver.dialects.shared.commands import command_note
from receiver.dialects.shared.fields import (
    MS,
    SLACK,
    Wanted,
    as_bool,
    as_count,
    as_duration,
    as_id,
    as_text,
    event_name,
    first,
    iso_time,
    not_after,
    record_time,
)
from receiver.dialects.shared.metric_points import usage
from receiver.events import (
    PARTIAL,
    REPORTED,
    AnyEvent,
    CallEvent,
    CallHintEvent,
    CallReportEvent,
    Discarded,
    NoteEvent,
    RequestEvent,
    SessionEvent,
    StateEvent,
)
from receiver.model import Attributes, LogRecord, MetricPoint, Scope

FLUSH = 6_000 * MS  # events and spans leave every 5 s by default, each by its own clock
SCOPE = "com.anthropic.claude_code"  # of metrics; events have .events, spans .tracing (.traces up to 2.1.170)
OPENCODE_SESSION = "ses_"
_PREFIX = "claude_code."
_BUFFERED = 600_000 * MS  # a record of the start-up is written late; beyond this its own timestamp is not believed


def is_ours(scope: Scope, attributes: Attributes) -> bool:
    """Whether a record is Claude Code's own."""
    if scope.name != SCOPE and not scope.name.startswith(SCOPE + "."):
        return False
    session = attributes.get("session.id")
    return not (isinstance(session, str) and session.startswith(OPENCODE_SESSION))


@dataclass(frozen=True, slots=True)
class _Event:
    """One event. `time` (ns) is when it happened, which is when what it tells of was over."""

    attributes: Attributes
    session: str
    time: int
    wanted: Wanted

    def text(self, *names: str) -> str | None:
        """The first of several texts."""
        return as_text(first(self.attributes, *names))

    @property
    def start(self) -> int | None:
        """When what was completed began (ns), if its duration is told."""
        duration = as_duration(self.attributes.get("duration_ms"))
        return max(self.time - duration, 1) if duration is not None else None


def logs(record: LogRecord, wanted: Wanted) -> Sequence[AnyEvent] | None:
    """What an event tells; None if it is not Claude Code's."""
    if not is_ours(record.scope, record.attributes):
        return None
    name = event_name(record) or (record.body if isinstance(record.body, str) else "")
    read = _EVENTS.get(name.removeprefix(_PREFIX))
    if read is None:
        return (Discarded(reason="not_of_the_tree"),)
    session = as_id(record.attributes.get("session.id"))
    if session is None:
        return (Discarded(reason="no_session"),)
    time = _time(record)
    if time is None:
        return (Discarded(reason="no_time"),)
    told = tuple(read(_Event(record.attributes, session, time, wanted)))
    if all(isinstance(t, Discarded) for t in told):
        return told or (Discarded(reason="not_of_the_tree"),)
    return (
        SessionEvent(session=session, root=True),
        StateEvent(session=session, time=time, state="busy"),
        *told,
    )


def _time(record: LogRecord) -> int | None:
    """When the event happened: what was told before the exporter was ready carries the time of its writing."""
    written = record_time(record)
    told = not_after(iso_time(record.attributes.get("event.timestamp")), record)
    if written is None or told is None:
        return written or told
    return told if SLACK < written - told < _BUFFERED else written


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
    error = e.text("error") if failed else None
    error_type = (as_id(e.attributes.get("error_type")) or "tool_error") if failed else None
    what = tool(e.attributes, e.wanted)
    call = as_id(e.attributes.get("tool_use_id"))
    if call is None:
        yield _unnamed(e, what, failed, error, error_type)
        return
    yield CallEvent(
        session=e.session,
        call=call,
        rank=REPORTED,
        start=e.start,
        end=e.time,
        tool=what.name,
        status="error" if failed else "completed",
        error=error,
        error_type=error_type,
        agent=what.agent,
        skill=what.skill,
        mcp_server=what.mcp_server,
        mcp_tool=what.mcp_tool,
        permission_reply=reply(
            first(e.attributes, "decision_type", "decision"), first(e.attributes, "decision_source", "source")
        ),
        description=what.description,
        file_path=what.file_path,
        arguments=what.arguments,
    )


def _unnamed(e: _Event, what: Tool, failed: bool, error: str | None, error_type: str | None) -> AnyEvent:
    """Before 2.1 results have no `tool_use_id`."""
    if what.name is None or e.start is None:
        return Discarded(reason="malformed")
    return CallReportEvent(
        session=e.session,
        rank=REPORTED,
        tool=what.name,
        start=e.start,
        end=e.time,
        status="error" if failed else "completed",
        error=error,
        error_type=error_type,
        agent=what.agent,
        skill=what.skill,
        mcp_server=what.mcp_server,
        mcp_tool=what.mcp_tool,
        description=what.description,
    )


def _decision(e: _Event) -> Iterator[AnyEvent]:
    """How a permission was decided. A rejected call has no result, so that this is its end; a result says better."""
    call = as_id(e.attributes.get("tool_use_id"))
    answer = reply(e.attributes.get("decision"), e.attributes.get("source"))
    if call is None or answer is None:
        yield Discarded(reason="no_call" if call is None else "malformed")
        return
    what = tool(e.attributes, e.wanted)
    rejected = answer == "reject"
    yield CallEvent(
        session=e.session,
        call=call,
        rank=PARTIAL,  # what was decided on may still have been rewritten
        end=e.time if rejected else None,
        tool=what.name,
        status="error" if rejected else None,
        error_type="permission_rejected" if rejected else None,
        agent=what.agent,
        skill=what.skill,
        mcp_server=what.mcp_server,
        mcp_tool=what.mcp_tool,
        permission_reply=answer,
    )


def _subagent(e: _Event) -> Iterator[AnyEvent]:
    """A subagent finished, and what it was: its call has another record, which only says so if its user lets it. One in
    the background outlives its call, and not every one was started by a call (a skill may be one)."""
    if as_bool(e.attributes.get("is_async")) is not True:
        agent = as_id(e.attributes.get("agent_type"))
        yield from _hint(
            e,
            TASK,
            agent=agent if agent not in PLACEHOLDERS else None,
            tool_count=as_count(e.attributes.get("total_tool_uses")),
        )
    yield StateEvent(session=e.session, time=e.time, state="busy")


def _skill(e: _Event) -> Iterator[AnyEvent]:
    """A skill was activated; by a slash command, if it was not the model."""
    skill = as_id(e.attributes.get("skill.name"))
    if skill not in PLACEHOLDERS and e.attributes.get("invocation_trigger") == "claude-proactive":
        yield from _hint(e, SKILL, skill=skill)
    yield StateEvent(session=e.session, time=e.time, state="busy")


def _hint(
    e: _Event, kind: str, agent: str | None = None, skill: str | None = None, tool_count: int | None = None
) -> Iterator[AnyEvent]:
    yield CallHintEvent(
        session=e.session,
        tool=kind,
        start=e.start or e.time,
        end=e.time,
        agent=agent,
        skill=skill,
        tool_count=tool_count,
    )


# model requests


def _key(e: _Event) -> str:
    """What identifies a request. `event.sequence` counts a session's events, from its (re)start on."""
    return request_id(e.attributes) or f"at:{e.time // MS}:{as_count(e.attributes.get('event.sequence')) or 0}"


def _request(e: _Event) -> Iterator[AnyEvent]:
    yield request(e.attributes, e.session, _key(e), REPORTED, e.start, e.time, error_type=None)
    if (model := e.text("model")) and is_main(e.attributes):
        yield SessionEvent(session=e.session, time=e.time, model=model)


def _failed_request(e: _Event) -> Iterator[AnyEvent]:
    yield request(e.attributes, e.session, _key(e), REPORTED, e.start, e.time, error_type=http_error(e.attributes))


def _refusal(e: _Event) -> Iterator[AnyEvent]:
    """The model refused: the request itself went well, and has its own event."""
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


# metrics: counters of the same things, and totals


def metrics(point: MetricPoint, wanted: Wanted) -> Sequence[AnyEvent] | None:
    """Totals of a session (tokens, cost, lines); the others are known and of no use."""
    if not is_ours(point.scope, point.attributes):
        return None
    told = usage(point, point.name.removeprefix(_PREFIX))
    return (Discarded(reason="not_of_the_tree"),) if told is None else tuple(told)
