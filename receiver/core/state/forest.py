"""The sessions at hand, and who hangs below whom. A plain container: no decision is taken here, and nothing is loaded.

The pipeline fills it from the store before the core works on it, and reads off it what has changed (`dirty`,
`new_left`). Offline, it simply holds everything.
"""

from __future__ import annotations

from collections.abc import Iterator

from receiver.core.state.emitted import EmittedItems
from receiver.core.state.items import EmittedRecord, ItemKey, ItemKind, learn
from receiver.core.state.session import Session
from receiver.core.state.span_lineage import Lineage
from receiver.events import EXACT


class Forest:
    """Open sessions by id, with what has left of them, the MCP servers that each producer named, and the spans that
    state who started whom."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self.emitted: dict[str, EmittedItems] = {}
        self.servers: dict[str, set[str]] = {}
        self.dirty: set[str] = set()
        self.new_emitted: list[tuple[str, ItemKey, EmittedRecord]] = []
        self.lineage = Lineage()
        self._children: dict[str, set[str]] = {}

    def get(self, session: str) -> Session | None:
        """The session, if it is at hand."""
        return self.sessions.get(session)

    def open(self, session: str) -> Session:
        """The session, new if it was never told of."""
        found = self.sessions.get(session)
        if found is None:
            found = self.sessions[session] = Session(id=session)
        return found

    def put(self, session: Session, emitted: EmittedItems) -> None:
        """Place a session that was loaded."""
        self.sessions[session.id] = session
        self.emitted[session.id] = emitted
        if session.parent:
            self._children.setdefault(session.parent, set()).add(session.id)

    def drop(self, session: str) -> None:
        """Forget a session that is kept elsewhere."""
        gone = self.sessions.pop(session, None)
        self.emitted.pop(session, None)
        self.dirty.discard(session)
        if gone is not None and gone.parent and (siblings := self._children.get(gone.parent)):
            siblings.discard(session)
            if not siblings:
                del self._children[gone.parent]

    def adopt(self, child: str, parent: str, rank: int = EXACT) -> None:
        """Learn whose child a session is; a better witness replaces a worse one. A session is never its own parent, and
        stays where it hangs as long as spans of it have left there and its own has not."""
        if child == parent or not parent:
            return
        session = self.open(child)
        if session.pins:
            return
        before = session.parent
        if learn(session.facts, "parent", rank, parent) and session.parent != before:
            if before:
                self._children.get(before, set()).discard(child)
            self._children.setdefault(session.parent or parent, set()).add(child)
            self.dirty.add(child)

    def children(self, session: str) -> list[Session]:
        """The sessions directly below, in order of their ids."""
        return [self.sessions[c] for c in sorted(self._children.get(session, ())) if c in self.sessions]

    def emitted_of(self, session: str) -> EmittedItems:
        """What was emitted of a session."""
        found = self.emitted.get(session)
        if found is None:
            found = self.emitted[session] = EmittedItems()
        return found

    def add_emitted(self, session: str, kind: ItemKind, id_: str, record: EmittedRecord) -> None:
        """Remember that an item was emitted."""
        self.emitted_of(session).add(kind, id_, record)
        self.new_emitted.append((session, ItemKey(kind, id_), record))
        self.dirty.add(session)

    def is_emitted(self, session: str, kind: ItemKind, id_: str) -> bool:
        """Whether an item was emitted already."""
        emitted = self.emitted.get(session)
        return emitted is not None and emitted.has(kind, id_)

    def root_of(self, session: str) -> Session:
        """The topmost session that is known above (itself, if none is). Of a ring of parents, the one with the least
        id, so that all in it agree."""
        seen, at = {session: None}, self.open(session)
        while up := at.parent:
            if up in seen:
                line = list(seen)
                return self.open(min(line[line.index(up) :]))
            seen[up] = None
            at = self.open(up)
        return at

    def below(self, session: str) -> Iterator[Session]:
        """The session and everything below it, parents before children; each once."""
        seen: set[str] = set()
        stack = [session]
        while stack:
            at = stack.pop()
            if at in seen or at not in self.sessions:
                continue
            seen.add(at)
            yield self.sessions[at]
            stack.extend(sorted(self._children.get(at, ()), reverse=True))
