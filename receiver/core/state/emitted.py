"""What was emitted of one session, by kind, with the indexes that a look at the session asks.

A look never reads all of it: a session may have emitted 100,000 calls. An index is built when it is first asked for and
kept up to date from then on.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from receiver.core.state.items import UNNAMED_PREFIXES, CallSource, EmittedRecord, ItemKey, ItemKind, call_source
from receiver.events import TASK


class CallTimes(NamedTuple):
    """A call as matching by time needs it (ns): `child` is the session that it names, or ''."""

    start: int
    end: int
    id: str
    child: str
    failed: bool


def _start(call: CallTimes) -> int:
    return call.start


class CallIndex:
    """Calls by tool, in order of their beginnings, and by the child session that they name."""

    __slots__ = ("_by_child", "_by_tool")

    def __init__(self, calls: Iterable[tuple[str, CallTimes]] = ()) -> None:
        self._by_tool: dict[str, list[CallTimes]] = {}
        self._by_child: dict[tuple[str, str], list[CallTimes]] = {}
        for tool, call in calls:
            self._by_tool.setdefault(tool, []).append(call)
            if call.child:
                self._by_child.setdefault((tool, call.child), []).append(call)
        for of_tool in self._by_tool.values():
            of_tool.sort()

    def add(self, tool: str, call: CallTimes) -> None:
        """Add one call."""
        insort(self._by_tool.setdefault(tool, []), call)
        if call.child:
            self._by_child.setdefault((tool, call.child), []).append(call)

    def around(self, tool: str, start: int, skew: int, most: int) -> tuple[list[CallTimes], list[CallTimes]]:
        """The calls of a tool that began at most `skew` (ns) before a moment, and after it: the nearest, at most `most`
        of each."""
        calls = self._by_tool.get(tool)
        if calls is None:
            return [], []
        here = bisect_left(calls, start, key=_start)
        first = bisect_left(calls, start - skew, max(here - most, 0), here, key=_start)
        last = bisect_right(calls, start + skew, here, min(here + most, len(calls)), key=_start)
        return calls[first:here], calls[here:last]

    def of_tool(self, tool: str) -> list[CallTimes]:
        """The calls of a tool, in order of their beginnings."""
        return self._by_tool.get(tool, [])

    def naming(self, tool: str, child: str) -> list[CallTimes]:
        """The calls of a tool that name a child session."""
        return self._by_child.get((tool, child), [])


EMITTED_KINDS = (ItemKind.CALL, ItemKind.REQUEST, ItemKind.PERMISSION, ItemKind.MARKER, ItemKind.SERIES)


class EmittedItems:
    """The records of what was emitted of one session."""

    __slots__ = (
        "_indexes",
        "_of_kind",
        "calls",
        "has_unnamed",
        "markers",
        "permissions",
        "requests",
        "series",
        "task_calls",
    )

    def __init__(self) -> None:
        self.calls: dict[str, EmittedRecord] = {}
        self.requests: dict[str, EmittedRecord] = {}
        self.permissions: dict[str, EmittedRecord] = {}
        self.markers: dict[str, EmittedRecord] = {}
        self.series: dict[str, EmittedRecord] = {}
        self.task_calls: dict[str, EmittedRecord] = {}  # calls of the tool `task`, or that name a child
        self.has_unnamed = False  # whether any call's id is made of facts
        self._indexes: dict[CallSource, CallIndex] = {}
        records = (self.calls, self.requests, self.permissions, self.markers, self.series)
        self._of_kind = dict(zip(EMITTED_KINDS, records, strict=True))

    @classmethod
    def of(cls, records: Iterable[tuple[str, EmittedRecord]]) -> EmittedItems:
        """The records of a session by the store's keys."""
        items = cls()
        for text, record in records:
            items.add(*ItemKey.parse(text), record)
        return items

    def __len__(self) -> int:
        return sum(map(len, self._of_kind.values()))

    def has(self, kind: ItemKind, id_: str) -> bool:
        """Whether an item was emitted."""
        return id_ in self._of_kind[kind]

    def of_kind(self, kind: ItemKind) -> dict[str, EmittedRecord]:
        """The records of one kind, by the items' ids. To be read only."""
        return self._of_kind[kind]

    def add(self, kind: ItemKind, id_: str, record: EmittedRecord) -> None:
        """Add the record of one item, or replace it."""
        if kind is ItemKind.CALL:
            if id_[:1] in UNNAMED_PREFIXES:
                self.has_unnamed = True
            if self._indexes:
                self._add_to_index(id_, record)
            if record.label == TASK or record.child:
                self.task_calls[id_] = record
        self._of_kind[kind][id_] = record

    def _add_to_index(self, id_: str, record: EmittedRecord) -> None:
        if id_ in self.calls:
            self._indexes.clear()
        elif (index := self._indexes.get(call_source(id_))) is not None:
            index.add(record.label, _times(id_, record))

    def remove(self, key: ItemKey) -> None:
        """Forget that an item was emitted."""
        del self._of_kind[key.kind][key.id]
        if key.kind is ItemKind.CALL:
            self.task_calls.pop(key.id, None)
            self._indexes.clear()

    def copy(self) -> EmittedItems:
        """The same records, in an object of its own."""
        copy = EmittedItems()
        for kind, records in self._of_kind.items():
            copy._of_kind[kind].update(records)
        copy.task_calls.update(self.task_calls)
        copy.has_unnamed = self.has_unnamed
        return copy

    def spans(self) -> Iterator[tuple[ItemKey, EmittedRecord]]:
        """The records of everything that is a span."""
        for kind, records in self._of_kind.items():
            if kind is not ItemKind.SERIES:
                for id_, record in records.items():
                    yield ItemKey(kind, id_), record

    def index(self, source: CallSource) -> CallIndex:
        """The calls whose ids are made alike, by their times."""
        found = self._indexes.get(source)
        if found is None:
            calls = ((record.label, _times(id_, record)) for id_, record in self.calls.items())
            found = self._indexes[source] = CallIndex(c for c in calls if call_source(c[1].id) is source)
        return found

    def calls_of(self, tool: str) -> Iterator[CallTimes]:
        """The calls of a tool."""
        for source in CallSource:
            yield from self.index(source).of_tool(tool)


def _times(id_: str, record: EmittedRecord) -> CallTimes:
    return CallTimes(record.start, record.end, id_, record.child, record.failed)
