"""Sends one exporter's rows of the sending queue: when to send, to retry and to give up.

How bytes reach a backend is the exporter's part; where they are stored is the queue's. The order for each batch:

1. next_batch: take the oldest rows; they stay in the queue, marked as in flight
2. export: until the backend takes them or refuses them for good; back off between two attempts
3. done or set_aside: only now do the rows leave the queue

A process that ends between 2 and 3 sends the rows again after its restart: at least once, as OTLP requires. The backoff
is the Collector's (exporterhelper, `retry_on_failure`).
"""

from __future__ import annotations

import asyncio
import random as random_module
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeAlias, TypeVar

import structlog

from receiver.errors import PermanentExportError, RetryableExportError, UnavailableError, described
from receiver.model import Signal

MAX_ITEMS = 8192  # the Collector's batch size
MAX_BYTES = 4_000_000  # gRPC servers refuse more than 4 MiB by default
RESEND_COMMAND = "opencode-trace-receiver resend"  # sends set-aside batches again, once their cause is fixed

Event: TypeAlias = Literal["sent", "retried", "send_failed"]
Observe: TypeAlias = Callable[[Event, Signal, str, int], None]  # event, signal, exporter, items

_QUEUE_UNAVAILABLE = "the sending queue is not available; will retry"

_T = TypeVar("_T")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of a sending queue, oldest first, all of one signal.

    `body` is one serialized Export request: the rows' bytes joined. `items` counts its records.
    """

    ids: tuple[int, ...]
    signal: Signal
    body: bytes
    items: int


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a batch in retry failed last, since when it fails (ns since the epoch), and the number of attempts."""

    reason: str
    since: int
    attempts: int


class SendingQueue(Protocol):
    """A persistent queue. Rows are in flight from next_batch() until done() or set_aside(), or until a restart."""

    async def next_batch(self, exporter: str, max_items: int, max_bytes: int) -> Batch | None:
        """The exporter's oldest rows that are not in flight, at least one; None when there are none."""

    async def split(self, batch: Batch) -> Sequence[Batch]:
        """The batch's rows in order, each as a batch of its own. All of them stay in flight."""

    async def done(self, batch: Batch) -> None:
        """Remove the rows: the backend took them."""

    async def set_aside(self, batch: Batch, reason: str) -> None:
        """Move the rows out of the queue and keep them with the reason, for an operator to resend."""

    async def wait(self, exporter: str) -> None:
        """Return when there may be new rows, also those that came after the last next_batch() that returned None."""


class Exporter(Protocol):
    """Sends to one backend."""

    name: str

    async def start(self) -> None:
        """Open what export() needs. Does not wait for the backend. Raises ConfigError."""

    async def export(self, signal: Signal, body: bytes, items: int) -> None:
        """Send one serialized Export request. Raises PermanentExportError or RetryableExportError."""

    async def stop(self) -> None:
        """Close what start() opened."""


@dataclass(frozen=True, slots=True)
class RetryOnFailure:
    """The Collector's `retry_on_failure`; times in seconds. `max_elapsed_time` 0 means forever."""

    enabled: bool = True
    initial_interval: float = 5.0
    max_interval: float = 30.0
    multiplier: float = 1.5
    randomization_factor: float = 0.5
    max_elapsed_time: float = 0.0

    def intervals(self, random: Callable[[], float]) -> Iterator[float]:
        """Seconds to wait after the first failure, the second, and so on; endless. `random` gives [0, 1)."""
        interval = self.initial_interval
        while True:
            yield interval * (1 + self.randomization_factor * (2 * random() - 1))
            interval = min(interval * self.multiplier, self.max_interval)


def _ignore(event: Event, signal: Signal, exporter: str, items: int) -> None:
    """An `Observe` that counts nothing."""


class Sender:
    """Sends the rows of one exporter's queue, from start() to stop(); nothing else ends it.

    With one consumer, batches leave in the order of the queue. `clock` (monotonic, s), `now` (since the epoch, ns),
    `sleep` and `random` are arguments so that a test can pass hours in no time.
    """

    def __init__(
        self,
        queue: SendingQueue,
        exporter: Exporter,
        *,
        retry: RetryOnFailure | None = None,
        max_items: int = MAX_ITEMS,
        max_bytes: int = MAX_BYTES,
        num_consumers: int = 1,
        observe: Observe = _ignore,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], int] = time.time_ns,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        self._queue = queue
        self._exporter = exporter
        self._retry = retry or RetryOnFailure()
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._num_consumers = num_consumers
        self._observe = observe
        self._clock = clock
        self._now = now
        self._sleep = sleep
        self._random = random
        self._consumers: list[asyncio.Task[None]] = []
        self._finishing: set[asyncio.Task[None]] = set()
        self._failing: dict[tuple[int, ...], Failure] = {}  # by the ids of the batch in retry
        self._log = _log.bind(exporter=exporter.name)

    async def start(self) -> None:
        """Start the exporter and the consumers. Raises ConfigError when the exporter cannot be started."""
        await self._exporter.start()
        self._consumers = [
            asyncio.create_task(self._consume(), name=f"send:{self._exporter.name}:{number}")
            for number in range(self._num_consumers)
        ]

    async def stop(self) -> None:
        """Stop at once. A batch that is being sent stays in the queue; a sent one is removed and counted."""
        for consumer in self._consumers:
            consumer.cancel()
        await asyncio.gather(*self._consumers, return_exceptions=True)
        await asyncio.gather(*self._finishing, return_exceptions=True)
        self._consumers = []
        await self._exporter.stop()

    def failure(self) -> Failure | None:
        """The failure of the batch that has been in retry the longest; None where none is."""
        return min(self._failing.values(), key=lambda failure: failure.since, default=None)

    async def _consume(self) -> None:
        name = self._exporter.name
        while True:
            batch = await self._until_available(lambda: self._queue.next_batch(name, self._max_items, self._max_bytes))
            if batch is None:
                await self._until_available(lambda: self._queue.wait(name))
            else:
                await self._deliver(batch)

    async def _deliver(self, batch: Batch) -> None:
        """Send one batch and remove it from the queue, whatever the backend answers."""
        try:
            await self._export(batch)
        except PermanentExportError as error:
            if len(batch.ids) > 1:
                await self._deliver_rows(batch, str(error))
            else:
                await self._set_aside(batch, str(error))
        except RetryableExportError as error:
            await self._set_aside(batch, str(error))
        else:
            await self._finish("sent", batch, lambda: self._queue.done(batch))

    async def _deliver_rows(self, batch: Batch, reason: str) -> None:
        """Row by row, so that one bad row does not set its neighbours aside."""
        self._log.debug("batch refused; sending its rows one by one", rows=len(batch.ids), reason=reason)
        for row in await self._until_available(lambda: self._queue.split(batch)):
            await self._deliver(row)

    async def _set_aside(self, batch: Batch, reason: str) -> None:
        self._log.error(
            "batch set aside",
            signal=batch.signal,
            items=batch.items,
            reason=reason,
            then=RESEND_COMMAND,
            limit_key=reason,
        )
        await self._finish("send_failed", batch, lambda: self._queue.set_aside(batch, reason))

    async def _finish(self, event: Event, batch: Batch, step: Callable[[], Awaitable[None]]) -> None:
        """Remove a batch from the queue and count it: both or neither, also where stop() comes in between."""

        async def both() -> None:
            await step()
            self._observe(event, batch.signal, self._exporter.name, batch.items)

        async def attempt() -> None:
            finishing = asyncio.create_task(both())
            self._finishing.add(finishing)
            finishing.add_done_callback(self._finishing.discard)
            await asyncio.shield(finishing)

        await self._until_available(attempt)

    async def _export(self, batch: Batch) -> None:
        """_export_with_retries(); afterwards the batch is no longer listed as failing."""
        try:
            await self._export_with_retries(batch)
        finally:
            self._failing.pop(batch.ids, None)

    def _note_failure(self, batch: Batch, failure: RetryableExportError) -> None:
        previous = self._failing.get(batch.ids) or Failure("", self._now(), 0)
        self._failing[batch.ids] = replace(previous, reason=str(failure), attempts=previous.attempts + 1)

    async def _export_with_retries(self, batch: Batch) -> None:
        """Return when the backend took the batch. Raises what the exporter raised when no attempt is left."""
        started = self._clock()
        for failures, interval in enumerate(self._retry.intervals(self._random)):
            failure = await self._attempt(batch)
            if failure is None:
                if failures:
                    self._log.info("export works again", after_seconds=round(self._clock() - started, 1))
                return
            if not self._retry.enabled:
                raise failure
            delay = max(interval, failure.retry_after or 0.0)
            elapsed = self._clock() - started
            if self._retry.max_elapsed_time and elapsed + delay > self._retry.max_elapsed_time:
                raise RetryableExportError(f"given up after {elapsed:.0f} s: {failure}") from failure
            self._note_failure(batch, failure)
            self._log.warning("export failed; will retry", delay_seconds=round(delay, 1), error=str(failure))
            self._observe("retried", batch.signal, self._exporter.name, batch.items)
            await self._sleep(delay)

    async def _attempt(self, batch: Batch) -> RetryableExportError | None:
        """None when the backend took the batch, or why it did not. Raises PermanentExportError."""
        try:
            await self._exporter.export(batch.signal, batch.body, batch.items)
        except PermanentExportError:
            raise
        except RetryableExportError as error:
            return error
        except Exception as error:
            # A defect of this program must neither lose a batch nor stop the ones behind it.
            self._log.exception("unexpected error in an exporter")
            return RetryableExportError(described(error))
        return None

    async def _until_available(self, step: Callable[[], Awaitable[_T]]) -> _T:
        """Repeat a step of the queue while the store is not available (a full disk, for example)."""
        intervals = self._retry.intervals(self._random)
        while True:
            try:
                return await step()
            except UnavailableError as error:
                self._log.error(_QUEUE_UNAVAILABLE, error=str(error), limit_key=str(error))
            except Exception:
                self._log.exception(_QUEUE_UNAVAILABLE)
            await self._sleep(next(intervals))
