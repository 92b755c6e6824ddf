"""Applies events: each becomes facts of the session that it names, and of the sessions that it links to. Nothing is
emitted and nothing is decided here: what an event adds does not depend on the events before it.

Content that `capture_content` does not let through is dropped here, before it is state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from receiver.core.counting import series
from receiver.core.linking.attempts import add_attempt
from receiver.core.segmentation.turns import learn_idle
from receiver.core.state.forest import Forest
from receiver.core.state.forks import is_older
from receiver.core.state.ids import creation_time
from receiver.core.state.items import Item, ItemKind, learn, reported_call
from receiver.core.state.remote_parent import learn_remote
from receiver.core.state.session import MARKED, Activity, CallHint, Note, Session, merge_activity
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
    CallEvent,
    CallHintEvent,
    CallPartEvent,
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
    """The sender of a record, and when it arrived. `resource` is the producer's serialized Resource, `key` a short name
    for it; `wait` (ns) is how much later its other signals may state the same thing; `arrival` is in ns of the
    receiver's clock."""

    producer: str
    key: str
    resource: bytes
    wait: int
    arrival: int


MAX_IDLE_TIMES = MAX_CONTEXTS = 32  # kept of a session: to find where it was resumed, and who started it
_NOT_FACTS = {"session", "call", "request", "permission", "rank", "time", "root", "key"}
_SESSION_IDENTITY = (
    "parent",
    "created",
    "version",
    "project",
    "label",
    "shared_session",
    "agent_id",
    "background",
)
_DAY = 24 * 3600 * SECOND
_SESSION_CHANGING = ("title", "model", "provider", "directory")


def _fields(event_type: type[Any]) -> tuple[str, ...]:
    return tuple(f for f in event_type.__struct_fields__ if f not in _NOT_FACTS)


_FIELDS = {t: _fields(t) for t in (CallEvent, CallPartEvent, CallReportEvent, RequestEvent, PermissionEvent)}


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
        self._handlers: dict[type[Any], Callable[[Forest, Source, Any], str | None]] = {
            SessionEvent: self._session,
            ForkEvent: self._fork,
            CopyEvent: self._copy,
            StateEvent: self._state,
            EndEvent: self._ended,
            NoteEvent: self._note,
            CallEvent: self._call,
            CallPartEvent: self._part,
            ChildEvent: self._child,
            CallReportEvent: self._report,
            CallHintEvent: self._hint,
            PointEvent: self._point,
            LinesEvent: self._lines,
            RequestEvent: self._request,
            AttemptEvent: self._attempt,
            PermissionEvent: self._permission,
            RemoteParentEvent: self._remote_parent,
        }

    def __call__(self, forest: Forest, source: Source, event: AnyEvent) -> str | None:
        """Merge one event. Never raises. Returns the reason if the event added nothing."""
        if isinstance(event, ServerEvent):
            forest.servers.setdefault(source.producer, set()).add(event.server)
            return None
        if isinstance(event, Discarded):
            return event.reason
        handler = self._handlers.get(type(event))
        return handler(forest, source, event) if handler is not None else None

    # what every event does

    def _touch(self, forest: Forest, source: Source, session: str) -> Session:
        """The session that an event names."""
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
        """Add activity (ns). What lies in an emitted segment is known already, or comes too late to widen it."""
        if start <= 0 or end < start:
            return None
        if any(c.start <= start and end <= c.end for c in session.closed):
            return None
        if (created := creation_time(session.id, start)) is not None:
            learn(session.facts, "created", GUESSED, created)
        session.facts.pop("metered", None)  # no longer known by metrics alone
        activity = Activity(start=start, end=end, busy=busy, idle=idle, work=work, answered=answered, called=called)
        merge_activity(session.activities, activity, self._settings.joint)
        return activity

    def _session(self, forest: Forest, source: Source, event: SessionEvent) -> str | None:
        if event.rank == COUNTED and _is_known(forest.get(event.session), event):
            return "already_told"  # a metric repeats it at each collection: no sign of activity
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
                values = session.changes.setdefault(field, {})
                values[event.time] = max(values.get(event.time, value), value)
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
            session.idles = sorted({*session.idles, idle})[-MAX_IDLE_TIMES:]
            if self._settings.trace_mode == "turn":
                learn_idle(session, event.time)
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
        known = session.notes.get(key)
        if known is not None:
            note.arrival = known.arrival = min(source.arrival, known.arrival)
            note.needs_idle = known.needs_idle = note.needs_idle and known.needs_idle
        if known is None or _note_order(known) < _note_order(note):
            session.notes[key] = note
        if not event.key.startswith(COUNTED_NOTE):
            self._active(session, event.time, event.time)
        return None

    def _merge(self, source: Source, item: Item, event: Any) -> bool:
        """Merge what an event states about an item; True if any of it is new."""
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
            self._name_child(forest, source, event, event.child)
        if forest.is_emitted(event.session, ItemKind.CALL, event.call):
            return "already_left"
        item = session.pending(ItemKind.CALL, event.call)
        self._merge(source, item, event)
        if event.start:
            item.earliest = min(item.earliest or event.start, event.start)
            item.news = min(item.news or source.arrival, source.arrival)
        self._span_of_activity(session, event.start, event.end, called=event.end or 0)
        return None

    def _part(self, forest: Forest, source: Source, event: CallPartEvent) -> str | None:
        session = self._touch(forest, source, event.session)
        key = event.span or f"call:{event.call}"
        item = session.parts.setdefault(key, Item(id=key))
        self._merge(source, item, event)
        if event.call:
            learn(item.facts, "call", event.rank, event.call)
        return None

    def _report(self, forest: Forest, source: Source, event: CallReportEvent) -> str | None:
        session = self._touch(forest, source, event.session)
        if event.child:
            self._name_child(forest, source, event, event.child)
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

    def _name_child(self, forest: Forest, source: Source, event: CallEvent | CallReportEvent, child: str) -> None:
        """A call names the session that it started: a statement about that session too, if not the most reliable."""
        if not is_older(child, event.session, event.end or event.start or 0):
            forest.adopt(child, event.session, max(event.rank, EXACT + 1))
        self._mention(forest, source, child)

    def _mention(self, forest: Forest, source: Source, session: str) -> None:
        """A record names a session: it exists, and the sender may be all that is ever known of it."""
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

    def _point(self, forest: Forest, source: Source, event: PointEvent) -> str | None:
        """A cumulative series is sent again as long as its process lives: a repeated value is no sign of activity."""
        key = series.key_of(event, source.key)
        if series.is_counted(event, key, forest.emitted_of(event.session).series):
            return self._still_there(forest, source, event.session)
        session = forest.open(event.session)
        problem = series.add(session.series, key, event, source.key)
        if problem is None or problem == "too_many_series":
            self._touch(forest, source, event.session)
        forest.dirty.add(event.session)
        return problem

    def _still_there(self, forest: Forest, source: Source, session: str) -> str:
        """A closed session is purged in the end, but not while points of it still arrive."""
        found = forest.open(session)
        if source.arrival > found.arrival + _DAY:
            found.arrival = source.arrival
            forest.dirty.add(session)
        return "already_left"

    def _child(self, forest: Forest, _: Source, event: ChildEvent) -> str | None:
        """The link of a call to its child that spans state (core/state/span_lineage.py): as if the call's own record
        had named the child. The sender plays no part: it is either session's, whichever record came last."""
        near = creation_time(event.session, 1) or 0  # ids repeat every two years; which period it is does not matter
        if not is_older(event.child, event.session, near):
            forest.adopt(event.child, event.session, SPAN)
        session = forest.open(event.session)
        learn(forest.open(event.child).facts, "caller", SPAN, event.call)
        forest.dirty.update((event.session, event.child))
        if forest.is_emitted(event.session, ItemKind.CALL, event.call):
            return "already_left"
        learn(session.pending(ItemKind.CALL, event.call).facts, "child", SPAN, event.child)
        return None

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
    """Of too many the earliest are kept, so that the order of arrival does not matter."""
    session.contexts[context] = min(time, session.contexts.get(context, time))
    if len(session.contexts) > MAX_CONTEXTS:
        del session.contexts[max(session.contexts, key=lambda c: (session.contexts[c], c))]


def _is_known(session: Session | None, event: SessionEvent) -> bool:
    """Whether an event without a time states nothing new about a session."""
    if session is None or event.time:
        return False
    facts = dict(session.facts)
    identity = [("root", event.root), ("subagent", event.subagent), ("agent", event.agent)]
    news = [learn(facts, field, COUNTED, value) for field, value in identity if value]
    changing = [(field, getattr(event, field)) for field in _SESSION_CHANGING]
    return not any([*news, *(learn(facts, field, 0, value) for field, value in changing if value)])


def _note_order(note: Note) -> tuple[int, str]:
    return note.time, repr(note.attributes)
