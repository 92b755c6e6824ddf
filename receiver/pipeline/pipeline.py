"""The order of effects, and nothing else. For every request:

1. append    all requests in flight are committed to the store in one transaction
2. answer    only now are they acknowledged
3. read      records become events, each by its dialect
4. build     events become facts, and what is due becomes spans
5. commit    facts moved, spans in the sending queues, requests done with: one transaction
6. send      each exporter empties its queue; rows leave it when they are done (sending.py)

Killed between 1 and 5, a request is built again from the store; between 5 and 6, spans are sent from it. The store and
the builder have one owner: the single thread of `_owner`, in which every step runs whole.
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
from receiver.exporters.queue import Outbox
from receiver.model import Request
from receiver.outcome import Outcome
from receiver.pipeline.backpressure import Backpressure
from receiver.pipeline.observer import NoObserver, Observer, unharmed
from receiver.pipeline.record_reader import ReadResult, RecordReader
from receiver.pipeline.routing import Routes
from receiver.pipeline.session_cache import SessionCache
from receiver.storage.interface import Outgoing, QueueSize, Step, Store, Waiting

_T = TypeVar("_T")
_log = structlog.get_logger(__name__)

DAY = 24 * 3600 * SECOND


@dataclass(frozen=True, slots=True)
class Limits:
    """Every bound of the pipeline. Memory and disk are held by these, not by the number or age of sessions."""

    sessions_in_memory: int = 2_000
    backlog_items: int = 1_000_000  # accepted and not built; beyond it requests are refused as unavailable
    queue_items: int = 100_000  # built and not sent, for an exporter that is not in `queues`; beyond it building waits
    queues: Mapping[str, int] = field(default_factory=dict)  # the same, by exporter
    step_items: int = 1_024  # records that one step reads, so that acknowledging never waits long
    step_sessions: int = 256  # overdue sessions that one step looks at
    retention: int = 7 * DAY  # ns that closed sessions are remembered

    def queue(self, exporter: str) -> int:
        """The bound of an exporter's queue, in items."""
        return self.queues.get(exporter, self.queue_items)


ATTEMPTS = 3  # then a request is set aside, and a session is left alone for a while
_SET_BACK = 60 * SECOND
_PAUSE_AFTER_FAILURE = 1.0  # s
_PAUSE_WHILE_FULL = 0.5  # s
_HOUR = 3600.0  # s; a producer of something else may be there for good
_STOP_GRACE = 5.0  # s
_STEP_REQUESTS, _STEP_BYTES = 1_024, 16 << 20  # that one step has in memory


class Pipeline:
    """Takes requests in, lets spans out. start() before the doors open, stop() after they closed."""

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
        self._woods = SessionCache(store, self._builder, self._limits.sessions_in_memory)
        self._owner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="owner")
        self._arrived: list[tuple[Request, asyncio.Future[None]]] = []
        self._arriving = 0
        self._work = asyncio.Event()
        self._arrivals = asyncio.Event()
        self.outbox = Outbox(store, self._own, clock)
        self._not_before = 0
        self._failures: Counter[int | str] = Counter()
        self._unobserved: list[ReadResult] = []
        self._purged = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._backpressure = Backpressure(store, routes.exporters, self._limits.queue)
        self._stuck = ""  # why the last step could not be committed
        self._refusing = False
        self._stopping = False
        self._give_up = 0.0

    async def start(self) -> None:
        """Go on where the last commit was. Sessions that fell due while nobody listened wait for stragglers first."""
        self._not_before = self._clock() + self._settle
        self._tasks = [asyncio.create_task(self._append_all()), asyncio.create_task(self._build_all())]
        self._work.set()
        self.outbox.wake()

    async def stop(self) -> None:
        """Persist what was accepted, and build of it what can be built soon. The rest waits in the store, and so do
        open sessions."""
        self._refusing = True
        self._arrivals.set()
        await asyncio.gather(*self._tasks[:1], return_exceptions=True)
        self._stopping, self._give_up = True, time.monotonic() + _STOP_GRACE
        self._work.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def wake(self) -> None:
        """Look at once whether there is something to do: someone else than accept() changed the store or the clock."""
        self._work.set()

    async def close(self) -> None:
        """Let go of the store, when the senders have stopped too."""
        await asyncio.to_thread(self._owner.shutdown, wait=True)
        self._store.close()

    async def accept(self, request: Request) -> None:
        """Return when the request is committed. Raises UnavailableError when it cannot be."""
        if self._refusing:
            raise UnavailableError("the receiver is shutting down; send again")
        before = self._store.backlog().items + self._arriving
        if before and before + request.items > self._limits.backlog_items:
            raise UnavailableError("too much is waiting to be built; send again later", retry_after=10)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._arrived.append((request, done))
        self._arriving += request.items
        self._arrivals.set()
        await done

    # 1, 2: persist what has arrived, then answer

    async def _append_all(self) -> None:
        while not (self._refusing and not self._arrived):
            await self._arrivals.wait()
            self._arrivals.clear()
            group, self._arrived = self._arrived, []
            if group:
                error = await self._append([request for request, _ in group])
                for _, done in group:
                    if not done.done():
                        done.set_result(None) if error is None else done.set_exception(error)

    async def _append(self, requests: Sequence[Request]) -> UnavailableError | None:
        try:
            await self._own(self._store.append, self._clock(), requests)
        except Exception as failed:
            _log.error(
                "requests could not be persisted",
                requests=len(requests),
                error=described(failed),
                limit_key="append",
            )
            return failed if isinstance(failed, UnavailableError) else UnavailableError(described(failed))
        finally:
            self._arriving -= sum(request.items for request in requests)
        self._work.set()
        return None

    # 3, 4, 5: build what was persisted, and what falls due

    async def _build_all(self) -> None:
        while True:
            self._work.clear()  # before the step, so that what comes during it is not missed
            pause = await self._own(self._step_safely)
            if self._stopping and (pause is not None or time.monotonic() > self._give_up):
                return
            if pause is None:
                continue
            try:
                async with asyncio.timeout(pause):
                    await self._work.wait()
            except TimeoutError:
                pass

    def _step_safely(self) -> float | None:
        """One step. Returns how long (s) nothing will be due, None if there is more to do at once."""
        try:
            pause = self._step()
            if self._stuck:
                _log.info("building goes on")
                self._stuck = ""
            return pause
        except UnavailableError as error:
            self._stuck = str(error)
            _log.error("nothing can be built; trying again", error=str(error), limit_key="step")
        except Exception:
            _log.exception("a step failed; it is undone and tried again")
        self._undo()
        return _PAUSE_AFTER_FAILURE

    def _step(self) -> float | None:
        if self._backpressure.is_full():
            return _PAUSE_WHILE_FULL
        now = self._clock()
        waiting = self._take_waiting()
        # What came after the last of these is not read yet: nothing may leave for a quiet that it would have broken.
        until = waiting[-1].arrival if self._store.backlog().rows > len(waiting) else now
        due = self._store.due(until, self._limits.step_sessions) if until >= self._not_before else []
        self._move(until, waiting, due)
        self._purge(now)
        if waiting or len(due) == self._limits.step_sessions:
            return None
        return self._until_next(now)

    def _move(self, until: int, waiting: Sequence[Waiting], due: Sequence[str]) -> None:
        """Read requests, and let leave what is due: all of it, or one by one what can be where that fails. `until` (ns)
        is the moment up to which everything that arrived is known then."""
        try:
            self._move_together(until, waiting, due)
        except UnavailableError:
            raise
        except Exception:
            _log.exception("a step failed; it is undone and taken apart", requests=len(waiting), sessions=len(due))
            self._undo()
            for one in waiting:
                self._move_alone(one.id, until, [one], [])
            for session in due:
                self._move_alone(session, until, [], [session])

    def _move_together(self, until: int, waiting: Sequence[Waiting], due: Sequence[str]) -> None:
        outgoing, skipped = self._read(waiting)
        outcome = Outcome()
        if due:
            self._woods.load_trees(due)
            outcome = self._builder.advance(self._woods.forest, due, until)
        self._commit(waiting, outgoing, outcome)
        self._tell(skipped + outcome.discards, outcome)

    def _move_alone(self, key: int | str, until: int, waiting: Sequence[Waiting], due: Sequence[str]) -> None:
        """One request or one session, so that a defect that it meets cannot hold up the others for ever."""
        try:
            self._move_together(until, waiting, due)
        except UnavailableError:
            raise
        except Exception as error:
            self._undo()
            self._failures[key] += 1
            if self._failures[key] < ATTEMPTS:
                return
            del self._failures[key]
            now = self._clock()
            reason = described(error)
            for one in waiting:
                self._store.set_aside(one.id, reason, now)
                _log.error("a request was set aside: it cannot be built", signal=one.request.signal, reason=reason)
                self._tell(Counter({"set_aside": one.request.items}), Outcome())
            for session in due:
                self._store.postpone(session, now + _SET_BACK)
                _log.error("a session cannot be built; trying again later", session=session, reason=reason)
        else:
            self._failures.pop(key, None)

    def _undo(self) -> None:
        """Back to the last commit."""
        self._woods.forget()
        self._unobserved.clear()

    def _take_waiting(self) -> list[Waiting]:
        taken: list[Waiting] = []
        items = 0
        for one in self._store.waiting(_STEP_REQUESTS, _STEP_BYTES):
            if taken and items + one.request.items > self._limits.step_items:
                break
            taken.append(one)
            items += one.request.items
        return taken

    def _read(self, waiting: Sequence[Waiting]) -> tuple[list[Outgoing], Counter[str]]:
        outgoing: list[Outgoing] = []
        skipped: Counter[str] = Counter()
        for one in waiting:
            outgoing.extend(self._routes.passed_through(one.request))
            if one.request.signal not in self._routes.connector:
                continue
            evidence = self._reader.read(one.request, one.arrival)
            self._unobserved.append(evidence)
            told = list(self._woods.with_links(evidence.told))
            self._woods.load({s for _, event in told for s in mentioned(event)})
            for source, event in told:
                self._woods.load_producer(source.producer)
                reason = self._builder.take(self._woods.forest, source, event)
                if reason:
                    skipped[reason] += 1
            outgoing.extend(self._routes.handed_on(evidence))
        return outgoing, skipped

    def _commit(self, waiting: Sequence[Waiting], outgoing: list[Outgoing], outcome: Outcome) -> None:
        now = self._clock()
        step = self._woods.changes(now, outcome.deadlines)
        step.at = now
        step.built = [one.id for one in waiting]
        step.outgoing = [*outgoing, *self._routes.built(outcome.spans)]
        if step.built or step.sessions or step.forgotten or step.outgoing or step.emitted or step.servers or step.spans:
            self._store.commit(step)
        self._woods.saved(step)
        self._observe(step)
        if step.outgoing:
            self._wake_senders()

    # telling who watches: only what is committed, since the rest is undone and read again, and would count twice

    def _observe(self, step: Step) -> None:
        seen, self._unobserved = self._unobserved, []
        with unharmed():
            for evidence in seen:
                self._observer.read(evidence)
                unknown = evidence.unknown
                if unknown is not None and not evidence.used:
                    _log.info(
                        "no dialect knows these records",
                        signal=evidence.signal,
                        scope=ascii(unknown),
                        limit_key=unknown,
                        limit_seconds=_HOUR,
                    )
            if step.outgoing:
                self._observer.queued(step.outgoing)

    def _tell(self, reasons: Counter[str], outcome: Outcome) -> None:
        with unharmed():
            self._observer.skipped(reasons)
            self._observer.built(outcome)

    def _until_next(self, now: int) -> float:
        deadline = self._store.next_deadline()
        if deadline is None:
            return 60.0
        return min(60.0, max(0.01, (max(deadline, self._not_before) - now) / SECOND))

    def _purge(self, now: int) -> None:
        if now - self._purged > 3600 * SECOND:
            self._purged = now
            self._store.purge(now - self._limits.retention)

    # the owner's thread, and those who wait for it

    async def _own(self, function: Callable[..., _T], *arguments: Any) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._owner, function, *arguments)

    def _wake_senders(self) -> None:
        if self._tasks:
            self._tasks[0].get_loop().call_soon_threadsafe(self.outbox.wake)

    async def ask(self, question: Callable[[SessionCache, Store], _T]) -> _T:
        """Run something in the owner's thread, between two steps."""
        return await self._own(question, self._woods, self._store)

    async def check(self) -> None:
        """Return when requests can be persisted and built. Raises UnavailableError."""
        if self._stuck:  # a disk may be too full for a step, and still take the little that a check writes
            raise UnavailableError(self._stuck)
        await self._own(self._store.check)

    async def flush(self, sessions: Sequence[str] | None = None) -> int:
        """Close open sessions (these, or all) now, whatever was said; how many closed."""
        return await self._own(self._flush, sessions)

    def _flush(self, sessions: Sequence[str] | None) -> int:
        while waiting := self._take_waiting():
            self._move(self._clock(), waiting, [])
        now, closed = self._clock(), 0
        ids = list(sessions) if sessions is not None else self._store.due(1 << 62, 1_000_000)
        for i in range(0, len(ids), self._limits.step_sessions):
            closed += self._close(ids[i : i + self._limits.step_sessions], now)
        return closed

    def _close(self, sessions: Sequence[str], now: int) -> int:
        try:
            self._woods.load_trees(sessions)
            outcome = self._builder.advance(self._woods.forest, sessions, now, flush=True)
            self._commit((), [], outcome)
        except Exception:
            self._undo()
            raise
        self._tell(outcome.discards, outcome)
        return len(outcome.closed)

    async def backlog(self) -> QueueSize:
        """How much is accepted and not built."""
        return await self._own(self._store.backlog)
