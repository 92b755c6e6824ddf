"""The sessions in memory, between the store and the core: loads the sessions that a step needs, and lists what a step
changed. A bounded number of sessions stays in memory; the store has all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from receiver.core.apply_events import Source
from receiver.core.builder import Builder
from receiver.core.linking.unplaced_sessions import has_free_task, undecided
from receiver.core.state.forest import Forest
from receiver.core.state.items import ItemKey, ItemKind
from receiver.core.state.session import Session, has_open_content
from receiver.core.state.span_lineage import MAX_SPANS_BELOW_CALL, Kin, Lineage
from receiver.core.state.stored import encode_record, encode_session
from receiver.events import AnyEvent, LineageEvent
from receiver.pipeline.stored_sessions import decode_emitted, decode_session
from receiver.storage.interface import SessionRow, SpanRow, StateChange, Store

MAX_PRODUCERS = 1_000  # whose MCP servers stay in memory between steps
MAX_SPANS = 20_000  # that stay in memory between steps, for the links that they state
MAX_NEIGHBOURS = 500  # open sessions of one producer that are searched for an undecided parent
MAX_ORIGINS = 8  # sessions that have a copied call, of which one may be a fork's origin


class SessionCache:
    """A forest that is backed by a store. `limit` is how many sessions stay in memory between steps."""

    def __init__(self, store: Store, builder: Builder, limit: int) -> None:
        self.forest = Forest()
        self._store = store
        self._builder = builder
        self._limit = limit
        self._deadlines: dict[str, int | None] = {}
        self._producers: set[str] = set()
        self._servers: set[tuple[str, str]] = set()
        self._used: dict[str, None] = {}
        self._with_neighbours: set[str] = set()  # producers whose open sessions were loaded for this step

    def load(self, sessions: Iterable[str]) -> None:
        """Load these sessions, as far as they are known."""
        missing = [s for s in sessions if s not in self.forest.sessions]
        for row in self._store.sessions(missing) if missing else ():
            self._put(row)
        for session in sessions:
            self._used.pop(session, None)
            self._used[session] = None

    def load_producer(self, producer: str) -> None:
        """Load what is known of a producer apart from its sessions."""
        if producer in self._producers:
            return
        self._producers.add(producer)
        names = self._store.servers(producer)
        if names:
            self.forest.servers.setdefault(producer, set()).update(names)
            self._servers.update((producer, n) for n in names)

    def with_links(self, events: Iterable[tuple[Source, AnyEvent]]) -> Iterator[tuple[Source, AnyEvent]]:
        """The events, with the links that spans state in place of the spans."""
        return self.forest.lineage.expand(events, self._load_spans)

    def _load_spans(self, event: LineageEvent) -> None:
        """Load what lies above a span, and, if that leads to a call, what lies below it."""
        lineage = self.forest.lineage
        if event.span not in lineage.spans:
            self._put_spans(self._store.spans([event.span]))
        known = lineage.spans.get(event.span, Kin())
        call, missing = lineage.climb(event.parent or known.parent)
        while missing and (rows := self._store.spans([missing])):
            self._put_spans(rows)
            call, missing = lineage.climb(missing)
        level, seen = [event.span] if call or event.call or known.call else [], 0
        while level and seen <= MAX_SPANS_BELOW_CALL:
            self._put_spans(self._store.spans_below(level))
            seen += len(level)
            level = [s for at in level for s in lineage.below(at) if not lineage.spans[s].call]

    def _put_spans(self, rows: Iterable[SpanRow]) -> None:
        for row in rows:
            self.forest.lineage.put(row.id, Kin(row.parent, row.session, row.call))

    def load_trees(self, sessions: Iterable[str]) -> None:
        """Load the whole trees of these sessions, and what may turn out to be above or below them."""
        self.load(sessions)
        roots = {self._climb(s).id for s in sessions if s in self.forest.sessions}
        for root in sorted(roots):
            self._descend(root)
            session = self.forest.sessions[root]
            self.load_producer(session.producer)
            if self._may_have_unplaced(session):
                self._load_neighbours(session)
            if session.history or session.get("origin"):
                self._load_origins(session)

    def _climb(self, session: str) -> Session:
        seen: set[str] = set()
        at = self.forest.sessions[session]
        while (up := at.parent) and up not in seen:
            seen.add(up)
            self.load([up])
            at = self.forest.open(up)
        return at

    def _descend(self, *roots: str) -> None:
        """Load what is below. A session in memory knows its parent; others are found by the parent in their row."""
        seen, level = set(roots), list(roots)
        while level:
            for row in self._store.children(level):
                if row.id not in self.forest.sessions:
                    self._put(row)
            below = [c.id for p in level for c in self.forest.children(p) if c.id not in seen]
            seen.update(below)
            level = below
        for session in seen:
            self._used.pop(session, None)
            self._used[session] = None

    def _may_have_unplaced(self, root: Session) -> bool:
        """Whether a tree may turn out to be below another one, or another one below it."""
        stated = root.is_stated_root or root.closed
        return not stated or any(has_free_task(self.forest, s) for s in self.forest.below(root.id))

    def _load_neighbours(self, session: Session) -> None:
        if session.producer in self._with_neighbours:
            return
        self._with_neighbours.add(session.producer)
        for row in self._store.open_sessions(session.producer, MAX_NEIGHBOURS):
            if row.id not in self.forest.sessions:
                self._put(row)
        # whole trees, since a look includes those that something waits for
        self._descend(*(s.id for s in undecided(self.forest, session.producer)))

    def _load_origins(self, session: Session) -> None:
        """Load the session that a fork names as its origin, or those that have its copied calls; each with its tree,
        which decides its segments."""
        stated = session.get("origin")
        if stated:
            origins = [str(stated)]
        else:
            copied = ItemKey(ItemKind.CALL, min(session.history))
            origins = self._store.sessions_with_item(copied.text, MAX_ORIGINS)
        self.load(origins)
        for origin in origins:
            if origin in self.forest.sessions:
                self._descend(self._climb(origin).id)

    def _put(self, row: SessionRow) -> None:
        emitted = decode_emitted(self._store.emitted(row.id))
        self.forest.put(decode_session(row.state), emitted)
        self._deadlines[row.id] = row.deadline
        self._used[row.id] = None

    def changes(self, now: int, deadlines: dict[str, int | None]) -> StateChange:
        """Everything that changed since the last step, to be committed; `deadlines` are what the core just set."""
        step, forest = StateChange(), self.forest
        for session_id in sorted(forest.dirty | deadlines.keys()):
            session = forest.sessions.get(session_id)
            if session is None:
                continue
            if session.gone and not has_open_content(session) and not forest.emitted_of(session_id):
                step.forgotten.append(session_id)
                forest.drop(session_id)
                continue
            row = self._row(session, now, deadlines)
            self._deadlines[session_id] = row.deadline
            step.sessions.append(row)
        step.emitted = [(s, key.text, encode_record(record)) for s, key, record in forest.new_emitted]
        fresh = {(p, n) for p, names in forest.servers.items() for n in names} - self._servers
        step.servers = sorted(fresh)
        step.spans = [_span_row(span, forest.lineage.spans[span]) for span in sorted(forest.lineage.new)]
        return step

    def _row(self, session: Session, now: int, deadlines: dict[str, int | None]) -> SessionRow:
        if session.id in deadlines:
            deadline = deadlines[session.id]
        else:
            first = self._builder.first_deadline(session)
            before = self._deadlines.get(session.id)
            deadline = first if before is None else min(before, first)
        is_open = has_open_content(session)
        return SessionRow(
            session.id,
            session.parent,
            session.producer,
            deadline if is_open else None,
            is_open,
            now,
            encode_session(session),
        )

    def saved(self, step: StateChange) -> None:
        """The step is committed: nothing is dirty, and what exceeds the bounds goes out of memory."""
        self.forest.dirty.clear()
        self.forest.new_emitted.clear()
        self.forest.lineage.new.clear()
        if len(self.forest.lineage.spans) > MAX_SPANS:
            self.forest.lineage = Lineage()
        self._with_neighbours.clear()
        self._servers.update(step.servers)
        if len(self._producers) > MAX_PRODUCERS:
            self._forget_producers()
        for session in step.forgotten:
            self._deadlines.pop(session, None)
            self._used.pop(session, None)
        while len(self._used) > self._limit:
            oldest = next(iter(self._used))
            del self._used[oldest]
            self._deadlines.pop(oldest, None)
            self.forest.drop(oldest)

    def forget(self) -> None:
        """Drop everything, after a step failed: the store has what was before it."""
        self.forest = Forest()
        self._deadlines.clear()
        self._used.clear()
        self._with_neighbours.clear()
        self._forget_producers()

    def _forget_producers(self) -> None:
        self.forest.servers.clear()
        self._producers.clear()
        self._servers.clear()


def _span_row(span: bytes, kin: Kin) -> SpanRow:
    return SpanRow(span, kin.parent, kin.session, kin.call)
