"""opencode-plugin-otel and the plugins that share its events, also those that carry Claude Code's event names.

Completion events only: no call ids (but `tool_use_id` in one profile), no parent session ids. Times are the start in
one family and the end in another with the same scope name; how late the record was emitted tells which (FACTS 2).
What these plugins say of permissions is wrong (they read events that OpenCode no longer sends), so it is not read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from receiver.dialects.shared.fields import (
    MS,
    SLACK,
    Wanted,
    as_bool,
    as_cost,
    as_count,
    as_duration,
    as_id,
    as_known_id,
    as_number,
    as_text,
    event_name,
    first,
    from_json,
    label,
    record_time,
    with_cached,
)
from receiver.dialects.shared.tool_errors import child_in, error_type
from receiver.events import (
    REPORTED,
    AnyEvent,
    CallEvent,
    CallReportEvent,
    CopyEvent,
    Discarded,
    NoteEvent,
    RequestEvent,
    SessionEvent,
    StateEvent,
)
from receiver.model import Attributes, LogRecord, Value

FLUSH = 6_000 * MS  # logs and spans leave every 5 s, each by its own clock
SCOPES = ("com.opencode", "com.anthropic.claude_code")
_BOTH = "com.opencode"  # the scope whose completions are timed at the start by one plugin, at the end by another
_PREFIXES = ("opencode.", "claude_code.")
_CHILD_TITLE = re.compile(r" \(@(\S+) subagent\)$")
_ERROR_NAME = re.compile(r"^([A-Z][A-Za-z]*(?:Error|Exception))\b")


def agent_name(value: Value) -> str | None:
    """An agent's name, where the plugin knew it."""
    name = as_text(value)
    return None if name == "unknown" else name


@dataclass(frozen=True, slots=True)
class _Record:
    """One event: `time` (ns) as the record has it, `emitted` when it was written."""

    attributes: Attributes
    session: str
    time: int
    emitted: int
    capitalized: bool
    context: str | None
    may_be_start: bool

    def text(self, *names: str) -> str | None:
        """The first of several texts."""
        return as_text(first(self.attributes, *names))

    @property
    def agent(self) -> str | None:
        """The agent's name, where the plugin knew it."""
        return agent_name(first(self.attributes, "agent.name", "agent"))

    @property
    def is_timed(self) -> bool:
        """Whether it says how long it took: the plugin for OpenCode 2 does not, of its requests."""
        return as_number(self.attributes.get("duration_ms")) is not None

    def interval(self) -> tuple[int, int]:
        """Start and end (ns) of what was completed."""
        length = as_duration(self.attributes.get("duration_ms")) or 0
        lag = self.emitted - self.time
        if self.may_be_start and abs(lag - length) < abs(lag):
            return self.time, self.time + length
        return max(self.time - length, 1), self.time


def logs(record: LogRecord, wanted: Wanted) -> Sequence[AnyEvent] | None:
    """What an event tells; None if it is none of these plugins'."""
    if not record.scope.name.startswith(SCOPES):
        return None
    name = event_name(record) or (record.body if isinstance(record.body, str) else "")
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    read = _EVENTS.get(name)
    if read is None:
        return (Discarded(reason="not_of_the_tree"),)
    session = as_known_id(record.attributes.get("session.id"))
    if session is None:
        return (Discarded(reason="no_session"),)
    time = record_time(record)
    if time is None:
        return (Discarded(reason="no_time"),)
    if name in _COMPLETIONS and record.observed and record.time > record.observed + SLACK:
        return (CopyEvent(session=session),)  # a fork's replay: JavaScript turned its old times into future ones
    body = record.body if isinstance(record.body, str) else ""
    # gcornut's claude-code profile capitalizes tool names; the other one that uses these names does not
    capitalized = body.startswith("claude_code.") and record.scope.name.startswith("com.anthropic")
    context = record.trace_id.hex() if len(record.trace_id) == 16 else None
    told = _Record(
        record.attributes, session, time, record.observed or time, capitalized, context, record.scope.name == _BOTH
    )
    return (_membership(told, name), *read(told))


_COMPLETIONS = frozenset({"tool_result", "api_request", "api_error"})


def _membership(e: _Record, name: str) -> AnyEvent:
    """Newer versions say on every record whether its session is a root; after an error they no longer know. One fork
    writes a child's records in the trace of the turn that started it."""
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
        label=label(title) if child_title else None,
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
    """The class of an error that its text begins with."""
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
        input_tokens=with_cached(fresh, read, written),
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
    given = from_json(e.attributes.get("tool_args"))
    child = child_in(error) if tool == "task" else None
    call = as_id(e.attributes.get("tool_use_id"))
    agent = as_text(given.get("subagent_type")) if tool == "task" else None
    skill = as_text(given.get("name")) if tool == "skill" else None
    description = as_text(given.get("description")) if tool == "task" else None
    called = f"{description} (@{agent} subagent)" if description and agent else None
    kind = error_type(error) if failed else None
    if call is not None:
        yield CallEvent(
            session=e.session,
            call=call,
            rank=REPORTED,
            tool=tool,
            start=start,
            end=end,
            status="error" if failed else "completed",
            error=error,
            error_type=kind,
            child=child,
            agent=agent,
            skill=skill,
            description=description,
            label=label(called),
            context=e.context,
        )
        return
    yield CallReportEvent(
        session=e.session,
        rank=REPORTED,
        tool=tool,
        start=start,
        end=end,
        status="error" if failed else "completed",
        error=error,
        error_type=kind,
        child=child,
        agent=agent,
        skill=skill,
        description=description,
        label=label(called),
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
