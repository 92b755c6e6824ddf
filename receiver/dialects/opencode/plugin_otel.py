"""The log events of opencode-plugin-otel and the plugins with the same events (docs/producers.md 17 and 18).

Producers: opencode-plugin-otel 0.8 to 1.2 (DEVtheOPS), its Adsicmes fork 1.2.2, opencode-otel 0.4 (gcornut), whose
profile `claude-code` has Claude Code's event names.
Recognized by: a scope that begins with one of SCOPES, once claude_code.log_events has left the record.
Times: an event is sent on completion. Its time is the start in the DEVtheOPS family and the end in the others, with
the same scope name. How late the record was emitted tells which (docs/producers.md 2).
It cannot tell call ids (but `tool_use_id` in one profile) or parent sessions. Its permission events are wrong, since
they come from events that OpenCode no longer sends; they are not read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from receiver.dialects.shared.fields import (
    CLOCK_TOLERANCE,
    MS,
    Captured,
    as_bool,
    as_cost,
    as_count,
    as_duration,
    as_id,
    as_id_unless_unknown,
    as_number,
    as_text,
    event_name,
    first_set,
    from_json,
    name_digest,
    record_time,
    total_input_tokens,
)
from receiver.dialects.shared.finished_calls import finished_call
from receiver.dialects.shared.tool_errors import child_in, error_type
from receiver.events import (
    REPORTED,
    AnyEvent,
    CopyEvent,
    Discarded,
    NoteEvent,
    RequestEvent,
    SessionEvent,
    StateEvent,
)
from receiver.model import Attributes, LogRecord, Value

SCOPES = ("com.opencode", "com.anthropic.claude_code")
_START_OR_END = "com.opencode"  # of this scope, one plugin times a completion at its start, another at its end
_PREFIXES = ("opencode.", "claude_code.")
_CHILD_TITLE = re.compile(r" \(@(\S+) subagent\)$")
_ERROR_NAME = re.compile(r"^([A-Z][A-Za-z]*(?:Error|Exception))\b")


def agent_name(value: Value) -> str | None:
    """An agent's name; None for `unknown`."""
    name = as_text(value)
    return None if name == "unknown" else name


@dataclass(frozen=True, slots=True)
class _Record:
    """One event: `time` (ns) is the record's, `emitted` (ns) when it was written."""

    attributes: Attributes
    session: str
    time: int
    emitted: int
    capitalized: bool
    context: str | None
    may_be_start: bool

    def text(self, *names: str) -> str | None:
        """The first text among several attributes."""
        return as_text(first_set(self.attributes, *names))

    @property
    def agent(self) -> str | None:
        """The agent's name, where the plugin had it."""
        return agent_name(first_set(self.attributes, "agent.name", "agent"))

    @property
    def is_timed(self) -> bool:
        """Whether it has a duration. The plugin for OpenCode 2 sends none for requests."""
        return as_number(self.attributes.get("duration_ms")) is not None

    def interval(self) -> tuple[int, int]:
        """Start and end (ns) of what was completed."""
        length = as_duration(self.attributes.get("duration_ms")) or 0
        lag = self.emitted - self.time
        if self.may_be_start and abs(lag - length) < abs(lag):
            return self.time, self.time + length
        return max(self.time - length, 1), self.time


def logs(record: LogRecord, captured: Captured) -> Sequence[AnyEvent] | None:
    """The events of a record; None if it is not one of these plugins'."""
    if not record.scope.name.startswith(SCOPES):
        return None
    name = event_name(record) or (record.body if isinstance(record.body, str) else "")
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    read = _EVENTS.get(name)
    if read is None:
        return (Discarded(reason="not_of_the_tree"),)
    session = as_id_unless_unknown(record.attributes.get("session.id"))
    if session is None:
        return (Discarded(reason="no_session"),)
    time = record_time(record)
    if time is None:
        return (Discarded(reason="no_time"),)
    if name in _COMPLETIONS and record.observed and record.time > record.observed + CLOCK_TOLERANCE:
        # a fork replays history, and the JavaScript SDK turns its times into future ones
        return (CopyEvent(session=session),)
    body = record.body if isinstance(record.body, str) else ""
    # gcornut's claude-code profile capitalizes tool names; the other one that uses these names does not
    capitalized = body.startswith("claude_code.") and record.scope.name.startswith("com.anthropic")
    context = record.trace_id.hex() if len(record.trace_id) == 16 else None
    event = _Record(
        record.attributes,
        session,
        time,
        record.observed or time,
        capitalized,
        context,
        record.scope.name == _START_OR_END,
    )
    return (_membership(event, name), *read(event))


_COMPLETIONS = frozenset({"tool_result", "api_request", "api_error"})


def _membership(e: _Record, name: str) -> AnyEvent:
    """Whether the session is a root or a child, and which trace context it has.

    Newer versions say so on every record, except after an error, when they no longer know. The Adsicmes fork writes a
    child's records in the trace of the turn that started it.
    """
    kind = e.text("agent.type", "query_source") if name not in ("api_error", "session.error") else None
    return SessionEvent(
        session=e.session,
        rank=REPORTED,
        root=kind in ("primary", "main"),
        subagent=kind == "subagent",
        project=e.text("project.id"),
        context=e.context,
    )


def _created(e: _Record) -> Iterator[AnyEvent]:
    title = e.text("session.title")
    child_title = _CHILD_TITLE.search(title or "")
    subagent = as_bool(e.attributes.get("is_subagent"))
    if subagent is None and title is not None:
        subagent = child_title is not None
    yield SessionEvent(
        session=e.session,
        time=e.time,
        root=subagent is False,
        subagent=subagent is True,
        created=e.time,
        title=title,
        label=name_digest(title) if child_title else None,
        agent=e.agent or (child_title[1] if child_title else None),
    )


def _prompt(e: _Record) -> Iterator[AnyEvent]:
    length = as_count(e.attributes.get("prompt_length"))
    provider, model = _model(e)
    yield NoteEvent(
        session=e.session,
        time=e.time,
        name="user_prompt",
        attributes=(("opencode.prompt.length", length),) if length is not None else (),
    )
    yield StateEvent(session=e.session, time=e.time, state="busy")
    yield SessionEvent(session=e.session, time=e.time, agent=e.agent, provider=provider, model=model)


def _model(e: _Record) -> tuple[str | None, str | None]:
    provider, model = e.text("provider", "model.provider"), e.text("model", "model.id")
    if model and provider is None and "/" in model:
        provider, _, model = model.partition("/")
    return provider, model


def _idle(e: _Record) -> Iterator[AnyEvent]:
    yield StateEvent(session=e.session, time=e.time, state="idle")


def _error(e: _Record) -> Iterator[AnyEvent]:
    message = e.text("error", "error.message")
    yield NoteEvent(
        session=e.session,
        time=e.time,
        name="session.error",
        attributes=(("error.type", error_class(message, "session_error")),),
        content=(("error.message", message, "error"),) if message else (),
    )


def error_class(message: str | None, otherwise: str) -> str:
    """The error class at the beginning of an error's text; `otherwise` where there is none."""
    found = _ERROR_NAME.match(message or "")
    return found[1] if found else otherwise


def _request(e: _Record) -> Iterator[AnyEvent]:
    start, end = e.interval()
    provider, model = _model(e)
    fresh = as_count(e.attributes.get("input_tokens"))
    read, written = (as_count(e.attributes.get(f"cache_{x}_tokens")) for x in ("read", "creation"))
    yield StateEvent(session=e.session, time=start, state="busy")
    yield RequestEvent(
        session=e.session,
        request=f"at:{start // MS}",
        rank=REPORTED,
        start=start if e.is_timed else None,
        end=end,
        agent=e.agent,
        provider=provider,
        model=model,
        input_tokens=total_input_tokens(fresh, read, written),
        output_tokens=as_count(e.attributes.get("output_tokens")),
        cache_read_tokens=read,
        cache_creation_tokens=written,
        reasoning_tokens=as_count(e.attributes.get("reasoning_tokens")),
        cost=as_cost(e.attributes.get("cost_usd")),
    )


def _failed_request(e: _Record) -> Iterator[AnyEvent]:
    start, end = e.interval()
    provider, model = _model(e)
    message = e.text("error", "error.message")
    yield RequestEvent(
        session=e.session,
        request=f"at:{start // MS}",
        rank=REPORTED,
        start=start,
        end=end,
        provider=provider,
        model=model,
        error_type=e.text("error.name") or error_class(message, "api_error"),
        error=message,
    )


def _tool(e: _Record) -> Iterator[AnyEvent]:
    start, end = e.interval()
    tool = e.text("tool_name") or "unknown"
    if e.capitalized:
        tool = tool[:1].lower() + tool[1:]
    error = e.text("error")
    succeeded = as_bool(e.attributes.get("success"))
    failed = succeeded is False
    arguments = from_json(e.attributes.get("tool_args"))
    child = child_in(error) if tool == "task" else None
    call = as_id(e.attributes.get("tool_use_id"))
    agent = as_text(arguments.get("subagent_type")) if tool == "task" else None
    skill = as_text(arguments.get("name")) if tool == "skill" else None
    description = as_text(arguments.get("description")) if tool == "task" else None
    title = f"{description} (@{agent} subagent)" if description and agent else None  # of the child session
    yield finished_call(
        e.session,
        call,
        rank=REPORTED,
        tool=tool,
        start=start,
        end=end,
        status="error" if failed else "completed",
        error=error,
        error_type=error_type(error) if failed else None,
        child=child,
        agent=agent,
        skill=skill,
        description=description,
        label=name_digest(title),
        context=e.context,
    )


_EVENTS: dict[str, Callable[[_Record], Iterator[AnyEvent]]] = {
    "session.created": _created,
    "user_prompt": _prompt,
    "session.idle": _idle,
    "session.error": _error,
    "api_request": _request,
    "api_error": _failed_request,
    "tool_result": _tool,
}
