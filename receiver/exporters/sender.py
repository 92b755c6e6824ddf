"""The sending loop: empties one exporter's share of a persistent queue into that exporter.

What lives here is when to send, to send again and to give up. How bytes reach a backend is the exporter's
business, and where they are kept is the queue's. The order of effects for each chunk:

1. head: take the oldest rows; they stay in the queue, marked as in flight
2. export: until the backend took them, or refused them for good; between two attempts, back off
3. done or set aside: only now do the rows leave the queue

A process that ends between 2 and 3 sends the rows once more when it is back: at least once, as OTLP says.
The backing off is the Collector's (exporterhelper, `retry_on_failure`).
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
MAX_BYTES = 4_000_000  # gRPC servers refuse more than 4 MiB unless they were told otherwise
WHEN_MENDED = "opencode-trace-receiver resend"  # what an operator does about what was set aside

Event: TypeAlias = Literal["sent", "retried", "send_failed"]
Observe: TypeAlias = Callable[[Event, Signal, str, int], None]  # event, signal, exporter, items

_QUEUE_UNAVAILABLE = "the sending queue is not available; will retry"

_T = TypeVar("_T")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows of a sending queue, oldest first, all of one signal.

    `body` is one serialized Export request: the rows' bytes joined. `items` counts its records.
    """

    ids: tuple[int, ...]
    signal: Signal
    body: bytes
    items: int


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a chunk that is tried again and again was not taken the last time, since when (ns), and how often."""

    reason: str
    since: int
    attempts: int


class SendingQueue(Protocol):
    """A persistent queue. Rows are in flight from head() until done() or set_aside(), or until a new process."""

    async def head(self, exporter: str, max_items: int, max_bytes: int) -> Chunk | None:
        """The exporter's oldest rows that are not in flight, at least one, or None when there are none."""

    async def split(self, chunk: Chunk) -> Sequence[Chunk]:
        """The chunk's rows in order, each as a chunk of its own. All of them stay in flight."""

    async def done(self, chunk: Chunk) -> None:
        """The rows were taken by the backend: remove them."""

    async def set_aside(self, chunk: Chunk, reason: str) -> None:
        """The rows will not be sent: keep them elsewhere with the reason, where a person finds them."""

    async def wait(self, exporter: str) -> None:
        """Return when rows may be waiting: also when they came after the last head() that returned None."""


class Exporter(Protocol):
    """The way to one backend."""

    name: str

    async def start(self) -> None:
        """Open what export() needs. Does not wait for the backend. Raises ConfigError."""

    async def export(self, signal: Signal, body: bytes, items: int) -> None:
        """Hand over one serialized Export request. Raises PermanentExportError or RetryableExportError."""

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
        """How long to wait after the first failure, the second, and so on; endless. `random` gives [0, 1)."""
        interval = self.initial_interval
        while True:
            yield interval * (1 + self.randomization_factor * (2 * random() - 1))
            interval = min(interval * self.multiplier, self.max_interval)


def _ignore(event: Event, signal: Signal, exporter: str, items: int) -> None:
    """Nobody is counting."""


class Sender:
    """Sends what one exporter's queue holds, from start() to stop(), and never ends by itself.

    With one consumer, chunks leave in the order in which they were put. Clock (s), the time of day (ns), sleep and
    random are arguments so that a test can pass hours in no time.
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
        self._settling: set[asyncio.Task[None]] = set()
        self._failing: dict[tuple[int, ...], Failure] = {}  # by the rows that are tried again
        self._log = _log.bind(exporter=exporter.name)

    async def start(self) -> None:
        """Start the exporter and the consumers. Raises ConfigError when the exporter cannot be started."""
        await self._exporter.start()
        self._consumers = [
            asyncio.create_task(self._consume(), name=f"send:{self._exporter.name}:{number}")
            for number in range(self._num_consumers)
        ]

    async def stop(self) -> None:
        """Stop at once. What is being sent stays in the queue; what was sent is taken out of it and counted."""
        for consumer in self._consumers:
            consumer.cancel()
        await asyncio.gather(*self._consumers, return_exceptions=True)
        await asyncio.gather(*self._settling, return_exceptions=True)
        self._consumers = []
        await self._exporter.stop()

    def failure(self) -> Failure | None:
        """What fails now, the longest of several; None where nothing does."""
        return min(self._failing.values(), key=lambda failure: failure.since, default=None)

    async def _consume(self) -> None:
        name = self._exporter.name
        while True:
            chunk = await self._insist(lambda: self._queue.head(name, self._max_items, self._max_bytes))
            if chunk is None:
                await self._insist(lambda: self._queue.wait(name))
            else:
                await self._deliver(chunk)

    async def _deliver(self, chunk: Chunk) -> None:
        """See one chunk out of the queue, whatever the backend says."""
        try:
            await self._persist(chunk)
        except PermanentExportError as error:
            if len(chunk.ids) > 1:
                await self._deliver_rows(chunk, str(error))
            else:
                await self._set_aside(chunk, str(error))
        except RetryableExportError as error:
            await self._set_aside(chunk, str(error))
        else:
            await self._settle("sent", chunk, lambda: self._queue.done(chunk))

    async def _deliver_rows(self, chunk: Chunk, reason: str) -> None:
        """Row by row, so that one bad row does not take its neighbours with it."""
        self._log.debug("batch refused; sending its rows one by one", rows=len(chunk.ids), reason=reason)
        for row in await self._insist(lambda: self._queue.split(chunk)):
            await self._deliver(row)

    async def _set_aside(self, chunk: Chunk, reason: str) -> None:
        self._log.error(
            "batch set aside",
            signal=chunk.signal,
            items=chunk.items,
            reason=reason,
            then=WHEN_MENDED,
            limit_key=reason,
        )
        await self._settle("send_failed", chunk, lambda: self._queue.set_aside(chunk, reason))

    async def _settle(self, event: Event, chunk: Chunk, step: Callable[[], Awaitable[None]]) -> None:
        """Take a chunk out of the queue and count it: both or neither, also where stop() comes in between."""

        async def both() -> None:
            await step()
            self._observe(event, chunk.signal, self._exporter.name, chunk.items)

        async def attempt() -> None:
            settling = asyncio.create_task(both())
            self._settling.add(settling)
            settling.add_done_callback(self._settling.discard)
            await asyncio.shield(settling)

        await self._insist(attempt)

    async def _persist(self, chunk: Chunk) -> None:
        """_export(), and no failure is known of the chunk any more, however it ended."""
        try:
            await self._export(chunk)
        finally:
            self._failing.pop(chunk.ids, None)

    def _note(self, chunk: Chunk, failure: RetryableExportError) -> None:
        known = self._failing.get(chunk.ids) or Failure("", self._now(), 0)
        self._failing[chunk.ids] = replace(known, reason=str(failure), attempts=known.attempts + 1)

    async def _export(self, chunk: Chunk) -> None:
        """Return when the chunk was taken. Raises what the exporter raised when no attempt is left."""
        started = self._clock()
        for failures, interval in enumerate(self._retry.intervals(self._random)):
            failure = await self._attempt(chunk)
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
            self._note(chunk, failure)
            self._log.warning("export failed; will retry", delay_seconds=round(delay, 1), error=str(failure))
            self._observe("retried", chunk.signal, self._exporter.name, chunk.items)
            await self._sleep(delay)

    async def _attempt(self, chunk: Chunk) -> RetryableExportError | None:
        """None when the backend took the chunk, or why it did not. Raises PermanentExportError."""
        try:
            await self._exporter.export(chunk.signal, chunk.body, chunk.items)
        except PermanentExportError:
            raise
        except RetryableExportError as error:
            return error
        except Exception as error:
            # A defect of ours must neither lose a batch nor stop those behind it.
            self._log.exception("unexpected error in an exporter")
            return RetryableExportError(described(error))
        return None

    async def _insist(self, step: Callable[[], Awaitable[_T]]) -> _T:
        """A step of the queue, again and again while the store cannot take it (a full disk, say)."""
        intervals = self._retry.intervals(self._random)
        while True:
            try:
                return await step()
            except UnavailableError as error:
                self._log.error(_QUEUE_UNAVAILABLE, error=str(error), limit_key=str(error))
            except Exception:
                self._log.exception(_QUEUE_UNAVAILABLE)
            await self._sleep(next(intervals))
