"""The sending queue as the senders see it: rows of the store, of which those in flight are known here only. A process
that ends forgets what was in flight, and the next one sends it again. So it forgets which rows were put back by hand,
and says nothing of how they fared.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog

from receiver.exporters.sender import Chunk
from receiver.storage.interface import NO_EXPORTER, QueueRow, SetAsideRow, Store

_T = TypeVar("_T")
_log = structlog.get_logger(__name__)
_MAX_ROWS = 1024  # rows that one look takes out of the store


@dataclass(slots=True)
class _PutBack:
    """An exporter's rows that were set aside and put back: those that wait, and how the others fared."""

    waiting: set[int] = field(default_factory=set)
    taken: int = 0
    set_aside: int = 0


class Outbox:
    """Implements sending.SendingQueue over the store. `own` runs a function in the thread that owns the store."""

    def __init__(
        self, store: Store, own: Callable[..., Awaitable[Any]], clock: Callable[[], int] = time.time_ns
    ) -> None:
        self._store = store
        self._own = own
        self._clock = clock
        self._in_flight: dict[str, dict[int, QueueRow]] = {}
        self._news: dict[str, asyncio.Event] = {}
        self._looking: dict[str, asyncio.Lock] = {}
        self._put_back: dict[str, _PutBack] = {}

    def wake(self) -> None:
        """There may be new rows. Called in the loop's thread."""
        for event in self._news.values():
            event.set()

    def put_back(self, rows: Iterable[tuple[int, SetAsideRow]]) -> None:
        """Rows that were set aside are in their queues again, under these ids: the log is told when the backend has
        taken them."""
        for i, row in rows:
            if row.exporter != NO_EXPORTER:
                self._put_back.setdefault(row.exporter, _PutBack()).waiting.add(i)
        self.wake()

    async def head(self, exporter: str, max_items: int, max_bytes: int) -> Chunk | None:
        """The exporter's oldest rows that are not in flight, of one signal, joined."""
        # One consumer at a time, or two would be given the same rows.
        async with self._looking.setdefault(exporter, asyncio.Lock()):
            self._news.setdefault(exporter, asyncio.Event()).clear()
            busy = self._in_flight.setdefault(exporter, {})
            rows = await self._own(self._store.queue_head, exporter, frozenset(busy), _MAX_ROWS, max_bytes)
            taken = _fitting(rows, max_items, max_bytes)
            busy.update((row.id, row) for row in taken)
        return _chunk(taken) if taken else None

    async def split(self, chunk: Chunk) -> Sequence[Chunk]:
        """The chunk's rows, each as a chunk of its own."""
        held = {i: row for rows in self._in_flight.values() for i, row in rows.items()}
        return [_chunk([held[i]]) for i in chunk.ids]

    async def done(self, chunk: Chunk) -> None:
        """Remove rows that the backend took."""
        await self._own(self._store.queue_done, chunk.ids)
        self._land(chunk)
        self._tell(chunk, taken=True)

    async def set_aside(self, chunk: Chunk, reason: str) -> None:
        """Keep rows elsewhere that the backend will never take."""
        await self._own(self._store.queue_set_aside, chunk.ids, reason, self._clock())
        self._land(chunk)
        self._tell(chunk, taken=False)

    async def wait(self, exporter: str) -> None:
        """Return when rows may be waiting."""
        await self._news.setdefault(exporter, asyncio.Event()).wait()

    def _land(self, chunk: Chunk) -> None:
        for rows in self._in_flight.values():
            for i in chunk.ids:
                rows.pop(i, None)

    def _tell(self, chunk: Chunk, *, taken: bool) -> None:
        """Once, when the last of what was put back has fared. That none was taken is told by who set it aside."""
        for exporter, back in list(self._put_back.items()):
            here = back.waiting.intersection(chunk.ids)
            back.waiting -= here
            if taken:
                back.taken += len(here)
            else:
                back.set_aside += len(here)
            if back.waiting:
                continue
            del self._put_back[exporter]
            if back.taken:
                again = {"set_aside_again": back.set_aside} if back.set_aside else {}
                _log.info("rows that were sent again were taken", exporter=exporter, rows=back.taken, **again)


def _fitting(rows: Sequence[QueueRow], max_items: int, max_bytes: int) -> list[QueueRow]:
    """The first rows, of one signal, that fit into a request; one at least."""
    taken: list[QueueRow] = []
    items = size = 0
    for row in rows:
        items += row.items
        size += len(row.body)
        if taken and (row.signal != taken[0].signal or items > max_items or size > max_bytes):
            break
        taken.append(row)
    return taken


def _chunk(rows: Sequence[QueueRow]) -> Chunk:
    return Chunk(
        ids=tuple(row.id for row in rows),
        signal=rows[0].signal,
        body=b"".join(row.body for row in rows),
        items=sum(row.items for row in rows),
    )
