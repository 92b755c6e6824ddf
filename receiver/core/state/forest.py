"""The sessions in memory, and which is below which. A plain container: nothing is decided and nothing is loaded here.

The pipeline fills it from the store before the core works on it, and reads off it what has changed (`dirty`,
`new_emitted`). Offline, it holds everything.
"""

from __future__ import annotations

from collections.abc import Iterator

from receiver.core.state.emitted import EmittedItems
from receiver.core.state.items import EmittedRecord, ItemKey, ItemKind, learn
from receiver.core.state.session import Session
from receiver.core.state.span_lineage import Lineage
from receiver.events import EXACT


class Forest:
    """Sessions by id, with what was emitted of them, the MCP servers that each producer named, and the spans that show
    which session started which."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self.emitted: dict[str, EmittedItems] = {}
        self.servers: dict[str, set[str]] = {}
        self.dirty: set[str] = set()
        self.new_emitted: list[tuple[str, ItemKey, EmittedRecord]] = []
        self.lineage = Lineage()
        self._children: dict[str, set[str]] = {}

    def get(self, session: str) -> Session | None:
        """The session, if it is in memory."""
        return self.sessions.get(session)

    def open(self, session: str) -> Session:
        """The session, new if nothing is known of it."""
        found = self.sessions.get(session)
        if found is None:
            found = self.sessions[session] = Session(id=session)
        return found

    def put(self, session: Session, emitted: EmittedItems) -> None:
        """Add a session that was loaded."""
        self.sessions[session.id] = session
        self.emitted[session.id] = emitted
        if session.parent:
            self._children.setdefault(session.parent, set()).add(session.id)

    def drop(self, session: str) -> None:
        """Drop a session that the store keeps."""
        dropped = self.sessions.pop(session, None)
        self.emitted.pop(session, None)
        self.dirty.discard(session)
        if dropped is not None and dropped.parent and (siblings := self._children.get(dropped.parent)):
            siblings.discard(session)
            if not siblings:
                del self._children[dropped.parent]

    def adopt(self, child: str, parent: str, rank: int = EXACT) -> None:
        """Learn whose child a session is; a more reliable record (a lower rank) replaces a less reliable one. A session
        is never its own parent, and keeps its parent while spans below its own, open one were emitted."""
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
        """The topmost known session above (itself, if there is none). Of a cycle of parents, the one with the least id,
        so that all in it agree."""
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
