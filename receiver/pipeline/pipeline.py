"""The order of effects between an accepted request and its queued spans:

1. append    all requests in flight are committed to the store in one transaction
2. answer    only now are they acknowledged
3. read      records become events, each by its dialect
4. build     events become facts, and due items become spans
5. commit    changed facts, queued spans and the removal of built requests: one transaction
6. send      each exporter empties its queue; a row is deleted when it is done (exporters/sender.py)

After a kill between 1 and 5, the request is built again from the store; after one between 5 and 6, the spans are sent
from the store. The store and the builder belong to one thread, that of `_owner`, in which every step runs whole.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog

from receiver.core.apply_events import mentioned
from receiver.core.builder import Builder
from receiver.core.state.settings import SECOND, BuilderSettings
from receiver.errors import UnavailableError, described
from receiver.exporters.queue import PersistentQueue
from receiver.model import Request
from receiver.outcome import Outcome
from receiver.pipeline.backpressure import Backpressure
from receiver.pipeline.observer import NoObserver, Observer, errors_logged
from receiver.pipeline.record_reader import ReadResult, RecordReader
from receiver.pipeline.routing import Routes
from receiver.pipeline.session_cache import SessionCache
from receiver.storage.interface import AcceptedRequest, Outgoing, QueueSize, StateChange, Store

_T = TypeVar("_T")
_log = structlog.get_logger(__name__)

DAY = 24 * 3600 * SECOND


@dataclass(frozen=True, slots=True)
class Limits:
    """Every bound of the pipeline. They limit memory and disk, whatever the number and age of sessions."""

    sessions_in_memory: int = 2_000
    backlog_items: int = 1_000_000  # accepted and not built; above it requests are refused as unavailable
    queue_items: int = 100_000  # built and not sent, for an exporter that is not in `queues`; above it building waits
    queues: Mapping[str, int] = field(default_factory=dict)  # the same, by exporter
    step_items: int = 1_024  # records that one step reads: an acknowledgement waits for at most one step
    step_sessions: int = 256  # due sessions that one step advances
    retention: int = 7 * DAY  # ns that closed sessions are kept

    def queue(self, exporter: str) -> int:
        """The bound of one exporter's queue, in items."""
        return self.queues.get(exporter, self.queue_items)


MAX_ATTEMPTS = 3  # failures after which a request is set aside, and a session is postponed
_SESSION_RETRY_DELAY = 60 * SECOND  # ns
_PURGE_INTERVAL = 3600 * SECOND  # ns
_PAUSE_AFTER_FAILURE = 1.0  # s
_PAUSE_WHILE_FULL = 0.5  # s
_MAX_IDLE_PAUSE = 60.0  # s
_HOUR = 3600.0  # s; a producer that no dialect knows may send for as long as the receiver runs
_STOP_GRACE = 5.0  # s that stop() continues to build
_STEP_REQUESTS, _STEP_BYTES = 1_024, 16 << 20  # that one step has in memory


class Pipeline:
    """Accepts requests and queues spans. Call start() before the OTLP servers start and stop() after they stopped."""

    def __init__(
        self,
        store: Store,
        settings: BuilderSettings,
        routes: Routes,
        *,
        limits: Limits | None = None,
        observer: Observer | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._store = store
        self._routes = routes
        self._limits = limits or Limits()
        self._observer = observer or NoObserver()
        self._clock = clock
        self._builder = Builder(settings)
        self._reader = RecordReader(settings.capture_content)
        self._settle = settings.settle
        self._cache = SessionCache(store, self._builder, self._limits.sessions_in_memory)
        self._owner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="owner")
        self._pending: list[tuple[Request, asyncio.Future[None]]] = []
        self._pending_items = 0
        self._has_work = asyncio.Event()
        self._has_pending = asyncio.Event()
        self.sending_queue = PersistentQueue(store, self._in_owner, clock)
        self._not_before = 0
        self._failures: Counter[int | str] = Counter()
        self._uncommitted_reads: list[ReadResult] = []
        self._last_purge = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._backpressure = Backpressure(store, routes.exporters, self._limits.queue)
        self._commit_error = ""  # why the last step could not be committed
        self._refusing = False
        self._stopping = False
        self._stop_deadline = 0.0

    async def start(self) -> None:
        """Continue from the last commit. Sessions that became due while the receiver was down wait for `settle` first:
        producers may still send what belongs to them."""
        self._not_before = self._clock() + self._settle
        self._tasks = [asyncio.create_task(self._append_all()), asyncio.create_task(self._build_all())]
        self._has_work.set()
        self.sending_queue.wake()

    async def stop(self) -> None:
        """Persist the accepted requests and build them for up to 5 s. The rest and the open sessions stay in the
        store."""
        self._refusing = True
        self._has_pending.set()
        await asyncio.gather(*self._tasks[:1], return_exceptions=True)
        self._stopping, self._stop_deadline = True, time.monotonic() + _STOP_GRACE
        self._has_work.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def wake(self) -> None:
        """Run a step now. For callers that changed the store or the clock themselves."""
        self._has_work.set()

    async def close(self) -> None:
        """Close the store. Call it when the senders have stopped too."""
        await asyncio.to_thread(self._owner.shutdown, wait=True)
        self._store.close()

    async def accept(self, request: Request) -> None:
        """Return when the request is committed. Raises UnavailableError when it cannot be."""
        if self._refusing:
            raise UnavailableError("the receiver is shutting down; send again")
        before = self._store.backlog().items + self._pending_items
        if before and before + request.items > self._limits.backlog_items:
            raise UnavailableError("too many records wait to be built; send again later", retry_after=10)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending.append((request, done))
        self._pending_items += request.items
        self._has_pending.set()
        await done

    # 1, 2: persist, then answer

    async def _append_all(self) -> None:
        while not (self._refusing and not self._pending):
            await self._has_pending.wait()
            self._has_pending.clear()
            group, self._pending = self._pending, []
            if group:
                error = await self._append([request for request, _ in group])
                for _, done in group:
                    if not done.done():
                        done.set_result(None) if error is None else done.set_exception(error)

    async def _append(self, requests: Sequence[Request]) -> UnavailableError | None:
        try:
            await self._in_owner(self._store.append, self._clock(), requests)
        except Exception as failed:
            _log.error(
                "requests could not be persisted",
                requests=len(requests),
                error=described(failed),
                limit_key="append",
            )
            return failed if isinstance(failed, UnavailableError) else UnavailableError(described(failed))
        finally:
            self._pending_items -= sum(request.items for request in requests)
        self._has_work.set()
        return None

    # 3, 4, 5: read, build, commit

    async def _build_all(self) -> None:
        while True:
            self._has_work.clear()  # before the step, so that a request that comes during it is not missed
            pause = await self._in_owner(self._step_safely)
            if self._stopping and (pause is not None or time.monotonic() > self._stop_deadline):
                return
            if pause is None:
                continue
            try:
                async with asyncio.timeout(pause):
                    await self._has_work.wait()
            except TimeoutError:
                pass

    def _step_safely(self) -> float | None:
        """Run one step. Returns the pause (s) before the next one; None when there is more to do now."""
        try:
            pause = self._step()
            if self._commit_error:
                _log.info("building resumed")
                self._commit_error = ""
            return pause
        except UnavailableError as error:
            self._commit_error = str(error)
            _log.error("nothing can be built; trying again", error=str(error), limit_key="step")
        except Exception:
            _log.exception("building failed; rolled back, will retry")
        self._roll_back()
        return _PAUSE_AFTER_FAILURE

    def _step(self) -> float | None:
        if self._backpressure.is_full():
            return _PAUSE_WHILE_FULL
        now = self._clock()
        requests = self._next_requests()
        # Later requests are not read yet, and may hold records that keep a session open: no deadline after the last
        # request read may fire.
        until = requests[-1].arrival if self._store.backlog().rows > len(requests) else now
        due = self._store.due(until, self._limits.step_sessions) if until >= self._not_before else []
        self._process(until, requests, due)
        self._purge(now)
        if requests or len(due) == self._limits.step_sessions:
            return None
        return self._until_next(now)

    def _process(self, until: int, requests: Sequence[AcceptedRequest], due: Sequence[str]) -> None:
        """Read requests and advance due sessions in one batch; where that fails, one by one. Everything that arrived up
        to `until` (ns) is read then."""
        try:
            self._process_batch(until, requests, due)
        except UnavailableError:
            raise
        except Exception:
            _log.exception(
                "building a batch failed; retrying its requests and sessions one by one",
                requests=len(requests),
                sessions=len(due),
            )
            self._roll_back()
            for one in requests:
                self._process_one(one.id, until, [one], [])
            for session in due:
                self._process_one(session, until, [], [session])

    def _process_batch(self, until: int, requests: Sequence[AcceptedRequest], due: Sequence[str]) -> None:
        outgoing, skipped = self._read(requests)
        outcome = Outcome()
        if due:
            self._cache.load_trees(due)
            outcome = self._builder.advance(self._cache.forest, due, until)
        self._commit(requests, outgoing, outcome)
        self._report_outcome(skipped + outcome.discards, outcome)

    def _process_one(self, key: int | str, until: int, requests: Sequence[AcceptedRequest], due: Sequence[str]) -> None:
        """Process one request or one session. After MAX_ATTEMPTS failures it no longer delays the others."""
        try:
            self._process_batch(until, requests, due)
        except UnavailableError:
            raise
        except Exception as error:
            self._roll_back()
            self._failures[key] += 1
            if self._failures[key] < MAX_ATTEMPTS:
                return
            del self._failures[key]
            now = self._clock()
            reason = described(error)
            for one in requests:
                self._store.set_aside(one.id, reason, now)
                _log.error("a request cannot be built and was set aside", signal=one.request.signal, reason=reason)
                self._report_outcome(Counter({"set_aside": one.request.items}), Outcome())
            for session in due:
                self._store.postpone(session, now + _SESSION_RETRY_DELAY)
                _log.error("a session cannot be built; will retry in 60 s", session=session, reason=reason)
        else:
            self._failures.pop(key, None)

    def _roll_back(self) -> None:
        """Drop everything in memory that is not committed."""
        self._cache.forget()
        self._uncommitted_reads.clear()

    def _next_requests(self) -> list[AcceptedRequest]:
        """The oldest requests that are not built, as many as one step reads; at least one, whatever its size."""
        requests: list[AcceptedRequest] = []
        items = 0
        for one in self._store.accepted_requests(_STEP_REQUESTS, _STEP_BYTES):
            if requests and items + one.request.items > self._limits.step_items:
                break
            requests.append(one)
            items += one.request.items
        return requests

    def _read(self, requests: Sequence[AcceptedRequest]) -> tuple[list[Outgoing], Counter[str]]:
        """Apply the requests' events to their sessions. Returns what is handed on as it came, and how many events added
        nothing, by reason."""
        outgoing: list[Outgoing] = []
        skipped: Counter[str] = Counter()
        for one in requests:
            outgoing.extend(self._routes.passed_through(one.request))
            if one.request.signal not in self._routes.connector:
                continue
            result = self._reader.read(one.request, one.arrival)
            self._uncommitted_reads.append(result)
            events = list(self._cache.with_links(result.events))
            self._cache.load({s for _, event in events for s in mentioned(event)})
            for source, event in events:
                self._cache.load_producer(source.producer)
                reason = self._builder.take(self._cache.forest, source, event)
                if reason:
                    skipped[reason] += 1
            outgoing.extend(self._routes.handed_on(result))
        return outgoing, skipped

    def _commit(self, requests: Sequence[AcceptedRequest], outgoing: list[Outgoing], outcome: Outcome) -> None:
        now = self._clock()
        change = self._cache.changes(now, outcome.deadlines)
        change.at = now
        change.built = [one.id for one in requests]
        change.outgoing = [*outgoing, *self._routes.built(outcome.spans)]
        if not change.is_empty:
            self._store.commit(change)
        self._cache.saved(change)
        self._report_committed(change)
        if change.outgoing:
            self._wake_senders()

    # reports to the observer: only what is committed, since the rest is rolled back and would count twice

    def _report_committed(self, change: StateChange) -> None:
        results, self._uncommitted_reads = self._uncommitted_reads, []
        with errors_logged():
            for result in results:
                self._observer.request_read(result)
                unknown = result.unknown_scope
                if unknown is not None and not result.used:
                    _log.info(
                        "no dialect knows these records",
                        signal=result.signal,
                        scope=ascii(unknown),
                        limit_key=unknown,
                        limit_seconds=_HOUR,
                    )
            if change.outgoing:
                self._observer.requests_queued(change.outgoing)

    def _report_outcome(self, reasons: Counter[str], outcome: Outcome) -> None:
        with errors_logged():
            self._observer.items_skipped(reasons)
            self._observer.spans_built(outcome)

    def _until_next(self, now: int) -> float:
        deadline = self._store.next_deadline()
        if deadline is None:
            return _MAX_IDLE_PAUSE
        return min(_MAX_IDLE_PAUSE, max(0.01, (max(deadline, self._not_before) - now) / SECOND))

    def _purge(self, now: int) -> None:
        if now - self._last_purge > _PURGE_INTERVAL:
            self._last_purge = now
            self._store.purge(now - self._limits.retention)

    # the owner's thread

    async def _in_owner(self, function: Callable[..., _T], *arguments: Any) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._owner, function, *arguments)

    def _wake_senders(self) -> None:
        if self._tasks:
            self._tasks[0].get_loop().call_soon_threadsafe(self.sending_queue.wake)

    async def ask(self, question: Callable[[SessionCache, Store], _T]) -> _T:
        """Run a function in the owner's thread, between two steps; what it returned."""
        return await self._in_owner(question, self._cache, self._store)

    async def check(self) -> None:
        """Return when requests can be persisted and built. Raises UnavailableError when they cannot."""
        if self._commit_error:  # a disk may be too full for a commit, and still take the one page that check() writes
            raise UnavailableError(self._commit_error)
        await self._in_owner(self._store.check)

    async def flush(self, sessions: Sequence[str] | None = None) -> int:
        """Close open sessions (these, or all) now, whatever their timeouts; how many closed."""
        return await self._in_owner(self._flush, sessions)

    def _flush(self, sessions: Sequence[str] | None) -> int:
        while requests := self._next_requests():
            self._process(self._clock(), requests, [])
        now, closed = self._clock(), 0
        ids = list(sessions) if sessions is not None else self._store.due(1 << 62, 1_000_000)
        for i in range(0, len(ids), self._limits.step_sessions):
            closed += self._close(ids[i : i + self._limits.step_sessions], now)
        return closed

    def _close(self, sessions: Sequence[str], now: int) -> int:
        try:
            self._cache.load_trees(sessions)
            outcome = self._builder.advance(self._cache.forest, sessions, now, flush=True)
            self._commit((), [], outcome)
        except Exception:
            self._roll_back()
            raise
        self._report_outcome(outcome.discards, outcome)
        return len(outcome.closed)

    async def backlog(self) -> QueueSize:
        """How many requests and records are accepted and not built."""
        return await self._in_owner(self._store.backlog)
