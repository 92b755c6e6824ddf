"""Take: each event becomes facts of the session that it names (and of the sessions that it links to). Nothing leaves
here and nothing is decided: what an event adds does not depend on what was taken before it.

Content that nobody asked for ends here, before it is state.

A task call's child, once spans state it (core/state/span_lineage.py): the call's register and the child's parent, as if
the call's own record had named it. Who told plays no part: it is a span or a line of either session, whichever came
last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from receiver.core.counting import series
from receiver.core.counting.call_counts import MOST_POINTS
from receiver.core.linking.attempts import add_attempt
from receiver.core.segmentation.turns import learn_rest
from receiver.core.state.forest import Forest
from receiver.core.state.forks import is_older
from receiver.core.state.ids import creation_time
from receiver.core.state.items import Item, ItemKind, learn, reported_call
from receiver.core.state.remote_parent import learn_remote
from receiver.core.state.session import MARKED, Activity, CallHint, CountedPoint, Note, Session, merge_activity
from receiver.core.state.settings import SECOND, BuilderSettings
from receiver.events import (
    CONTENT,
    COUNTED,
    COUNTED_NOTE,
    EXACT,
    GUESSED,
    SPAN,
    AnyEvent,
    AttemptEvent,
    CallCountEvent,
    CallEvent,
    CallHintEvent,
    CallReportEvent,
    ChildEvent,
    CopyEvent,
    Discarded,
    EndEvent,
    ForkEvent,
    LinesEvent,
    NoteEvent,
    PermissionEvent,
    PointEvent,
    RemoteParentEvent,
    RequestEvent,
    ServerEvent,
    SessionEvent,
    StateEvent,
)


@dataclass(frozen=True, slots=True)
class Source:
    """Who told, and when it arrived. `resource` is the producer's serialized Resource, `key` a short name for it;
    `wait` (ns) is how much later its other signals may tell of the same thing; `arrival` (ns) the receiver's clock."""

    producer: str
    key: str
    resource: bytes
    wait: int
    arrival: int


KEPT = 32  # idle times and trace contexts of a session: for where it was taken up again, and who started it
_NOT_FACTS = {"session", "call", "request", "permission", "rank", "time", "root", "key"}
_SESSION_IDENTITY = ("parent", "created", "version", "project", "label")
_DAY = 24 * 3600 * SECOND
_SESSION_CHANGING = ("title", "model", "provider", "directory")


def _fields(event_type: type[Any]) -> tuple[str, ...]:
    return tuple(f for f in event_type.__struct_fields__ if f not in _NOT_FACTS)


_FIELDS = {t: _fields(t) for t in (CallEvent, CallReportEvent, RequestEvent, PermissionEvent)}


def mentioned(event: AnyEvent) -> tuple[str, ...]:
    """The sessions whose facts an event can change."""
    if isinstance(event, (CallEvent, ChildEvent, CallReportEvent)) and event.child:
        return (event.session, event.child)
    if isinstance(event, SessionEvent) and event.parent:
        return (event.session, event.parent)
    session = getattr(event, "session", "")
    return (session,) if session else ()


class EventApplier:
    """Merges events into a forest."""

    def __init__(self, settings: BuilderSettings) -> None:
        self._settings = settings
        self._dropped = frozenset(f for f, word in CONTENT.items() if word not in settings.capture_content)
        self._kept = {t: tuple(f for f in fields if f not in self._dropped) for t, fields in _FIELDS.items()}
        self._take: dict[type[Any], Callable[[Forest, Source, Any], str | None]] = {
            SessionEvent: self._session,
            ForkEvent: self._fork,
            CopyEvent: self._copy,
            StateEvent: self._state,
            EndEvent: self._ended,
            NoteEvent: self._note,
            CallEvent: self._call,
            ChildEvent: take_started,
            CallReportEvent: self._unnamed,
            CallHintEvent: self._hint,
            CallCountEvent: self._counted,
            PointEvent: self._point,
            LinesEvent: self._lines,
            RequestEvent: self._request,
            AttemptEvent: self._attempt,
            PermissionEvent: self._permission,
            RemoteParentEvent: self._remote_parent,
        }

    def __call__(self, forest: Forest, source: Source, event: AnyEvent) -> str | None:
        """Merge one event. Total: every event has an outcome, none raises. Returns why an event added nothing."""
        if isinstance(event, ServerEvent):
            forest.servers.setdefault(source.producer, set()).add(event.server)
            return None
        if isinstance(event, Discarded):
            return event.reason
        take = self._take.get(type(event))
        return take(forest, source, event) if take is not None else None

    def _touch(self, forest: Forest, source: Source, session: str) -> Session:
        self._mention(forest, source, session)
        return forest.open(session)

    def _active(
        self,
        session: Session,
        start: int,
        end: int,
        busy: int = 0,
        idle: int = 0,
        work: bool = True,
        answered: int = 0,
        called: int = 0,
    ) -> Activity | None:
        """Note activity (ns). What lies in a segment that has left is known already, or comes too late to widen it."""
        if start <= 0 or end < start:
            return None
        if any(c.start <= start and end <= c.end for c in session.closed):
            return None
        if (created := creation_time(session.id, start)) is not None:
            learn(session.facts, "created", GUESSED, created)
        session.facts.pop("metered", None)  # from now on more than metrics tell of it
        activity = Activity(start=start, end=end, busy=busy, idle=idle, work=work, answered=answered, called=called)
        merge_activity(session.activities, activity, self._settings.joint)
        return activity

    def _session(self, forest: Forest, source: Source, event: SessionEvent) -> str | None:
        if event.rank == COUNTED and _says_nothing_new(forest.get(event.session), event):
            return "already_told"  # a metric says it at each collection: no sign of life
        session = self._touch(forest, source, event.session)
        if event.root:
            learn(session.facts, "root", event.rank, True)
        if event.subagent:
            learn(session.facts, "subagent", event.rank, True)
        if event.context:
            _keep_context(session, event.context, event.time)
        for field in _SESSION_IDENTITY:
            value = getattr(event, field)
            if value is None:
                continue
            if field == "parent":
                forest.adopt(event.session, value, event.rank)
                self._mention(forest, source, value)
            else:
                learn(session.facts, field, event.rank, value)
        if event.agent and event.time:
            session.agents[event.time] = max(session.agents.get(event.time, ""), event.agent)
        elif event.agent:
            learn(session.facts, "agent", event.rank, event.agent)
        changing = {f: (-event.time, v) for f in _SESSION_CHANGING if (v := getattr(event, f)) is not None}
        kept = {f: fact for f, fact in changing.items() if f not in self._dropped}
        if self._settings.trace_mode == "turn":
            for field, (_, value) in kept.items():
                told = session.changes.setdefault(field, {})
                told[event.time] = max(told.get(event.time, value), value)
        if event.time:
            session.facts.pop("metered", None)
            activity = Activity(start=event.time, end=event.time, facts=kept)
            if not any(c.start <= event.time <= c.end for c in session.closed):
                merge_activity(session.activities, activity, self._settings.joint)
                if (created := creation_time(session.id, event.time)) is not None:
                    learn(session.facts, "created", GUESSED, created)
        for field, (rank, value) in kept.items():
            learn(session.facts, field, rank, value)
        return None

    def _fork(self, forest: Forest, source: Source, event: ForkEvent) -> str | None:
        learn(self._touch(forest, source, event.session).facts, "origin", EXACT, event.origin)
        return None

    def _copy(self, forest: Forest, source: Source, event: CopyEvent) -> str | None:
        learn(self._touch(forest, source, event.session).facts, "copies", EXACT, True)
        return "history"

    def _state(self, forest: Forest, source: Source, event: StateEvent) -> str | None:
        session = self._touch(forest, source, event.session)
        if event.state == "answered":
            answered = event.time if self._settings.infer else 0
            self._active(session, event.time, event.time, answered=answered)
            return None
        busy, idle = (event.time, 0) if event.state == "busy" else (0, event.time)
        if self._active(session, event.time, event.time, busy, idle, work=bool(busy)) and idle:
            session.idles = sorted({*session.idles, idle})[-KEPT:]
            if self._settings.trace_mode == "turn":
                learn_rest(session, event.time)
        return None

    def _ended(self, forest: Forest, source: Source, event: EndEvent) -> str | None:
        session = self._touch(forest, source, event.session)
        learn(session.facts, "ended", -event.time, event.reason)
        self._active(session, event.time, event.time, work=False)
        return None

    def _note(self, forest: Forest, source: Source, event: NoteEvent) -> str | None:
        session = self._touch(forest, source, event.session)
        content = tuple((name, value) for name, value, field in event.content if field not in self._dropped)
        note = Note(event.time, event.name, event.attributes + content, source.arrival, event.needs_idle)
        if any(c.start <= event.time <= c.end for c in session.closed):
            return "already_left"
        key = f"{event.name}:{event.key or event.time}"
        held = session.notes.get(key)
        if held is not None:
            note.arrival = held.arrival = min(source.arrival, held.arrival)
            note.needs_idle = held.needs_idle = note.needs_idle and held.needs_idle
        if held is None or _note_order(held) < _note_order(note):
            session.notes[key] = note
        if not event.key.startswith(COUNTED_NOTE):
            self._active(session, event.time, event.time)
        return None

    def _merge(self, source: Source, item: Item, event: Any) -> bool:
        """Merge what an event says of an item; True if any of it is news."""
        item.arrival = max(item.arrival, source.arrival)
        item.wait = max(item.wait, source.wait)
        news = False
        for field in self._kept[type(event)]:
            value = getattr(event, field)
            if value is not None:
                news = learn(item.facts, field, event.rank, value) or news
        return learn(item.facts, "resource", event.rank, source.key) or news

    def _call(self, forest: Forest, source: Source, event: CallEvent) -> str | None:
        session = self._touch(forest, source, event.session)
        if event.child:
            self._child(forest, source, event, event.child)
        if forest.is_emitted(event.session, ItemKind.CALL, event.call):
            return "already_left"
        item = session.pending(ItemKind.CALL, event.call)
        self._merge(source, item, event)
        if event.start:
            item.earliest = min(item.earliest or event.start, event.start)
            item.news = min(item.news or source.arrival, source.arrival)
        self._span_of_activity(session, event.start, event.end, called=event.end or 0)
        return None

    def _unnamed(self, forest: Forest, source: Source, event: CallReportEvent) -> str | None:
        session = self._touch(forest, source, event.session)
        if event.child:
            self._child(forest, source, event, event.child)
        key = f"{event.tool}@{event.start}+{event.end - event.start}:{event.child or ''}"
        self._span_of_activity(session, event.start, event.end, called=event.end)
        if forest.is_emitted(event.session, ItemKind.CALL, reported_call(key)):
            return "already_told"
        news = self._merge(source, session.pending(ItemKind.REPORT, key), event)
        return None if news else "already_told"

    def _hint(self, forest: Forest, source: Source, event: CallHintEvent) -> str | None:
        session = self._touch(forest, source, event.session)
        self._span_of_activity(session, event.start, event.end)
        hint = CallHint(event.tool, event.start, event.end, event.agent or "", event.skill or "", event.tool_count)
        key = repr(hint)
        if key in session.hints:
            return "already_told"
        session.hints[key] = hint
        return None

    def _child(self, forest: Forest, source: Source, event: CallEvent | CallReportEvent, child: str) -> None:
        """A call names the session that it started: a statement about that session, if not the best one."""
        if not is_older(child, event.session, event.end or event.start or 0):
            forest.adopt(child, event.session, max(event.rank, EXACT + 1))
        self._mention(forest, source, child)

    def _mention(self, forest: Forest, source: Source, session: str) -> None:
        """Another session's record names this one: it exists, and who told may be all that is ever known of it."""
        at = forest.open(session)
        at.arrival = max(at.arrival, source.arrival)
        at.wait = max(at.wait, source.wait)
        if at.news != MARKED:
            at.news = min(at.news or source.arrival, source.arrival)
        at.producer = min(at.producer, source.producer) if at.producer else source.producer
        at.resources.setdefault(source.key, source.resource)
        forest.dirty.add(session)

    def _span_of_activity(self, session: Session, start: int | None, end: int | None, called: int = 0) -> None:
        if start:
            self._active(session, start, max(start, end or 0), busy=start, called=called)
        elif end:
            self._active(session, end, end, called=called)

    def _counted(self, forest: Forest, source: Source, event: CallCountEvent) -> str | None:
        session = self._touch(forest, source, event.session)
        if forest.is_emitted(event.session, ItemKind.SERIES, event.key):
            return "already_left"
        session.counted[event.key] = CountedPoint(
            source=event.source,
            tool=event.tool,
            count=event.count,
            time=event.time,
            start=event.start,
            durations=event.durations,
            rest=event.rest,
            agent=event.agent,
            skill=event.skill,
            resource=source.key,
            series=event.series,
            status=event.status,
        )
        if len(session.counted) > 2 * MOST_POINTS:
            session.counted = dict(sorted(session.counted.items(), key=lambda kv: (kv[1].time, kv[0]))[:MOST_POINTS])
        return None if event.key in session.counted else "too_many_series"

    def _point(self, forest: Forest, source: Source, event: PointEvent) -> str | None:
        """A cumulative series is sent again as long as its process lives: what is no news is no sign of life either."""
        key = series.key_of(event, source.key)
        emitted = forest.emitted_of(event.session).series.get(key)
        if emitted is not None and series.is_told(event, emitted):
            return self._still_there(forest, source, event.session)
        session = forest.open(event.session)
        problem = series.add(session.series, key, event, source.key)
        if problem is None or problem == "too_many_series":
            self._touch(forest, source, event.session)
        forest.dirty.add(event.session)
        return problem

    def _still_there(self, forest: Forest, source: Source, session: str) -> str:
        """A closed session is forgotten in the end, but not while points of it still come."""
        held = forest.open(session)
        if source.arrival > held.arrival + _DAY:
            held.arrival = source.arrival
            forest.dirty.add(session)
        return "already_left"

    def _lines(self, forest: Forest, source: Source, event: LinesEvent) -> str | None:
        session = self._touch(forest, source, event.session)
        session.lines[event.key] = (event.time, event.added, event.removed)
        if event.call and not forest.is_emitted(event.session, ItemKind.CALL, event.call):
            call = session.pending(ItemKind.CALL, event.call)
            call.lines[event.key] = (event.added, event.removed)
            call.arrival = max(call.arrival, source.arrival)
        return None

    def _request(self, forest: Forest, source: Source, event: RequestEvent) -> str | None:
        session = self._touch(forest, source, event.session)
        if forest.is_emitted(event.session, ItemKind.REQUEST, event.request):
            return "already_left"
        self._merge(source, session.pending(ItemKind.REQUEST, event.request), event)
        self._span_of_activity(session, event.start, event.end)
        return None

    def _attempt(self, forest: Forest, source: Source, event: AttemptEvent) -> str | None:
        session = self._touch(forest, source, event.session)
        add_attempt(session, event.start, event.end)
        self._span_of_activity(session, event.start, event.end)
        return None

    def _permission(self, forest: Forest, source: Source, event: PermissionEvent) -> str | None:
        session = self._touch(forest, source, event.session)
        if forest.is_emitted(event.session, ItemKind.PERMISSION, event.permission):
            return "already_left"
        item = session.pending(ItemKind.PERMISSION, event.permission)
        self._merge(source, item, event)
        if event.call is not None:
            learn(item.facts, "call", event.rank, event.call)
        for at in (event.asked, event.replied):
            if at:
                self._active(session, at, at)
        return None

    def _remote_parent(self, forest: Forest, source: Source, event: RemoteParentEvent) -> str | None:
        learn_remote(self._touch(forest, source, event.session).remotes, event.remote, event.rank, event.time)
        return None


def _keep_context(session: Session, context: str, time: int) -> None:
    """Of many the earliest, so that it does not matter which were told first."""
    session.contexts[context] = min(time, session.contexts.get(context, time))
    if len(session.contexts) > KEPT:
        del session.contexts[max(session.contexts, key=lambda c: (session.contexts[c], c))]


def _says_nothing_new(session: Session | None, event: SessionEvent) -> bool:
    if session is None or event.time:
        return False
    facts = dict(session.facts)
    told = [("root", event.root), ("subagent", event.subagent), ("agent", event.agent)]
    news = [learn(facts, field, COUNTED, value) for field, value in told if value]
    changing = [(field, getattr(event, field)) for field in _SESSION_CHANGING]
    return not any([*news, *(learn(facts, field, 0, value) for field, value in changing if value)])


def _note_order(note: Note) -> tuple[int, str]:
    return note.time, repr(note.attributes)


def take_started(forest: Forest, _: object, event: ChildEvent) -> str | None:
    """Merge one link. Returns why it added nothing."""
    near = creation_time(event.session, 1) or 0  # ids repeat every two years; which ones are meant plays no part here
    if not is_older(event.child, event.session, near):
        forest.adopt(event.child, event.session, SPAN)
    session = forest.open(event.session)
    forest.dirty.update((event.session, event.child))
    if forest.is_emitted(event.session, ItemKind.CALL, event.call):
        return "already_left"
    learn(session.pending(ItemKind.CALL, event.call).facts, "child", SPAN, event.child)
    return None
