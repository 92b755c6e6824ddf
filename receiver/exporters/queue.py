"""The persistent sending queue: rows of the store. Which rows are in flight is known in memory only: after a restart
they are sent again. Which rows an operator has resent is in memory only too: a restart loses the log of their result.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from receiver.exporters.sender import Batch
from receiver.storage.interface import NO_EXPORTER, QueueRow, SetAsideRow, Store

_log = structlog.get_logger(__name__)
_MAX_ROWS = 1024  # read from the store for one batch


@dataclass(slots=True)
class _Resent:
    """An exporter's set-aside rows that were resent: the ids of those still queued, and the results of the others."""

    queued: set[int] = field(default_factory=set)
    taken: int = 0
    set_aside: int = 0


class PersistentQueue:
    """Implements sender.SendingQueue over the store. `own` runs a function in the thread that owns the store."""

    def __init__(
        self, store: Store, own: Callable[..., Awaitable[Any]], clock: Callable[[], int] = time.time_ns
    ) -> None:
        self._store = store
        self._own = own
        self._clock = clock
        self._in_flight: dict[str, dict[int, QueueRow]] = {}
        self._new_rows: dict[str, asyncio.Event] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._resent: dict[str, _Resent] = {}

    def wake(self) -> None:
        """There may be new rows. Called in the loop's thread."""
        for event in self._new_rows.values():
            event.set()

    def watch_resent(self, rows: Iterable[tuple[int, SetAsideRow]]) -> None:
        """Set-aside rows are in their queues again, under these ids: log when the backend has taken them."""
        for i, row in rows:
            if row.exporter != NO_EXPORTER:
                self._resent.setdefault(row.exporter, _Resent()).queued.add(i)
        self.wake()

    async def next_batch(self, exporter: str, max_items: int, max_bytes: int) -> Batch | None:
        """The exporter's oldest rows that are not in flight, of one signal, joined."""
        # One consumer at a time, or two would get the same rows.
        async with self._locks.setdefault(exporter, asyncio.Lock()):
            self._new_rows.setdefault(exporter, asyncio.Event()).clear()
            in_flight = self._in_flight.setdefault(exporter, {})
            rows = await self._own(self._store.queue_head, exporter, frozenset(in_flight), _MAX_ROWS, max_bytes)
            first = _first_batch(rows, max_items, max_bytes)
            in_flight.update((row.id, row) for row in first)
        return _batch(first) if first else None

    async def split(self, batch: Batch) -> Sequence[Batch]:
        """The batch's rows, each as a batch of its own."""
        in_flight = {i: row for rows in self._in_flight.values() for i, row in rows.items()}
        return [_batch([in_flight[i]]) for i in batch.ids]

    async def done(self, batch: Batch) -> None:
        """Remove the rows, which the backend took."""
        await self._own(self._store.queue_done, batch.ids)
        self._remove_in_flight(batch)
        self._note_result(batch, taken=True)

    async def set_aside(self, batch: Batch, reason: str) -> None:
        """Keep rows that the backend will never take outside the queue, with the reason."""
        await self._own(self._store.queue_set_aside, batch.ids, reason, self._clock())
        self._remove_in_flight(batch)
        self._note_result(batch, taken=False)

    async def wait(self, exporter: str) -> None:
        """Return when there may be new rows."""
        await self._new_rows.setdefault(exporter, asyncio.Event()).wait()

    def _remove_in_flight(self, batch: Batch) -> None:
        for rows in self._in_flight.values():
            for i in batch.ids:
                rows.pop(i, None)

    def _note_result(self, batch: Batch, *, taken: bool) -> None:
        """Log the result of resent rows once, with the last of them. Where none was taken, the sender has logged it."""
        for exporter, resent in list(self._resent.items()):
            finished = resent.queued.intersection(batch.ids)
            resent.queued -= finished
            if taken:
                resent.taken += len(finished)
            else:
                resent.set_aside += len(finished)
            if resent.queued:
                continue
            del self._resent[exporter]
            if resent.taken:
                more = {"set_aside_again": resent.set_aside} if resent.set_aside else {}
                _log.info("the backend took the resent rows", exporter=exporter, rows=resent.taken, **more)


def _first_batch(rows: Sequence[QueueRow], max_items: int, max_bytes: int) -> list[QueueRow]:
    """The first rows, all of one signal, that fit into a request; at least one."""
    batch: list[QueueRow] = []
    items = size = 0
    for row in rows:
        items += row.items
        size += len(row.body)
        if batch and (row.signal != batch[0].signal or items > max_items or size > max_bytes):
            break
        batch.append(row)
    return batch


def _batch(rows: Sequence[QueueRow]) -> Batch:
    return Batch(
        ids=tuple(row.id for row in rows),
        signal=rows[0].signal,
        body=b"".join(row.body for row in rows),
        items=sum(row.items for row in rows),
    )
