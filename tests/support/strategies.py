"""Sessions that Hypothesis makes up.

`stories` are what a well-behaved agent does, told by a well-behaved producer: each comes with the truth, and with how
late each record arrives. `chaos` are events without sense: contradictory, absurd, incomplete.
Times are whole milliseconds, as OpenCode's are.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from receiver import events as ev
from receiver.core.apply_events import Source
from receiver.core.state.settings import MILLISECOND, SECOND
from receiver.events import AnyEvent
from receiver.model import Request
from tests.support.factories import (
    NOON,
    any_value,
    key_values,
    logs_request,
    metrics_request,
    remote,
    session_id,
    spans_request,
)

WAIT = 6 * SECOND  # what a producer that exports every 5 s is given

# chaos

_IDS = st.sampled_from(["ses_a", "ses_b", "ses_c", "ses_d", session_id(0, 1), session_id(100, 2), session_id(700, 3)])
_KEYS = st.sampled_from(["c1", "c2", "c3"])
_TOOLS = st.sampled_from(["task", "bash", "skill", "my_db_run"])
_AT = st.one_of(
    st.sampled_from([0, 1, 10, 50, 61, 100, 130, 200, 601, 700, 1400, 100_000]),
    st.integers(0, 3000),
).map(lambda s: NOON + s * SECOND)
_MAYBE_AT = st.none() | _AT
_RANKS = st.sampled_from([ev.EXACT, ev.REPORTED, ev.SPAN, ev.HOOK, ev.PARTIAL, ev.COUNTED, ev.GUESSED])
_STATUS = st.sampled_from([None, "completed", "error"])
_AGENTS = st.sampled_from([None, "build", "explore"])
_REMOTES = st.sampled_from([remote(1, 1), remote(1, 2), remote(2, 3)])
_PRODUCERS = st.sampled_from(["p1", "p2"])


def _sources(waits: tuple[int, ...] = (0, WAIT)) -> st.SearchStrategy[Source]:
    return st.builds(
        lambda p, wait: Source(p, p + "-key", b"", wait, 0),
        _PRODUCERS,
        st.sampled_from(waits),
    )


@st.composite
def _unnamed(draw: st.DrawFn) -> AnyEvent:
    start = draw(_AT)
    return ev.CallReportEvent(
        session=draw(_IDS),
        rank=ev.REPORTED,
        tool=draw(_TOOLS),
        start=start,
        end=start + draw(st.integers(0, 90)) * SECOND,
        status=draw(_STATUS),
        child=draw(st.none() | _IDS),
        agent=draw(_AGENTS),
    )


@st.composite
def _hinted(draw: st.DrawFn) -> AnyEvent:
    start = draw(_AT)
    return ev.CallHintEvent(
        session=draw(_IDS),
        tool=draw(_TOOLS),
        start=start,
        end=start + draw(st.integers(0, 90)) * SECOND,
        agent=draw(_AGENTS),
    )


@st.composite
def _counted(draw: st.DrawFn) -> AnyEvent:
    start = draw(_AT)
    time = start + draw(st.integers(0, 5000)) * MILLISECOND
    durations = [d * MILLISECOND for d in draw(st.lists(st.integers(0, 9_000), min_size=1, max_size=4))]
    timed = draw(st.booleans())
    return ev.PointEvent(
        session=draw(_IDS),
        what="calls",
        form="delta",
        source=draw(st.sampled_from(["executions", "duration"])),
        series=draw(st.sampled_from(["", "x"])),
        start=start,
        time=time,
        amount=float(len(durations)),
        total=sum(durations) if timed else -1,
        low=min(durations) if timed else -1,
        high=max(durations) if timed else -1,
        tool=draw(_TOOLS),
    )


@st.composite
def _point(draw: st.DrawFn) -> AnyEvent:
    time, numbers = draw(_AT), st.integers(0, 4)
    tool, what = (
        draw(_TOOLS),
        draw(st.sampled_from(["calls", "calls", "life", "begun", "output_tokens", "lines_added"])),
    )
    return ev.PointEvent(
        session=draw(_IDS),
        what=what,
        form="cumulative" if what == "calls" else draw(st.sampled_from(["cumulative", "delta", "gauge"])),
        source=draw(st.sampled_from(["duration", "usage"])),
        series=draw(st.sampled_from(["x", "y"])),
        start=draw(st.sampled_from([0, time - 5 * SECOND, NOON])),
        time=time,
        amount=float(draw(numbers)),
        total=draw(st.integers(-1, 9)) * SECOND,
        low=draw(numbers) * SECOND,
        high=draw(numbers) * SECOND,
        tool=tool,
        status=draw(_STATUS),
    )


@st.composite
def _lines(draw: st.DrawFn) -> AnyEvent:
    time, added = draw(_AT), draw(st.integers(0, 9))
    session, call = draw(_IDS), draw(st.none() | _KEYS)
    return ev.LinesEvent(session=session, key=f"{call}{time}{added}", time=time, added=added, call=call)


CHAOTIC_EVENTS: st.SearchStrategy[AnyEvent] = st.one_of(
    st.builds(
        ev.SessionEvent,
        session=_IDS,
        time=st.just(0) | _AT,
        rank=_RANKS,
        parent=st.none() | _IDS,
        root=st.booleans(),
        created=_MAYBE_AT,
        agent=_AGENTS,
        model=st.sampled_from([None, "m1", "m2"]),
    ),
    st.builds(ev.StateEvent, session=_IDS, time=_AT, state=st.sampled_from(["busy", "idle"])),
    st.builds(ev.StateEvent, session=_IDS, time=_AT, state=st.sampled_from(["busy", "idle"])),
    st.builds(ev.EndEvent, session=_IDS, time=_AT, reason=st.sampled_from(["deleted", "archived"])),
    st.builds(ev.ForkEvent, session=_IDS, origin=_IDS),
    st.builds(
        ev.NoteEvent,
        session=_IDS,
        time=_AT,
        name=st.sampled_from(["session.error", "user_prompt"]),
        key=st.sampled_from(["", "k"]),
        attributes=st.sampled_from([(), (("error.type", "x"),), (("error.type", 1),)]),
    ),
    *[
        st.builds(
            ev.CallEvent,
            session=_IDS,
            call=_KEYS,
            rank=_RANKS,
            start=_MAYBE_AT,
            end=_MAYBE_AT,
            tool=st.none() | _TOOLS,
            status=_STATUS,
            child=st.none() | _IDS,
            agent=_AGENTS,
        )
    ]
    * 3,
    _unnamed(),
    _hinted(),
    _counted(),
    _point(),
    _lines(),
    st.builds(
        ev.RequestEvent,
        session=_IDS,
        request=_KEYS,
        rank=_RANKS,
        start=_MAYBE_AT,
        end=_MAYBE_AT,
        model=st.sampled_from([None, "m1"]),
        input_tokens=st.sampled_from([None, 3]),
        error_type=st.sampled_from([None, "x"]),
    ),
    st.builds(
        ev.PermissionEvent,
        session=_IDS,
        permission=_KEYS,
        name=st.sampled_from([None, "edit"]),
        call=st.none() | _KEYS,
        asked=_MAYBE_AT,
        replied=_MAYBE_AT,
    ),
    st.builds(ev.RemoteParentEvent, session=_IDS, time=_AT, rank=_RANKS, remote=_REMOTES),
    st.builds(ev.ServerEvent, server=st.sampled_from(["my_db", "my"])),
)
CHAOTIC = st.tuples(_sources(), CHAOTIC_EVENTS)
CHAOS = st.lists(CHAOTIC, min_size=1, max_size=25)


# stories

SHORT = (0, 1, 50, 800, 5_000, 20_000)  # ms between two things of a turn
PAUSES = (0, 3_000, 20_000, 60_001, 61_000, 90_000, 300_000, 560_000, 601_000, 700_000, 5_000_000)  # between turns
LENGTHS = (0, 1, 30, 900, 4_000, 20_000)  # of a call or a request


@dataclass(frozen=True)
class Telling:
    """An event, when its producer tells it (ns, event time), and how much later it arrives (ns)."""

    at: int
    delay: int
    source: Source
    event: AnyEvent


class Story:
    """What was told, and the truth: which calls there were, and which of them (parent session, call) made a child."""

    def __init__(self) -> None:
        self.tellings: list[Telling] = []
        self.calls: set[tuple[str, str]] = set()
        self.makers: dict[str, set[tuple[str, str]]] = {}
        self.parents: dict[str, str] = {}

    def __repr__(self) -> str:
        return "\n".join(map(_in_short, sorted(self.tellings, key=lambda t: t.at)))

    def told(self) -> list[tuple[Source, AnyEvent]]:
        """The events as they are told."""
        return [(t.source, t.event) for t in sorted(self.tellings, key=lambda t: t.at)]

    def arrivals(self) -> list[tuple[int, Source, AnyEvent]]:
        """The events as they arrive: (ns, who, what)."""
        return [(t.at + t.delay, t.source, t.event) for t in sorted(self.tellings, key=lambda t: t.at + t.delay)]


def _in_short(telling: Telling) -> str:
    event = telling.event
    fields = {f: v for f in event.__struct_fields__ if (v := getattr(event, f)) not in (None, "", (), False, 0)}
    short = {f: (v - NOON) / SECOND if isinstance(v, int) and v >= NOON else v for f, v in fields.items()}
    told = " ".join(f"{f}={v}" for f, v in short.items())
    at = f"{(telling.at - NOON) / SECOND:.3f}+{telling.delay / SECOND:.1f}"
    return f"{at} {telling.source.producer} {type(event).__name__} {told}"


@dataclass(frozen=True)
class Manner:
    """How a producer tells. `live`: also of what is not finished (an event relay); otherwise only of what is, in
    batches (AI SDK spans and metrics). `opencode_ids`: session ids carry their creation."""

    live: bool
    opencode_ids: bool
    roots_stated: bool
    children_stated: bool
    calls_stated: bool
    source: Source


class _Teller:
    """Makes up one producer's sessions. Times are in ms after NOON."""

    def __init__(self, draw: st.DrawFn, story: Story, manner: Manner, name: str) -> None:
        self.draw, self.story, self.manner, self.name = draw, story, manner, name
        self.made = 0
        self.calls = 0
        self.background = False
        self.delays = (0, 1, 999) if manner.live else (0, 1_500, 4_999)

    def tell(self, at: int, event: AnyEvent) -> None:
        """One record, on its way."""
        delay = self.draw(st.sampled_from(self.delays)) * MILLISECOND
        self.story.tellings.append(Telling(NOON + at * MILLISECOND, delay, self.manner.source, event))

    def pick(self, *values: int) -> int:
        return self.draw(st.sampled_from(values))

    def chance(self, one_in: int) -> bool:
        return self.draw(st.integers(1, one_in)) == 1

    def begin(self, at: int, parent: str | None, agent: str | None) -> str:
        """A session is created."""
        self.made += 1
        number = self.made + (2_000 if self.name == "b" else 0)
        session = session_id(at / 1000, number) if self.manner.opencode_ids else f"{self.name}{self.made}"
        if parent is not None:
            self.story.parents[session] = parent
        stated = self.manner.children_stated if parent is not None else self.manner.roots_stated
        if self.chance(4):
            self.tell(
                at, ev.RemoteParentEvent(session=session, time=ns(at), rank=ev.EXACT, remote=remote(1, self.made))
            )
        if self.manner.live or stated:
            self.tell(
                at,
                ev.SessionEvent(
                    session=session,
                    time=ns(at),
                    parent=parent if stated else None,
                    root=parent is None and stated,
                    created=ns(at) if self.manner.live else None,
                    agent=agent,
                    model=self.draw(st.sampled_from([None, "m1"])),
                ),
            )
        return session

    def call(self, session: str, tool: str, start: int, end: int | None, **known: object) -> str:
        """A call, told live or when it is done; maybe also by a report without id and counted by a metric."""
        self.calls += 1
        call = str(known.pop("call", None) or f"call_{self.name}{self.calls}")
        self.story.calls.add((session, call))
        failed = end is not None and self.chance(6)
        child = known.pop("child", None) if self.manner.calls_stated else known.pop("child", None) and None
        told = ev.CallEvent(session=session, call=call, rank=ev.EXACT, tool=tool, **known)  # type: ignore[arg-type]
        if self.manner.live:
            self.tell(start, replace_event(told, rank=ev.PARTIAL, start=ns(start), child=child))
        if end is None:
            return call
        status = "error" if failed else "completed"
        done = replace_event(told, start=ns(start), end=ns(end), status=status, child=child)
        if self.manner.live:
            self.tell(end, done)
            if not failed and self.chance(3):
                self.tell(end, ev.CallEvent(session=session, call=call, rank=ev.HOOK, end=ns(end), tool=tool))
        else:
            self.tell(end, replace_event(done, rank=ev.SPAN))
            if not failed and tool != "task" and self.chance(3):
                self.reported(session, tool, start, end)
        if self.chance(4):
            key = f"{call}:lines"
            self.tell(end, ev.LinesEvent(session=session, key=key, time=ns(end), added=3, call=call))
        return call

    def reported(self, session: str, tool: str, start: int, end: int) -> None:
        """The same call by other signals of the producer."""
        if self.chance(2):
            self.tell(
                end,
                ev.CallReportEvent(
                    session=session, rank=ev.REPORTED, tool=tool, start=ns(start), end=ns(end), status="completed"
                ),
            )

    def request(self, session: str, start: int, end: int) -> None:
        """A request to a model."""
        self.calls += 1
        known = {"session": session, "request": f"msg_{self.name}{self.calls}", "model": "m1"}
        if self.manner.live:
            self.tell(start, ev.RequestEvent(rank=ev.PARTIAL, start=ns(start), **known))
        tokens = self.draw(st.sampled_from([None, 5]))
        error = "APIError" if self.chance(8) else None
        done = ev.RequestEvent(
            rank=ev.EXACT, start=ns(start), end=ns(end), input_tokens=tokens, cost=0.5, error_type=error, **known
        )
        self.tell(end, done)

    def turn(self, session: str, at: int, depth: int) -> int:
        """One turn of a session; returns when it was over."""
        if self.manner.live:
            self.tell(at, ev.StateEvent(session=session, time=ns(at), state="busy"))
            own = self.chance(2)
            note = ev.NoteEvent(session=session, time=ns(at), name="user_prompt", key=f"p{at}", needs_idle=own)
            self.tell(at, note)
        for _ in range(self.draw(st.integers(1, 3))):
            end = at + self.pick(*LENGTHS)
            self.request(session, at, end)
            at = end + self.pick(*SHORT[:4])
            at = self.step(session, at, depth)
        if self.chance(8):
            self.tell(at, ev.NoteEvent(session=session, time=ns(at), name="session.error"))
        if not self.chance(6):
            self.tell(at, ev.StateEvent(session=session, time=ns(at), state="idle"))
        return at

    def step(self, session: str, at: int, depth: int) -> int:
        """What a model asked for: nothing, calls, or tasks."""
        what = self.draw(st.sampled_from(["nothing", "call", "parallel", "permission", "task", "tasks", "skill"]))
        if what == "nothing":
            return at
        if what in ("task", "tasks") and depth > 0:
            return self.tasks(session, at, depth, 2 if what == "tasks" else 1)
        tool = "skill" if what == "skill" else self.draw(st.sampled_from(["bash", "read", "my_db_run_query"]))
        end = at + self.pick(*LENGTHS)
        if what == "permission" and self.manner.live:
            call = self.call(session, tool, at, end)
            self.permission(session, call, at, end)
            return end
        for _ in range(2 if what == "parallel" else 1):
            self.call(session, tool, at, end)
        return end

    def permission(self, session: str, call: str, at: int, end: int) -> None:
        """A call waits for a permission, from its start on."""
        permission = f"per_{call}"
        name = {"session": session, "permission": permission}
        self.tell(at, ev.PermissionEvent(asked=ns(at), call=call, name="edit", **name))
        if not self.chance(5):
            self.tell(end, ev.PermissionEvent(replied=ns(end), reply="once", **name))

    def tasks(self, session: str, at: int, depth: int, parallel: int) -> int:
        """Task calls, each with a child session; maybe resumed by a second call."""
        latest = at
        for _ in range(parallel):
            agent = self.draw(st.sampled_from(["explore", "general"]))
            start = at + self.pick(0, 0, 40)
            child = self.begin(start + self.pick(1, 20), session, agent)
            end = self.task(session, child, start, depth, agent)
            if self.manner.calls_stated and self.chance(4):  # times alone do not tell who was resumed
                again = end + self.pick(*SHORT, 70_000)
                end = self.task(session, child, again, depth, agent)
            latest = max(latest, end)
        return latest

    def task(self, session: str, child: str, start: int, depth: int, agent: str) -> int:
        """One task call from its start to shortly after its child's turn."""
        end = self.turn(child, start + 21, depth - 1) + self.pick(0, 3, 15)
        if self.background and self.chance(2):
            end = start + self.pick(30, 500)  # the call is over at once, and its session goes on
        call = self.call(session, "task", start, end, child=child, agent=agent)
        self.story.makers.setdefault(child, set()).add((session, call))
        return end


def ns(at: int) -> int:
    """Milliseconds after NOON, as nanoseconds since the epoch."""
    return NOON + at * MILLISECOND


def replace_event(event: AnyEvent, **changes: object) -> AnyEvent:
    """A copy of an event with other values."""
    return type(event)(**{f: changes.get(f, getattr(event, f)) for f in event.__struct_fields__})  # type: ignore[arg-type]


@st.composite
def stories(
    draw: st.DrawFn,
    *,
    live: bool | None = None,
    stated: bool | None = True,
    named: bool = False,
    pauses: tuple[int, ...] = PAUSES,
    background: bool = False,
) -> Story:
    """Some trees of sessions. `live`: only relays (True) or only batching producers (False). `stated`: whether every
    child is, by itself or by its call. `named`: whether every call names its child. `background`: whether
    tasks may be over long before their children."""
    story = Story()
    for number in range(draw(st.integers(1, 2))):
        name = "ab"[number]
        is_live = draw(st.booleans()) if live is None else live
        children = draw(st.booleans()) if stated is None or stated else False
        calls = (draw(st.booleans()) or (bool(stated) and not children)) if stated is None or stated else False
        calls = calls or named
        manner = Manner(
            live=is_live,
            opencode_ids=draw(st.booleans()),
            roots_stated=not calls or draw(st.booleans()),  # or else every session might be anyone's child
            children_stated=children,
            calls_stated=calls,
            source=Source(f"producer-{name}", f"key-{name}", b"", 0 if is_live else WAIT, 0),
        )
        teller = _Teller(draw, story, manner, name)
        teller.background = background
        for _ in range(draw(st.integers(1, 2))):
            at = draw(st.sampled_from([0, 7, 90_000]))
            root = teller.begin(at, None, "build")
            for turn in range(draw(st.integers(1, 3))):
                at = teller.turn(root, at + (1 if turn else 0), draw(st.integers(0, 2)))
                at += draw(st.sampled_from(pauses))
            if is_live and teller.chance(5):
                teller.tell(at, ev.EndEvent(session=root, time=ns(at), reason="deleted"))
    return story


# garbage: OTLP records whose fields are missing, empty, of another type, or absurd

_NAMES = st.sampled_from(
    [
        "session.created",
        "session.updated",
        "session.status",
        "session.idle",
        "session.error",
        "message.updated",
        "message.part.updated",
        "tool.execute.before",
        "tool.execute.after",
        "permission.asked",
        "permission.replied",
        "command.executed",
        "mcp.tools.changed",
        "tool_result",
        "api_request",
        "nothing.known",
        "",
    ]
)
_TIMES = st.sampled_from([0, 1, NOON, NOON + SECOND, 3_580_000_000 * SECOND, (1 << 63) + 5, (1 << 64) - 1])
_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, 1, -1, 1_760_000_000_000, (1 << 63) - 1, -(1 << 63)]),
    st.sampled_from([0.0, -1.5, 1.76e12, 1e308, float("nan"), float("inf")]),
    st.sampled_from(["", " ", "ses_a", "task", "1760000000000", "completed", "error", "running", "\x00", "é" * 40]),
    st.sampled_from(["x" * (1 << 20), "[" * 5000, '{"type": "agent_execution", "data": {"parent_session": "ses_a"}}']),
    st.binary(max_size=4),
)
_FIELD_NAMES = st.sampled_from(
    [
        "info",
        "part",
        "state",
        "time",
        "input",
        "metadata",
        "sessionID",
        "id",
        "parentID",
        "callID",
        "tool",
        "status",
        "type",
        "start",
        "end",
        "created",
        "completed",
        "sessionId",
        "tokens",
        "cache",
        "cost",
        "error",
        "data",
        "name",
        "message",
        "attempt",
        "timestamp",
        "parent_session",
        "child_session",
        "duration_ms",
        "session.id",
        "call.id",
        "tool.name",
        "event.name",
        "role",
        "permission",
    ]
)
_VALUES: st.SearchStrategy[object] = st.recursive(
    _LEAVES,
    lambda inner: st.dictionaries(_FIELD_NAMES, inner, max_size=5) | st.lists(inner, max_size=3),
    max_leaves=12,
)
ANY_TIMES, ANY_VALUES = _TIMES, _VALUES  # for a dialect's own garbage
_ATTRIBUTES = st.dictionaries(
    st.sampled_from(
        [
            "session.id",
            "sessionID",
            "call.id",
            "tool.name",
            "type",
            "event.name",
            "ai.toolCall.id",
            "ai.toolCall.name",
            "ai.toolCall.args",
            "ai.toolCall.result",
            "ai.telemetry.metadata.sessionId",
            "ai.usage.inputTokens",
            "server",
            "tool",
            "agent_type",
            "duration_ms",
            "success",
            "skill",
            "command",
            "tool_name",
            "tool_use_id",
        ]
    ),
    _VALUES,
    max_size=5,
)
_LOG_SCOPES = ("opencode.event-relay", "com.opencode", "com.anthropic.claude_code.events", "opencode")
_SPAN_SCOPES = ("ai", "com.anthropic.claude_code.tracing", "opencode", "")
_SPAN_NAMES = ("ai.toolCall", "ai.streamText", "ai.streamText.doStream", "claude_code.tool", "other", "")
_METRICS = st.sampled_from(
    [
        "opencode.tool.executions",
        "opencode.tool.duration",
        "opencode.tool.loc.added",
        "opencode.permission.requests",
        "opencode.command.executions",
        "opencode.skill.invocations",
        "opencode.mcp.tool.executions",
        "opencode.agent.spawns",
        "opencode.mcp.tools.refreshed",
        "opencode.agent.duration",
        "opencode.session.count",
        "acme.token.usage",
        "cost.usage",
        "opencode.lines_of_code.total",
        "other",
    ]
)


@st.composite
def garbage(draw: st.DrawFn) -> Request:
    """An Export request for which nothing holds but that it is OTLP."""
    kind = draw(st.sampled_from(["logs", "metrics", "traces"]))
    count = draw(st.integers(1, 4))
    if kind == "logs":
        return logs_request(
            *(_garbage_log(draw) for _ in range(count)),
            scope=draw(st.sampled_from([*_LOG_SCOPES, ""])),
        )
    if kind == "metrics":
        scope = draw(st.sampled_from(["opencode", "com.opencode"]))
        return metrics_request(*(_garbage_metric(draw) for _ in range(count)), scope=scope)
    return spans_request(
        *(_garbage_span(draw) for _ in range(count)),
        scope=draw(st.sampled_from(_SPAN_SCOPES)),
    )


def _garbage_log(draw: st.DrawFn) -> LogRecord:
    record = LogRecord(time_unix_nano=draw(_TIMES), observed_time_unix_nano=draw(_TIMES), event_name=draw(_NAMES))
    record.attributes.extend(key_values(draw(_ATTRIBUTES)))
    record.body.CopyFrom(any_value(draw(_VALUES)))
    return record


def _garbage_metric(draw: st.DrawFn) -> Metric:
    metric = Metric(name=draw(_METRICS))
    times = {"start_time_unix_nano": draw(_TIMES), "time_unix_nano": draw(_TIMES)}
    numbers = st.sampled_from([0.0, 1.0, 3.0, -2.0, 1e300, float("nan"), float("inf")])
    if draw(st.booleans()):
        metric.sum.aggregation_temporality = draw(st.sampled_from([0, 1, 2]))
        point = metric.sum.data_points.add(as_double=draw(numbers), **times)
    else:
        metric.histogram.aggregation_temporality = draw(st.sampled_from([0, 1, 2]))
        point = metric.histogram.data_points.add(
            count=draw(st.sampled_from([0, 1, 2, 3, 9, (1 << 64) - 1])),
            sum=draw(numbers),
            min=draw(numbers),
            max=draw(numbers),
            **times,
        )
    point.attributes.extend(key_values(draw(_ATTRIBUTES)))
    return metric


def _garbage_span(draw: st.DrawFn) -> Span:
    span = Span(
        trace_id=draw(st.binary(max_size=17)),
        span_id=draw(st.binary(max_size=9)),
        name=draw(st.sampled_from(_SPAN_NAMES)),
        start_time_unix_nano=draw(_TIMES),
        end_time_unix_nano=draw(_TIMES),
    )
    span.status.code = draw(st.sampled_from([0, 1, 2]))
    span.attributes.extend(key_values(draw(_ATTRIBUTES)))
    return span
