"""The pipeline's order of effects: when requests are answered, built and queued, and how often. The tests move the
clock."""

import asyncio
import random
import threading
from collections import Counter

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan
from structlog.testing import capture_logs

from receiver.core.state.settings import SECOND, BuilderSettings
from receiver.diagnostics.rate_limit import RateLimitProcessor
from receiver.errors import UnavailableError
from receiver.pipeline.offline import build
from receiver.pipeline.pipeline import DAY, MAX_ATTEMPTS, Limits, Pipeline
from receiver.pipeline.routing import Routes
from receiver.storage.interface import NO_EXPORTER, Outgoing, QueueSize, StateChange
from receiver.storage.sqlite_store import SQLiteStore
from tests.support.factories import NOON, at, logs_request, relay_record, spans_request
from tests.support.otlp_requests import joined, recorded, singles, span_ids, spans_in

SETTINGS = BuilderSettings(idle_timeout=60 * SECOND, inactivity_timeout=600 * SECOND, settle=2 * SECOND)
OUT = Routes(traces=("out",))
ALL = (100_000, 1 << 40)


def a_session(name, begin=0.0, calls=2, parent=None):
    """A session's records: created, some calls, idle."""
    info = {"id": name, "time": {"created": at(begin) // 1_000_000}, **({"parentID": parent} if parent else {})}
    records = [relay_record("session.created", begin, {"info": info}, session_id=name)]
    for number in range(calls):
        start, end = begin + 1 + number, begin + 1.5 + number
        state = {"status": "completed", "time": {"start": at(start) // 1_000_000, "end": at(end) // 1_000_000}}
        part = {"type": "tool", "tool": "bash", "callID": f"{name}-{number}", "state": state}
        records.append(relay_record("message.part.updated", end, {"part": part}, session_id=name))
    return [*records, relay_record("session.idle", begin + 2 + calls, {}, session_id=name)]


def a_request(*names, **fields):
    return logs_request(*(record for name in names for record in a_session(name, **fields)))


class Clock:
    def __init__(self):
        self.now = NOON

    def __call__(self):
        return self.now


class Running:
    """A pipeline with a store in a folder, its clock, and the contents of its queues."""

    def __init__(self, folder, clock, store=SQLiteStore, **settings):
        self.folder, self.clock, self.stopped = folder, clock, False
        self.store = store(folder, fsync=False)
        settings = {"routes": OUT, **settings}
        self.pipeline = Pipeline(self.store, settings.pop("settings", SETTINGS), clock=clock, **settings)

    async def send(self, *requests):
        for request in requests:
            await self.pipeline.accept(request)

    async def quiet(self):
        """Return when the pipeline has nothing to do at the clock's present time."""
        async with asyncio.timeout(60):
            while not await self.pipeline.ask(self._is_quiet):
                self.pipeline.wake()
                await asyncio.sleep(0)

    def _is_quiet(self, _, store):
        waits_for_stragglers = self.clock.now < self.pipeline._not_before
        return not store.backlog().rows and (waits_for_stragglers or not store.due(self.clock.now, 1))

    async def go_on(self, seconds):
        self.clock.now += round(seconds * SECOND)
        await self.quiet()

    async def run_out(self):
        """Let time pass until no session is open."""
        await self.quiet()
        while (deadline := await self.pipeline.ask(lambda _, store: store.next_deadline())) is not None:
            self.clock.now = max(self.clock.now, deadline, self.pipeline._not_before)
            await self.quiet()

    async def bodies(self, name="out"):
        return [row.body for row in await self.pipeline.ask(lambda _, store: store.queue_head(name, (), *ALL))]

    async def spans(self):
        bodies = await self.bodies()
        ids = span_ids(bodies)
        assert len(ids) == len(set(ids)), "a span was queued twice"
        return spans_in(bodies)

    async def stop(self):
        if not self.stopped:
            self.stopped = True
            await self.pipeline.stop()
            await self.pipeline.close()


@pytest.fixture
async def start(tmp_path):
    clock = Clock()
    started = []

    async def start(folder="store", **settings):
        running = Running(tmp_path / folder, clock, **settings)
        started.append(running)
        await running.pipeline.start()
        return running

    yield start
    for running in started:
        await running.stop()


def expected(*requests, settings=SETTINGS):
    return spans_in(build(requests, settings).requests())


# the order of effects


class Gate(SQLiteStore):
    """A store whose appends and commits can be blocked, and are counted."""

    def __init__(self, *args, **settings):
        super().__init__(*args, **settings)
        self.may_append, self.may_commit = threading.Event(), threading.Event()
        self.may_append.set()
        self.may_commit.set()
        self.done = Counter()

    def append(self, arrival, requests):
        assert self.may_append.wait(10)
        self.done["append"] += 1
        return super().append(arrival, requests)

    def commit(self, change):
        assert self.may_commit.wait(10)
        self.done["commit"] += 1
        super().commit(change)


async def test_a_request_is_answered_after_it_is_committed_and_before_it_is_built(start):
    running = await start(store=Gate)
    running.store.may_append.clear()
    running.store.may_commit.clear()
    sending = asyncio.create_task(running.send(a_request("ses_a")))
    done, _ = await asyncio.wait([sending], timeout=0.1)
    assert not done
    running.store.may_append.set()
    await sending
    assert running.store.done == {"append": 1}
    assert running.store.backlog().rows == 1
    running.store.may_commit.set()
    await running.quiet()
    assert running.store.done["commit"] >= 1


async def test_all_requests_in_flight_share_one_commit(start):
    running = await start(store=Gate)
    running.store.may_append.clear()
    first = asyncio.create_task(running.send(a_request("ses_first")))
    await asyncio.sleep(0)
    others = [asyncio.create_task(running.send(a_request(f"ses_{i}"))) for i in range(50)]
    await asyncio.sleep(0)
    running.store.may_append.set()
    await asyncio.gather(first, *others)
    assert running.store.done["append"] <= 2


async def test_a_request_that_cannot_be_persisted_is_answered_with_unavailable(start):
    running = await start()
    await running.pipeline.ask(lambda _, store: store._db.execute("PRAGMA max_page_count = 1"))
    with pytest.raises(UnavailableError):
        await running.send(logs_request(*(relay_record("session.idle", 0, {"x": "y" * 10_000}) for _ in range(50))))
    await running.pipeline.ask(lambda _, store: store._db.execute("PRAGMA max_page_count = 100000"))
    await running.send(a_request("ses_a"))
    await running.run_out()
    assert await running.spans() == expected(a_request("ses_a"))


async def test_a_calls_span_is_emitted_after_settle_and_its_sessions_after_idle_timeout(start):
    running = await start()
    await running.send(a_request("ses_a", calls=1))
    await running.go_on(1.9)
    assert await running.spans() == []
    await running.go_on(0.1)
    assert len(await running.spans()) == 1
    await running.go_on(59.9)
    assert len(await running.spans()) == 1
    await running.go_on(0.1)
    assert await running.spans() == expected(a_request("ses_a", calls=1))


async def test_stopping_refuses_new_requests_and_builds_the_accepted_ones(start):
    running = await start(store=Gate)
    running.store.may_append.clear()
    sending = asyncio.create_task(running.send(a_request("ses_a")))
    await asyncio.sleep(0)
    stopping = asyncio.create_task(running.pipeline.stop())
    await asyncio.sleep(0)
    with pytest.raises(UnavailableError, match="shutting down"):
        await running.send(a_request("ses_b"))
    running.store.may_append.set()
    await asyncio.gather(sending, stopping)
    assert running.store.backlog().rows == 0
    assert [row.id for row in running.store.all_open(10)] == ["ses_a"]


# streaming equals batch

CAPTURES = ["parallel-nested", "plugin-spans", "native-export", "native-resumed"]


@pytest.mark.parametrize("name", CAPTURES)
async def test_streamed_recordings_give_the_spans_of_offline_build(start, name):
    running = await start()
    await running.send(*recorded(name))
    await running.run_out()
    assert await running.spans() == expected(*recorded(name))
    assert len(await running.spans()) > 15


@pytest.mark.parametrize("seed", range(4))
async def test_order_duplicates_and_batching_of_records_do_not_change_the_spans(start, seed):
    chance = random.Random(seed)
    records = singles(recorded("parallel-nested"))
    mixed = [*records, *chance.sample(records, len(records) // 2)]
    chance.shuffle(mixed)
    running = await start()
    await running.send(*joined(mixed, chance.choice([1, 7, 64])))
    await running.run_out()
    assert await running.spans() == expected(*recorded("parallel-nested"))


@pytest.mark.parametrize("name", CAPTURES)
async def test_a_restart_after_each_request_does_not_change_the_spans(start, name):
    running = await start()
    for request in recorded(name):
        await running.send(request)
        await running.stop()
        running = await start()
    await running.run_out()
    assert await running.spans() == expected(*recorded(name))


async def test_a_small_session_cache_does_not_change_the_spans(start):
    names = [f"ses_{i}" for i in range(12)]
    requests = [a_request(name, calls=3) for name in names]
    requests += [a_request(f"{name}_child", begin=1, parent=name) for name in names]
    running = await start(limits=Limits(sessions_in_memory=3))
    await running.send(*joined(singles(requests), 5), *recorded("parallel-nested"))
    await running.run_out()
    assert await running.spans() == expected(*requests, *recorded("parallel-nested"))
    assert await running.pipeline.ask(lambda cache, _: len(cache.forest.sessions)) <= 3


@pytest.mark.parametrize("name", ["native-export", "native-resumed"])
@pytest.mark.parametrize("seed", range(3))
async def test_a_small_span_cache_does_not_change_the_links(start, monkeypatch, name, seed):
    monkeypatch.setattr("receiver.pipeline.session_cache.MAX_SPANS", 0)
    records = singles(recorded(name))
    random.Random(seed).shuffle(records)
    running = await start(limits=Limits(step_items=5))
    await running.send(*records)
    await running.run_out()
    assert await running.spans() == expected(*recorded(name))
    assert await running.pipeline.ask(lambda cache, _: len(cache.forest.lineage.spans)) == 0


async def test_a_late_record_of_a_closed_session_gives_a_span_in_its_trace(start):
    running = await start(limits=Limits(sessions_in_memory=0))
    await running.send(logs_request(*a_session("ses_a")[:2], *a_session("ses_a")[-1:]))
    await running.run_out()
    before = await running.spans()
    await running.send(logs_request(a_session("ses_a")[2]))
    await running.run_out()
    (late,) = set(await running.spans()) - set(before)
    assert b"opencode.late" in late


# bounds


async def test_a_full_backlog_refuses_requests_until_it_is_built(start):
    running = await start(limits=Limits(backlog_items=10, queue_items=1))
    full = StateChange(outgoing=[Outgoing("out", "traces", 1, b"")])
    await running.pipeline.ask(lambda _, store: store.commit(full))
    await running.send(a_request("ses_a"), a_request("ses_b"))
    with pytest.raises(UnavailableError, match="too many records wait"):
        await running.send(a_request("ses_c"))
    (row,) = running.store.queue_head("out", (), *ALL)
    await running.pipeline.ask(lambda _, store: store.queue_done([row.id]))
    await running.quiet()
    await running.send(a_request("ses_c"))
    await running.quiet()
    assert {row.id for row in running.store.all_open(10)} == {"ses_a", "ses_b", "ses_c"}


async def test_requests_that_are_being_committed_count_towards_the_backlog(start):
    running = await start(store=Gate, limits=Limits(backlog_items=10))
    running.store.may_append.clear()
    sending = [asyncio.create_task(running.send(a_request(f"ses_{i}"))) for i in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(UnavailableError, match="too many records wait"):
        await running.send(a_request("ses_c"))
    running.store.may_append.set()
    await asyncio.gather(*sending)
    await running.quiet()
    await running.send(a_request("ses_c"))


async def test_a_request_larger_than_the_backlog_bound_is_accepted_when_the_backlog_is_empty(start):
    running = await start(limits=Limits(backlog_items=2))
    await running.send(a_request("ses_a", calls=10))


async def test_building_waits_while_a_sending_queue_is_full_and_loses_no_span(start):
    running = await start(limits=Limits(queue_items=2))
    requests = [a_request(f"ses_{i}", calls=1) for i in range(5)]
    taken = []
    for request in requests:
        await running.send(request)
        running.clock.now += 3 * SECOND
    for _ in range(100):
        running.pipeline.wake()
        rows = await running.pipeline.ask(lambda _, store: store.queue_head("out", (), *ALL))
        assert sum(row.items for row in rows) < 20
        taken += [row.body for row in rows]
        await running.pipeline.ask(lambda _, store, rows=rows: store.queue_done([row.id for row in rows]))
        running.clock.now += 10 * SECOND
    assert running.store.backlog() == QueueSize(0, 0)
    assert spans_in(taken) == expected(*requests)


async def test_the_log_says_once_that_building_waits_and_once_that_it_resumed(start):
    running = await start(limits=Limits(queues={"out": 20}))
    with capture_logs() as logged:
        await queue(running, ("traces", 23, b""))
        await running.send(a_request("ses_a"))
        for _ in range(3):
            running.pipeline.wake()
            await running.pipeline.ask(lambda *_: None)
        assert running.store.backlog().rows == 1
        (row,) = await running.pipeline.ask(lambda _, store: store.queue_head("out", (), *ALL))
        await running.pipeline.ask(lambda _, store: store.queue_done([row.id]))
        await running.quiet()
    waits, resumed = logged
    assert (waits["log_level"], waits["exporter"], waits["items"], waits["queue_size"]) == ("warning", "out", 23, 20)
    assert "sending_queue::queue_size" in waits["then"]
    assert (resumed["log_level"], resumed["event"]) == ("info", "building resumed")


async def test_no_session_closes_for_inactivity_while_its_later_records_are_in_the_backlog(start):
    """Building waited for hours, while accepted requests were in the store."""
    running = await start(limits=Limits(queue_items=1_000, step_items=1))
    await queue(running, ("traces", 1_000, b""))
    records = singles([a_request("ses_a", calls=10)])
    for record in records:
        await running.send(record)
        running.clock.now += SECOND
    running.clock.now += 9_000 * SECOND
    (row,) = await running.pipeline.ask(lambda _, store: store.queue_head("out", (), *ALL))
    await running.pipeline.ask(lambda _, store: store.queue_done([row.id]))
    await running.run_out()
    assert await running.spans() == expected(*records)


async def test_queued_rows_have_at_most_1_mib(start):
    running = await start()
    errors = []
    for number in range(1200):
        state = {
            "status": "error",
            "error": "x" * 4_000,
            "time": {"start": NOON // 1_000_000, "end": at(1) // 1_000_000},
        }
        part = {"type": "tool", "tool": "bash", "callID": f"c{number}", "state": state}
        errors.append(relay_record("message.part.updated", 1, {"part": part}, session_id="ses_a"))
    await running.send(logs_request(*a_session("ses_a", calls=0), *errors))
    await running.run_out()
    assert max(len(body) for body in await running.bodies()) <= 1 << 20
    assert await running.spans() == expected(logs_request(*a_session("ses_a", calls=0), *errors))


async def test_closed_sessions_are_deleted_after_the_retention(start):
    running = await start(limits=Limits(retention=DAY))
    await running.send(a_request("ses_a"))
    await running.run_out()
    await running.go_on(2 * 24 * 3600)
    await running.send(a_request("ses_b"))  # a purge is part of a step
    await running.quiet()
    assert running.store.sessions(["ses_a"]) == []


# failures


class Failing(SQLiteStore):
    """A store whose commits raise the given errors."""

    failures: list = []

    def commit(self, change):
        if self.failures:
            raise self.failures.pop()
        super().commit(change)


async def test_check_fails_while_commits_fail(start):
    """Also where the store still takes the one page that a check writes."""
    running = await start(store=Failing)
    running.store.failures = [UnavailableError("disk full")] * 1_000_000
    with capture_logs(processors=[RateLimitProcessor()]) as logs:
        await running.send(a_request("ses_a"))
        async with asyncio.timeout(60):
            while not running.pipeline._commit_error:  # noqa: ASYNC110
                await asyncio.sleep(0)
        for _ in range(5):
            assert await running.pipeline._in_owner(running.pipeline._step_safely) is not None
        with pytest.raises(UnavailableError, match="disk full"):
            await running.pipeline.check()
        running.store.failures = []
        await running.quiet()
        await running.pipeline.check()
    assert [one["event"] for one in logs] == ["nothing can be built; trying again", "building resumed"]


@pytest.mark.parametrize("error", [UnavailableError("disk full"), RuntimeError("a defect")])
async def test_a_failed_step_is_rolled_back_and_retried(start, error):
    running = await start(store=Failing)
    running.store.failures = [error, error]
    await running.send(*recorded("parallel-nested"))
    await running.quiet()
    running.store.failures = [error]
    await running.run_out()
    assert await running.spans() == expected(*recorded("parallel-nested"))


async def test_a_request_that_cannot_be_built_is_set_aside_and_the_others_are_built(start):
    running = await start()
    poison, good = a_request("ses_poison"), [a_request(f"ses_{i}") for i in range(3)]
    read, tries = running.pipeline._reader.read, 0

    def fails(request, arrival):
        nonlocal tries
        if request == poison:
            tries += 1
            raise RecursionError("too deep")
        return read(request, arrival)

    running.pipeline._reader.read = fails
    await asyncio.gather(*(running.send(one) for one in (good[0], poison, *good[1:])))
    await running.run_out()
    assert await running.spans() == expected(*good)
    (row,) = running.store.set_aside_rows(10)
    assert (row.exporter, row.signal, row.items) == (NO_EXPORTER, "logs", poison.items)
    assert row.reason.startswith(
        "RecursionError at test_pipeline.py:"
    )  # without the text of the error, which may quote content
    assert MAX_ATTEMPTS <= tries <= 2 * MAX_ATTEMPTS
    # after a fix of the defect it is built like any other
    running.pipeline._reader.read = read
    await running.pipeline.ask(lambda _, store: store.resend([row.id], running.clock.now))
    await running.run_out()
    assert await running.spans() == expected(*good, poison)


async def test_a_session_that_cannot_be_built_does_not_delay_the_others(start):
    running = await start()
    advance = running.pipeline._builder.advance

    def fails(forest, sessions, now, flush=False):
        if "ses_poison" in sessions:
            raise KeyError("a defect")
        return advance(forest, sessions, now, flush)

    running.pipeline._builder.advance = fails
    await running.send(a_request("ses_a", "ses_poison", "ses_b"))
    await running.go_on(2)
    await running.go_on(65)
    assert await running.spans() == expected(a_request("ses_a", "ses_b"))
    running.pipeline._builder.advance = advance
    await running.run_out()
    assert await running.spans() == expected(a_request("ses_a", "ses_poison", "ses_b"))


# flush


async def test_a_flush_builds_the_backlog_and_closes_open_sessions(start):
    running = await start()
    await running.send(a_request("ses_a"), a_request("ses_b"))
    assert await running.pipeline.flush() == 2
    assert await running.spans() == expected(a_request("ses_a", "ses_b"))
    assert await running.pipeline.flush() == 0


async def test_a_flush_of_one_session_leaves_the_others_open(start):
    running = await start()
    await running.send(a_request("ses_a"), a_request("ses_b"))
    assert await running.pipeline.flush(["ses_a", "ses_unknown"]) == 1
    assert [row.id for row in running.store.all_open(10)] == ["ses_b"]


async def test_a_failed_flush_is_rolled_back(start):
    running = await start(store=Failing)
    await running.send(a_request("ses_a"))
    await running.quiet()
    running.store.failures = [RuntimeError("a defect")]
    with pytest.raises(RuntimeError):
        await running.pipeline.flush()
    await running.run_out()
    assert await running.spans() == expected(a_request("ses_a"))


# spans and requests handed on


def foreign(number):
    return WireSpan(trace_id=bytes([number]) * 16, span_id=bytes([number]) * 8, name="not ours", start_time_unix_nano=1)


async def test_spans_that_no_dialect_knows_are_handed_on_byte_for_byte(start):
    running = await start()
    request = spans_request(foreign(1), foreign(2), scope="another program")
    await running.send(request)
    await running.quiet()
    assert await running.bodies() == [request.body]


async def test_of_one_request_known_spans_are_built_and_foreign_spans_handed_on(start):
    running = await start()
    known = recorded("plugin-spans")
    strange = spans_request(foreign(1), scope="another program")
    mixed = [type(one)(one.signal, one.body + strange.body, one.items + 1) for one in known if one.signal == "traces"]
    others = [one for one in known if one.signal != "traces"]
    await running.send(*mixed, *others)
    await running.run_out()
    assert await running.spans() == sorted([*expected(*known), *spans_in([strange.body])])


async def test_a_pipeline_without_the_connector_gets_the_request_byte_for_byte(start):
    routes = Routes(traces=("out",), untouched={"logs": ("logs", "archive")})
    running = await start(routes=routes)
    request = a_request("ses_a")
    await running.send(request)
    await running.run_out()
    assert await running.bodies("logs") == await running.bodies("archive") == [request.body]
    assert await running.spans() == expected(request)


async def test_without_adopt_spans_known_spans_are_handed_on_beside_the_trace_as_offline(start):
    requests = recorded("plugin-spans")
    came = spans_in(r.body for r in requests if r.signal == "traces")
    running = await start(routes=Routes(traces=("out",), adopt_spans=False))
    await running.send(*requests)
    await running.run_out()
    offline = build(requests, SETTINGS, adopt_spans=False)
    assert spans_in(offline.untouched) == came
    assert await running.spans() == spans_in(offline.requests()) == sorted([*expected(*requests), *came])


async def test_a_signal_that_the_connector_does_not_read_is_only_handed_on(start):
    routes = Routes(traces=("out",), untouched={"logs": ("logs",)}, connector=frozenset({"traces"}))
    running = await start(routes=routes)
    await running.send(a_request("ses_a"))
    await running.run_out()
    assert len(await running.bodies("logs")) == 1
    assert await running.spans() == []


# observers


class CountingObserver:
    """Counts what is reported, and raises an error if it is given one."""

    def __init__(self, error=None):
        self.seen = Counter()
        self.error = error

    def request_read(self, result):
        self.seen["used"] += result.used.total()
        self.seen["discarded"] += result.discarded.total()
        if self.error:
            raise self.error

    def items_skipped(self, reasons):
        self.seen.update(reasons)

    def spans_built(self, outcome):
        self.seen["spans"] += len(outcome.spans)

    def requests_queued(self, outgoing):
        self.seen["queued"] += sum(one.items for one in outgoing)


async def test_records_and_spans_are_counted_once_when_a_step_is_retried(start):
    observer = CountingObserver()
    running = await start(store=Failing, observer=observer)
    running.store.failures = [RuntimeError("a defect")] * 2
    requests = recorded("parallel-nested")
    await running.send(*requests)
    await running.run_out()
    assert observer.seen["used"] + observer.seen["discarded"] == sum(one.items for one in requests)
    assert observer.seen["spans"] == observer.seen["queued"] == len(expected(*requests))


async def test_errors_of_an_observer_do_not_affect_the_spans(start):
    running = await start(observer=CountingObserver(RuntimeError("a defect of the observer")))
    await running.send(a_request("ses_a"))
    await running.run_out()
    assert await running.spans() == expected(a_request("ses_a"))


# the sending queue as the senders see it


async def queue(running, *rows):
    change = StateChange(outgoing=[Outgoing("out", signal, items, body) for signal, items, body in rows])
    await running.pipeline.ask(lambda _, store: store.commit(change))


async def test_queued_rows_are_joined_up_to_the_limits_and_never_across_signals(start):
    running = await start()
    sending_queue = running.pipeline.sending_queue
    await queue(running, ("traces", 2, b"aa"), ("traces", 2, b"bb"), ("traces", 2, b"cc"), ("logs", 1, b"dd"))
    first = await sending_queue.next_batch("out", max_items=4, max_bytes=100)
    second = await sending_queue.next_batch("out", max_items=100, max_bytes=1)
    third = await sending_queue.next_batch("out", max_items=100, max_bytes=100)
    assert [(c.signal, c.body, c.items) for c in (first, second, third)] == [
        ("traces", b"aabb", 4),
        ("traces", b"cc", 2),
        ("logs", b"dd", 1),
    ]
    assert await sending_queue.next_batch("out", max_items=100, max_bytes=100) is None
    assert [c.body for c in await sending_queue.split(first)] == [b"aa", b"bb"]
    await sending_queue.done(first)
    await sending_queue.set_aside(second, "no")
    assert running.store.queue_size("out") == QueueSize(1, 1)
    assert [row.reason for row in running.store.set_aside_rows(10)] == ["no"]


async def test_two_consumers_never_get_the_same_rows(start):
    running = await start()
    await queue(running, *(("traces", 1, b"%d" % i) for i in range(20)))
    batches = await asyncio.gather(*(running.pipeline.sending_queue.next_batch("out", 3, 1 << 20) for _ in range(8)))
    ids = [i for batch in batches if batch for i in batch.ids]
    assert len(ids) == len(set(ids)) == 20


async def test_a_waiting_consumer_wakes_when_spans_are_queued(start):
    running = await start()
    sending_queue = running.pipeline.sending_queue
    assert await sending_queue.next_batch("out", 10, 1 << 20) is None
    waiting = asyncio.create_task(sending_queue.wait("out"))
    await running.send(a_request("ses_a"))
    await running.run_out()
    await asyncio.wait_for(waiting, 60)


async def test_rows_in_flight_are_sent_again_after_a_restart(start):
    running = await start()
    await queue(running, ("traces", 1, b"x"))
    before = await running.pipeline.sending_queue.next_batch("out", 10, 1 << 20)
    await running.stop()
    running = await start()
    assert await running.pipeline.sending_queue.next_batch("out", 10, 1 << 20) == before


async def test_the_log_says_once_that_resent_rows_were_taken(start):
    running = await start()
    sending_queue = running.pipeline.sending_queue
    await queue(running, *(("traces", 1, b"%d" % i) for i in range(3)))

    async def finish(taken, rows):
        """The backend takes the next rows, or refuses them."""
        for row in rows:
            batch = await sending_queue.next_batch("out", 1, 1)
            assert batch.body == row
            await (sending_queue.done(batch) if taken else sending_queue.set_aside(batch, "no"))

    async def put_back():
        sending_queue.watch_resent(await running.pipeline.ask(lambda _, store: store.resend(None, 1)))

    with capture_logs() as logged:
        await finish(False, [b"0", b"1", b"2"])
        await put_back()
        await queue(running, ("traces", 1, b"new"))
        await finish(True, [b"0"])
        await finish(False, [b"1"])
        assert not logged
        await finish(True, [b"2"])
        assert len(logged) == 1
        await finish(True, [b"new"])
        await put_back()
        await finish(False, [b"1"])
    (line,) = logged
    assert (line["event"], line["log_level"]) == ("the backend took the resent rows", "info")
    assert (line["exporter"], line["rows"], line["set_aside_again"]) == ("out", 2, 1)
