"""The state of a session: what is known of it, merged (core/state/items.py says how). Nothing is decided and nothing is
rendered here.

An *activity* is a run without a pause longer than `BuilderSettings.joint`. It holds the facts that may change over a
session's life as registers whose rank is the negative time, so that the later one wins.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from receiver.core.state.items import Item, ItemKind, Registers, learn
from receiver.events import Plain

Remotes: TypeAlias = dict[str, tuple[int, int]]
MARKED = -1  # Session.news: the live marker was emitted


class CallHint(msgspec.Struct, gc=False, array_like=True):
    """A statement about a call that does not name it: see events.CallHintEvent."""

    tool: str
    start: int
    end: int
    agent: str = ""
    skill: str = ""
    tool_count: int | None = None


class SeriesValue(msgspec.Struct, gc=False, array_like=True):
    """A value of a series: see events.PointEvent. Of a sum or a gauge, seen from `first` to `last` (ns); of a delta,
    what was counted between them."""

    amount: float
    total: int = -1
    low: int = -1
    high: int = -1
    first: int = 0
    last: int = 0


class Series(msgspec.Struct, gc=False):
    """A metric series since one start, as far as its points are held: see core/counting/series.py."""

    what: str
    form: str
    source: str
    series: str
    start: int
    tool: str = ""
    status: str | None = None
    agent: str | None = None
    skill: str | None = None
    resource: str = ""
    readings: dict[str, SeriesValue] = {}


class Note(msgspec.Struct, gc=False):
    """A span event for the session's span. `arrival` is when its first record came (ns of the receiver's clock);
    `needs_idle` as in events.NoteEvent."""

    time: int
    name: str
    attributes: tuple[tuple[str, Plain], ...] = ()
    arrival: int = 0
    needs_idle: bool = False


class Activity(msgspec.Struct, gc=False):
    """A run of activity (ns, inclusive). `busy` and `idle` are when the session last said so in it, 0 for never;
    `answered` is when an answer last ended of an agent that never says idle, `called` when a call last ended. `work`
    distinguishes a turn from housekeeping (a new title, being archived)."""

    start: int
    end: int
    busy: int = 0
    idle: int = 0
    work: bool = False
    facts: Registers = {}
    answered: int = 0
    called: int = 0

    @property
    def says_idle(self) -> bool:
        """Whether the session said that it is idle, and no new turn began since."""
        return self.idle > 0 and self.idle >= self.busy


class Closed(msgspec.Struct, gc=False):
    """A segment whose session span was emitted. `limit` (ns) is the quiet that ended it: what came sooner is late."""

    number: int
    start: int
    end: int
    limit: int
    trace: bytes
    root_segment: int
    spans: int = 0


class Pin(msgspec.Struct, gc=False, array_like=True):
    """An open segment of which a span was emitted, of the session or of one below it: its number and its trace do not
    change any more, whatever arrives later. `start` (ns) is when it began, as far as was known then; `last` the latest
    beginning of an emitted span; `remote` the span of another program that is its parent, if any; `spans` how many were
    emitted, counted where each turn is a trace."""

    start: int
    last: int
    trace: bytes
    root_segment: int
    remote: bytes = b""
    spans: int = 0


class Session(msgspec.Struct, gc=False, rename={"activities": "stretches", "reports": "unnamed"}):  # the store's names
    """Everything known of a session that was not emitted. Of a root, `cuts` (ns) are where its trace rolled over,
    `spans` how many spans were emitted since, and `reach` (ns) the latest end of them. `idles` (ns) are when it said
    that it is idle, the last few; `contexts` the traces that its records were written in, by the earliest time (ns) of
    each, the first few; `remotes` the spans of other programs that were stated as its parent, each with its best rank
    and when it was first stated. `parts` are parts of calls, by the id of the call's span, until that call is known.
    `history` are calls copied from another session, with their ends (ns). `gone`: it closed without any span. `news` is
    when the first record of its open segment came (ns of the receiver's clock), 0 for not yet, MARKED once its live
    marker was emitted. Where each turn is a trace: `rests` (ns) are when it said that it is idle in what was not
    emitted, `changes` the facts that may change over its life, with their values by time (ns).
    `attempts` are when requests that no answer was joined to were accepted, with when they were sent; `answered` is the
    end of the last answer that was joined (ns)."""

    id: str
    producer: str = ""
    facts: Registers = {}
    activities: list[Activity] = []
    calls: dict[str, Item] = {}
    requests: dict[str, Item] = {}
    permissions: dict[str, Item] = {}
    reports: dict[str, Item] = {}
    hints: dict[str, CallHint] = {}
    parts: dict[str, Item] = {}
    series: dict[str, Series] = {}
    lines: dict[str, tuple[int, int, int]] = {}
    notes: dict[str, Note] = {}
    history: dict[str, int] = {}
    agents: dict[int, str] = {}
    idles: list[int] = []
    contexts: dict[str, int] = {}
    resources: dict[str, bytes] = {}
    closed: list[Closed] = []
    pins: dict[int, Pin] = {}
    remotes: Remotes = {}
    attempts: dict[int, int] = {}
    answered: int = 0
    rests: list[int] = []
    changes: dict[str, dict[int, Any]] = {}
    cuts: list[int] = []
    spans: int = 0
    reach: int = 0
    gone: bool = False
    arrival: int = 0
    wait: int = 0
    news: int = 0

    def items(self, kind: ItemKind) -> dict[str, Item]:
        """The pending items of one kind, by id."""
        if kind is ItemKind.CALL:
            return self.calls
        if kind is ItemKind.REQUEST:
            return self.requests
        if kind is ItemKind.PERMISSION:
            return self.permissions
        if kind is ItemKind.REPORT:
            return self.reports
        return {}

    def pending(self, kind: ItemKind, id_: str) -> Item:
        """A pending item, new if it had no record before."""
        items = self.items(kind)
        found = items.get(id_)
        if found is None:
            found = items[id_] = Item(id=id_, kind=kind)
        return found

    def is_resting(self, activity: Activity) -> bool:
        """Whether the session's turn was over when this activity ended: it said so, or its last answer had ended and no
        call was open."""
        if activity.says_idle:
            return True
        if not activity.answered or activity.answered < max(activity.busy, activity.called):
            return False
        return not any(c.start and not c.end and c.start <= activity.end for c in self.calls.values())

    def get(self, field: str) -> Any:
        """The believed value of a fact about the session's identity, or None."""
        fact = self.facts.get(field)
        return None if fact is None else fact[1]

    @property
    def parent(self) -> str | None:
        """The parent session's id, as far as it is known."""
        fact = self.facts.get("parent")
        return None if fact is None else str(fact[1])

    @property
    def shared_id(self) -> str:
        """The session id that the agent's telemetry has: a subagent may share its parent's."""
        return str(self.get("shared_session") or self.id)

    @property
    def agent_id(self) -> str:
        """The id of an agent that shares its parent's session id, '' for a session that has an id of its own."""
        return str(self.get("agent_id") or "")

    @property
    def is_stated_root(self) -> bool:
        """Whether a record states that it has no parent."""
        return bool(self.get("root")) and not (self.get("parent") or self.get("subagent"))


def has_open_content(session: Session) -> bool:
    """Whether anything of a session is still to be emitted."""
    if session.activities or session.calls or session.requests or session.permissions or session.reports:
        return True
    return bool(session.series or session.notes or session.pins) or not (session.closed or session.gone)


def merge_activity(activities: list[Activity], new: Activity, joint: int) -> None:
    """Add activity, joining every run that it touches within `joint` (ns). The list stays sorted."""
    touched = [s for s in activities if s.start - joint <= new.end and new.start - joint <= s.end]
    if not touched:
        at = next((i for i, s in enumerate(activities) if s.start > new.start), len(activities))
        activities.insert(at, new)
        return
    first = touched[0]
    for other in [*touched[1:], new]:
        first.start = min(first.start, other.start)
        first.end = max(first.end, other.end)
        first.busy = max(first.busy, other.busy)
        first.idle = max(first.idle, other.idle)
        first.answered = max(first.answered, other.answered)
        first.called = max(first.called, other.called)
        first.work = first.work or other.work
        for field, (rank, value) in other.facts.items():
            learn(first.facts, field, rank, value)
    for joined in touched[1:]:
        activities.remove(joined)
