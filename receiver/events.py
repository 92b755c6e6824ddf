"""Events: what an agent's telemetry can state, in OpenCode's own words. Dialects end here, the core starts here.

Every event names its session. Every time is in nanoseconds by the producer's clock. A field that a record does not
state is None and claims nothing. `rank` says how reliable the record is: where two records state the same fact, the
lower rank is believed, so that neither order nor repetition of records matters (core/state/items.py). Fields whose
names are in CONTENT hold what `capture_content` governs; the core drops them unless it lets them through.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

Plain: TypeAlias = str | bool | int | float

# How reliable a record is, best first.
EXACT = 0  # the agent's own record of a finished thing (a terminal part, a completed message)
REPORTED = 1  # a plugin's report of a finished thing, measured at its hooks
SPAN = 2  # an AI SDK span: begins before and ends after the thing itself (FACTS: -30..-1 and -10..+1 ms)
HOOK = 3  # a hook call seen by itself
PARTIAL = 4  # an update of a thing that is not finished; may be reset later (OpenCode 1.1 and 1.2)
COUNTED = 5  # read out of a metric point
GUESSED = 6  # read out of an id or a name
INFERRED = 7  # reconstructed from the times of other things

TASK = "task"  # the tool that starts a child session
AGENT_STARTERS = ("skill", "Workflow")  # tools that may start an agent which shares the session's id
HIDDEN = "redacted"  # the tool of a call whose producer does not name it: it may have been any
COUNTED_NOTE = "counted:"  # begins the key of a note from a metric: it gives way to the event of the same thing

# field name -> the word of `capture_content` that lets it through
CONTENT: dict[str, str] = {
    "title": "titles",
    "directory": "paths",
    "skill_source": "paths",
    "file_path": "paths",
    "error": "errors",
    "arguments": "arguments",
    "description": "arguments",
    "result": "results",
    "prompt": "prompts",
}


def agent_session(session: str, agent: str) -> str:
    """The id by which an agent that shares a session id is known here."""
    return f"{session}/{agent}"


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Something that a record states about `session`."""

    session: str


class SessionEvent(Event, frozen=True, kw_only=True, gc=False):
    """What a session is. `root=True` states that it has no parent, `subagent=True` that it has one, whoever that is;
    `time` is when this was so (0: always). `label` is a digest of the name that a session and the task that started it
    share, `context` the trace (in hexadecimal) that a record of it was written in.

    An agent that shares its parent's session id is a session of its own here, with an id made of both
    (`agent_session`): `shared_session` is the id that the agent's telemetry has, `agent_id` the agent's own.
    `background`: whether its call ends at once while it works on; known when it is done.
    """

    time: int = 0
    rank: int = EXACT
    parent: str | None = None
    root: bool = False
    subagent: bool = False
    created: int | None = None
    title: str | None = None
    agent: str | None = None
    model: str | None = None
    provider: str | None = None
    version: str | None = None
    project: str | None = None
    directory: str | None = None
    label: str | None = None
    context: str | None = None
    shared_session: str | None = None
    agent_id: str | None = None
    background: bool | None = None


class ForkEvent(Event, frozen=True, kw_only=True, gc=False):
    """The session began as a copy of another one's history."""

    origin: str


class CopyEvent(Event, frozen=True, kw_only=True, gc=False):
    """The session repeated something that happened in the one that it was forked from, at an unknown time."""


class StateEvent(Event, frozen=True, kw_only=True, gc=False):
    """The session began to work (`busy`), or reported that its turn is over (`idle`).

    `answered` is for agents that never report it: the model's answer ended (or failed). The turn is over if nothing
    begins and no call ends after it, and no call is open."""

    time: int
    state: Literal["busy", "idle", "answered"]


class EndEvent(Event, frozen=True, kw_only=True, gc=False):
    """The session was deleted or archived: nothing more can happen in it."""

    time: int
    reason: Literal["deleted", "archived"]


class NoteEvent(Event, frozen=True, kw_only=True, gc=False):
    """A span event for the session's span. `name` is one of semconv.NOTES; `key` distinguishes two of them.

    `needs_idle`: a prompt that may be the agent's own, in the middle of a turn; the user's come when it is idle.
    `content` holds (attribute, value, field of CONTENT) where an attribute is content.
    """

    time: int
    name: str
    key: str = ""
    attributes: tuple[tuple[str, Plain], ...] = ()
    needs_idle: bool = False
    content: tuple[tuple[str, Plain, str], ...] = ()


class CallEvent(Event, frozen=True, kw_only=True, gc=False):
    """A tool call, known by the id that the model gave it. `child` is the session that a task call started; `label` and
    `context` are as in SessionEvent; `span` is the id of the agent's own span of it (trace id and span id, in
    hexadecimal). `ends_with_turn`: it cannot outlast the session's next prompt, should its end never be told.
    `mcp=False` states that the tool is not of an MCP server, whatever its name looks like."""

    call: str
    rank: int
    start: int | None = None
    end: int | None = None
    tool: str | None = None
    status: Literal["completed", "error"] | None = None
    error_type: str | None = None
    error: str | None = None
    child: str | None = None
    agent: str | None = None
    background: bool | None = None
    tool_count: int | None = None
    skill: str | None = None
    skill_source: str | None = None
    mcp_server: str | None = None
    mcp_tool: str | None = None
    mcp: bool | None = None
    permission_name: str | None = None
    permission_reply: str | None = None
    file_path: str | None = None
    description: str | None = None
    arguments: str | None = None
    result: str | None = None
    label: str | None = None
    context: str | None = None
    span: str | None = None
    ends_with_turn: bool | None = None


class CallPartEvent(Event, frozen=True, kw_only=True, gc=False):
    """A part of a call that does not say which agent made it: its execution, or the wait for its permission (`asked`,
    `replied`, `reply`). It names the call by `span`, the id of the call's span (CallEvent.span), or by its id.
    `session` is the shared session."""

    rank: int
    span: str = ""
    call: str = ""
    start: int | None = None
    end: int | None = None
    status: Literal["completed", "error"] | None = None
    error_type: str | None = None
    error: str | None = None
    asked: int | None = None
    replied: int | None = None
    reply: str | None = None


class ChildEvent(Event, frozen=True, kw_only=True, gc=False):
    """The agent's spans show which session a task call started. Call and child have records of their own."""

    call: str
    child: str


class CallReportEvent(Event, frozen=True, kw_only=True, gc=False):
    """A finished tool call that was reported without its id. The facts that identify it stand in for the id."""

    rank: int
    tool: str
    start: int
    end: int
    status: Literal["completed", "error"] | None = None
    child: str | None = None
    agent: str | None = None
    tool_count: int | None = None
    skill: str | None = None
    skill_source: str | None = None
    mcp_server: str | None = None
    mcp_tool: str | None = None
    description: str | None = None
    error_type: str | None = None
    error: str | None = None
    label: str | None = None
    context: str | None = None


class CallHintEvent(Event, frozen=True, kw_only=True, gc=False):
    """A statement about a finished call that does not name it. It adds to a call that has another record, and is no
    call by itself."""

    tool: str
    start: int
    end: int
    agent: str | None = None
    skill: str | None = None
    tool_count: int | None = None


class PointEvent(Event, frozen=True, kw_only=True, gc=False):
    """A point of a metric series of the session. Only its neighbours give it a meaning (core/counting/series.py).

    `what` is "calls" (finished calls of `tool`), one of TOTALS, "begun" (subtasks that began), or "life": the point
    only shows that the session was alive. `amount` is the number; for calls, `total`, `low` and `high` (ns) are the
    sum and the extremes of their durations, -1 where the point has none.

    A cumulative point counts since `start`, when the first of it was counted (0: not known). A delta counts in
    (start, time]; its `start` is when the first of it was counted, or, if the series was in the export before, the time
    of that export. A gauge says what is so at `time`.

    `source` names the instrument: two instruments that count the same calls are not added up. `series` identifies
    instrument and attributes. An instrument that also counts failed calls says with `status` which these are.
    """

    what: str
    form: Literal["cumulative", "delta", "gauge"]
    source: str
    series: str
    start: int
    time: int
    amount: float
    total: int = -1
    low: int = -1
    high: int = -1
    tool: str = ""
    status: Literal["completed", "error"] | None = None
    agent: str | None = None
    skill: str | None = None


TOTALS = (
    "fresh_tokens",  # input that no cache held
    "cache_read_tokens",
    "cache_creation_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost",
    "lines_added",
    "lines_removed",
)


class LinesEvent(Event, frozen=True, kw_only=True, gc=False):
    """Lines that a call (or, without one, the session) added or removed. `key` identifies the metric point."""

    key: str
    time: int
    added: int = 0
    removed: int = 0
    call: str | None = None


class RequestEvent(Event, frozen=True, kw_only=True, gc=False):
    """A request to a model, known by `request` (message id or span id). Tokens count as the provider bills them."""

    request: str
    rank: int
    start: int | None = None
    end: int | None = None
    agent: str | None = None
    provider: str | None = None
    model: str | None = None
    response_model: str | None = None
    response_id: str | None = None
    finish: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_creation_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost: float | None = None
    error_type: str | None = None
    error: str | None = None


class AttemptEvent(Event, frozen=True, kw_only=True, gc=False):
    """A request to a model was sent and accepted, of an agent whose requests are one after another: of which one, only
    the order tells (core/linking/attempts.py)."""

    start: int
    end: int


class PermissionEvent(Event, frozen=True, kw_only=True, gc=False):
    """A permission request, and how it was answered."""

    permission: str
    rank: int = EXACT
    name: str | None = None
    call: str | None = None
    asked: int | None = None
    replied: int | None = None
    reply: str | None = None


class RemoteParentEvent(Event, frozen=True, kw_only=True, gc=False):
    """Another program's span stands above the session: `remote` is its trace id and span id in hexadecimal, with a dash
    between them. `time` is when this was stated."""

    time: int
    rank: int
    remote: str


class ServerEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A producer's MCP server, by the name that its configuration gives it. The only event without a session."""

    server: str
    time: int = 0


class LineageEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A span of the agent's own that may lie between a task call and what its child did: the span above it, and for
    which session it, or a record that was written in it, was made; `call` where it is the task call itself. It is no
    item of a tree and is handed on. Spans go by their trace's id and their own."""

    span: bytes
    parent: bytes = b""
    session: str = ""
    call: str = ""


class Discarded(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A record, or a part of one, that states nothing about a tree. `reason` is one of semconv.DISCARDS."""

    reason: str
    items: int = 1


AnyEvent: TypeAlias = (
    SessionEvent
    | ForkEvent
    | CopyEvent
    | StateEvent
    | EndEvent
    | NoteEvent
    | CallEvent
    | CallPartEvent
    | ChildEvent
    | CallReportEvent
    | CallHintEvent
    | PointEvent
    | LinesEvent
    | RequestEvent
    | AttemptEvent
    | PermissionEvent
    | RemoteParentEvent
    | ServerEvent
    | LineageEvent
    | Discarded
)
