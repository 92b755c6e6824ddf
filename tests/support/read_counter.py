"""Counts how many emitted records are read. Tests bound the work and not the time, which depends on the machine."""

from __future__ import annotations

from collections.abc import Iterator

from receiver.core.state.emitted import EMITTED_KINDS, EmittedItems
from receiver.core.state.items import EmittedRecord


class _CountingDict(dict[str, EmittedRecord]):
    """Counts the records that a loop over all of it visits, and the loops."""

    def __init__(self) -> None:
        super().__init__()
        self.loops = self.visited = 0

    def _count(self) -> None:
        self.loops += 1
        self.visited += len(self)

    def __iter__(self) -> Iterator[str]:
        self._count()
        return super().__iter__()

    def keys(self):
        self._count()
        return super().keys()

    def values(self):
        self._count()
        return super().values()

    def items(self):
        self._count()
        return super().items()


class CountedEmittedItems(EmittedItems):
    """Replaces a forest's emitted items of a session and counts how they are read."""

    def __init__(self) -> None:
        super().__init__()
        self.calls, self.requests, self.permissions = _CountingDict(), _CountingDict(), _CountingDict()
        self.markers, self.series, self.task_calls = _CountingDict(), _CountingDict(), _CountingDict()
        records = (self.calls, self.requests, self.permissions, self.markers, self.series)
        self._of_kind = dict(zip(EMITTED_KINDS, records, strict=True))

    @classmethod
    def of_items(cls, items: EmittedItems) -> CountedEmittedItems:
        """The same records, none of them read yet."""
        counted = cls()
        for kind in EMITTED_KINDS:
            for id_, record in items.of_kind(kind).items():
                counted.add(kind, id_, record)
        return counted

    @property
    def loops(self) -> int:
        """How many loops over all records of one kind there were."""
        return sum(records.loops for records in self._counting())

    @property
    def visited(self) -> int:
        """How many records these loops visited."""
        return sum(records.visited for records in self._counting())

    def _counting(self) -> list[_CountingDict]:
        return [r for r in (*self._of_kind.values(), self.task_calls) if isinstance(r, _CountingDict)]
