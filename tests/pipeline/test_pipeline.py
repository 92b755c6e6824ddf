"""The order of effects of pipeline.py: what is answered, built and queued, when and how often. Time goes by hand."""

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
from receiver.pipeline.pipeline import ATTEMPTS, DAY, Limits, Pipeline
from receiver.pipeline.routing import Routes
from receiver.storage.interface import NO_EXPORTER, Outgoing, QueueSize, Step
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
    """A pipeline on a folder, its clock, and what it put into its queues."""

    def __init__(self, folder, clock, store=SQLiteStore, **settings):
        self.folder, self.clock, self.stopped = folder, clock, False
        self.store = store(folder, fsync=False)
        settings = {"routes": OUT, **settings}
        self.pipeline = Pipeline(self.store, settings.pop("settings", SETTINGS), clock=clock, **settings)

    async def send(self, *requests):
        for request in requests:
            await self.pipeline.accept(request)

    async def quiet(self):
        """Return when nothing is left to do at this moment of the clock."""
        async with asyncio.timeout(60):
            while not await self.pipeline.ask(self._is_quiet):
                self.pipeline.wake()
                await asyncio.sleep(0)

    def _is_quiet(self, woods, store):
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
        assert len(ids) == len(set(ids)), "a span left twice"
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
    """A store in which appends and commits can be held up, and are counted."""

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

    def commit(self, step):
        assert self.may_commit.wait(10)
        self.done["commit"] += 1
        super().commit(step)


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


async def test_what_cannot_be_persisted_is_answered_with_unavailable(start):
    running = await start()
    await running.pipeline.ask(lambda _, store: store._db.execute("PRAGMA max_page_count = 1"))
    with pytest.raises(UnavailableError):
        await running.send(logs_request(*(relay_record("session.idle", 0, {"x": "y" * 10_000}) for _ in range(50))))
    await running.pipeline.ask(lambda _, store: store._db.execute("PRAGMA max_page_count = 100000"))
    await running.send(a_request("ses_a"))
    await running.run_out()
    assert await running.spans() == expected(a_request("ses_a"))


async def test_a_call_leaves_when_it_has_settled_and_its_session_when_it_is_quiet(start):
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


async def test_what_is_sent_while_it_stops_is_refused_and_what_was_taken_before_is_built(start):
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
async def test_a_recorded_run_gives_the_spans_of_build(start, name):
    running = await start()
    await running.send(*recorded(name))
    await running.run_out()
    assert await running.spans() == expected(*recorded(name))
    assert len(await running.spans()) > 15


@pytest.mark.parametrize("seed", range(4))
async def test_order_copies_and_batches_do_not_matter(start, seed):
    chance = random.Random(seed)
    records = singles(recorded("parallel-nested"))
    mixed = [*records, *chance.sample(records, len(records) // 2)]
    chance.shuffle(mixed)
    running = await start()
    await running.send(*joined(mixed, chance.choice([1, 7, 64])))
    await running.run_out()
    assert await running.spans() == expected(*recorded("parallel-nested"))


@pytest.mark.parametrize("name", CAPTURES)
async def test_a_restart_after_any_request_does_not_matter(start, name):
    running = await start()
    for request in recorded(name):
        await running.send(request)
        await running.stop()
        running = await start()
    await running.run_out()
    assert await running.spans() == expected(*recorded(name))


async def test_few_sessions_in_memory_give_the_spans_of_many(start):
    names = [f"ses_{i}" for i in range(12)]
    requests = [a_request(name, calls=3) for name in names]
    requests += [a_request(f"{name}_child", begin=1, parent=name) for name in names]
    running = await start(limits=Limits(sessions_in_memory=3))
    await running.send(*joined(singles(requests), 5), *recorded("parallel-nested"))
    await running.run_out()
    assert await running.spans() == expected(*requests, *recorded("parallel-nested"))
    assert await running.pipeline.ask(lambda woods, _: len(woods.forest.sessions)) <= 3


@pytest.mark.parametrize("name", ["native-export", "native-resumed"])
@pytest.mark.parametrize("seed", range(3))
async def test_few_spans_in_memory_state_the_links_of_many(start, monkeypatch, name, seed):
    monkeypatch.setattr("receiver.pipeline.session_cache.SPANS", 0)
    records = singles(recorded(name))
    random.Random(seed).shuffle(records)
    running = await start(limits=Limits(step_items=5))
    await running.send(*records)
    await running.run_out()
    assert await running.spans() == expected(*recorded(name))
    assert await running.pipeline.ask(lambda woods, _: len(woods.forest.lineage.spans)) == 0


async def test_what_is_late_for_a_closed_session_hangs_in_its_trace(start):
    running = await start(limits=Limits(sessions_in_memory=0))
    await running.send(logs_request(*a_session("ses_a")[:2], *a_session("ses_a")[-1:]))
    await running.run_out()
    before = await running.spans()
    await running.send(logs_request(a_session("ses_a")[2]))
    await running.run_out()
    (late,) = set(await running.spans()) - set(before)
    assert b"opencode.late" in late


# bounds


async def test_more_than_may_wait_is_refused_until_it_was_built(start):
    running = await start(limits=Limits(backlog_items=10, queue_items=1))
    full = Step(outgoing=[Outgoing("out", "traces", 1, b"")])
    await running.pipeline.ask(lambda _, store: store.commit(full))
    await running.send(a_request("ses_a"), a_request("ses_b"))
    with pytest.raises(UnavailableError, match="too much is waiting"):
        await running.send(a_request("ses_c"))
    (row,) = running.store.queue_head("out", (), *ALL)
    await running.pipeline.ask(lambda _, store: store.queue_done([row.id]))
    await running.quiet()
    await running.send(a_request("ses_c"))
    await running.quiet()
    assert {row.id for row in running.store.all_open(10)} == {"ses_a", "ses_b", "ses_c"}


async def test_requests_in_flight_count_as_waiting(start):
    running = await start(store=Gate, limits=Limits(backlog_items=10))
    running.store.may_append.clear()
    sending = [asyncio.create_task(running.send(a_request(f"ses_{i}"))) for i in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(UnavailableError, match="too much is waiting"):
        await running.send(a_request("ses_c"))
    running.store.may_append.set()
    await asyncio.gather(*sending)
    await running.quiet()
    await running.send(a_request("ses_c"))


async def test_a_request_larger_than_the_bound_is_taken_when_nothing_waits(start):
    running = await start(limits=Limits(backlog_items=2))
    await running.send(a_request("ses_a", calls=10))


async def test_building_waits_for_a_full_queue_and_loses_nothing(start):
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


async def test_that_building_waits_is_said_once_and_that_it_goes_on(start):
    running = await start(limits=Limits(queues={"out": 20}))
    with capture_logs() as said:
        await queue(running, ("traces", 23, b""))
        await running.send(a_request("ses_a"))
        for _ in range(3):
            running.pipeline.wake()
            await running.pipeline.ask(lambda *_: None)
        assert running.store.backlog().rows == 1
        (row,) = await running.pipeline.ask(lambda _, store: store.queue_head("out", (), *ALL))
        await running.pipeline.ask(lambda _, store: store.queue_done([row.id]))
        await running.quiet()
    waits, goes_on = said
    assert (waits["log_level"], waits["exporter"], waits["items"], waits["queue_size"]) == ("warning", "out", 23, 20)
    assert "sending_queue::queue_size" in waits["then"]
    assert (goes_on["log_level"], goes_on["event"]) == ("info", "building goes on")


async def test_nothing_leaves_for_a_quiet_that_a_request_in_the_backlog_broke(start):
    """Building stood still for hours, while what was accepted lay in the store."""
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


async def test_rows_of_the_queue_are_small_enough_for_a_backend(start):
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


async def test_closed_sessions_are_forgotten_after_their_retention(start):
    running = await start(limits=Limits(retention=DAY))
    await running.send(a_request("ses_a"))
    await running.run_out()
    await running.go_on(2 * 24 * 3600)
    await running.send(a_request("ses_b"))  # what is purged when is looked at now and then, as steps go by
    await running.quiet()
    assert running.store.sessions(["ses_a"]) == []


# what fails


class Failing(SQLiteStore):
    """A store whose commits fail when told to."""

    failures: list = []

    def commit(self, step):
        if self.failures:
            raise self.failures.pop()
        super().commit(step)


async def test_it_is_not_well_while_nothing_can_be_built(start):
    """Although the store may still take the little that a check writes."""
    running = await start(store=Failing)
    running.store.failures = [UnavailableError("disk full")] * 1_000_000
    with capture_logs(processors=[RateLimitProcessor()]) as logs:
        await running.send(a_request("ses_a"))
        async with asyncio.timeout(60):
            while not running.pipeline._stuck:  # noqa: ASYNC110
                await asyncio.sleep(0)
        for _ in range(5):
            assert await running.pipeline._own(running.pipeline._step_safely) is not None
        with pytest.raises(UnavailableError, match="disk full"):
            await running.pipeline.check()
        running.store.failures = []
        await running.quiet()
        await running.pipeline.check()
    assert [one["event"] for one in logs] == ["nothing can be built; trying again", "building goes on"]


@pytest.mark.parametrize("error", [UnavailableError("disk full"), RuntimeError("a defect")])
async def test_a_step_that_fails_is_undone_and_tried_again(start, error):
    running = await start(store=Failing)
    running.store.failures = [error, error]
    await running.send(*recorded("parallel-nested"))
    await running.quiet()
    running.store.failures = [error]
    await running.run_out()
    assert await running.spans() == expected(*recorded("parallel-nested"))


async def test_a_request_that_cannot_be_built_is_set_aside_and_the_others_go_on(start):
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
    assert row.reason.startswith("RecursionError at test_pipeline.py:")  # not its text: that may quote content
    assert ATTEMPTS <= tries <= 2 * ATTEMPTS
    # when the defect is mended, it is built as if nothing had been
    running.pipeline._reader.read = read
    await running.pipeline.ask(lambda _, store: store.resend([row.id], running.clock.now))
    await running.run_out()
    assert await running.spans() == expected(*good, poison)


async def test_a_session_that_cannot_be_built_does_not_hold_up_the_others(start):
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


async def test_a_flush_closes_what_is_open_and_builds_what_waits_first(start):
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


async def test_a_flush_that_fails_is_undone(start):
    running = await start(store=Failing)
    await running.send(a_request("ses_a"))
    await running.quiet()
    running.store.failures = [RuntimeError("a defect")]
    with pytest.raises(RuntimeError):
        await running.pipeline.flush()
    await running.run_out()
    assert await running.spans() == expected(a_request("ses_a"))


# what passes through


def foreign(number):
    return WireSpan(trace_id=bytes([number]) * 16, span_id=bytes([number]) * 8, name="not ours", start_time_unix_nano=1)


async def test_spans_that_nobody_knows_go_on_as_they_came(start):
    running = await start()
    request = spans_request(foreign(1), foreign(2), scope="somebody")
    await running.send(request)
    await running.quiet()
    assert await running.bodies() == [request.body]


async def test_known_and_unknown_spans_of_one_request_part(start):
    running = await start()
    known = recorded("plugin-spans")
    strange = spans_request(foreign(1), scope="somebody")
    mixed = [type(one)(one.signal, one.body + strange.body, one.items + 1) for one in known if one.signal == "traces"]
    others = [one for one in known if one.signal != "traces"]
    await running.send(*mixed, *others)
    await running.run_out()
    assert await running.spans() == sorted([*expected(*known), *spans_in([strange.body])])


async def test_what_a_pipeline_hands_on_untouched_is_byte_for_byte_what_came(start):
    routes = Routes(traces=("out",), untouched={"logs": ("logs", "archive")})
    running = await start(routes=routes)
    request = a_request("ses_a")
    await running.send(request)
    await running.run_out()
    assert await running.bodies("logs") == await running.bodies("archive") == [request.body]
    assert await running.spans() == expected(request)


async def test_known_spans_that_are_not_adopted_go_on_untouched_beside_the_trace_as_offline(start):
    requests = recorded("plugin-spans")
    came = spans_in(r.body for r in requests if r.signal == "traces")
    running = await start(routes=Routes(traces=("out",), adopt_spans=False))
    await running.send(*requests)
    await running.run_out()
    offline = build(requests, SETTINGS, adopt_spans=False)
    assert spans_in(offline.untouched) == came
    assert await running.spans() == spans_in(offline.requests()) == sorted([*expected(*requests), *came])


async def test_a_signal_that_the_connector_does_not_take_is_only_handed_on(start):
    routes = Routes(traces=("out",), untouched={"logs": ("logs",)}, connector=frozenset({"traces"}))
    running = await start(routes=routes)
    await running.send(a_request("ses_a"))
    await running.run_out()
    assert len(await running.bodies("logs")) == 1
    assert await running.spans() == []


# who watches


class Watching:
    """Counts what it is told, and fails if it is to."""

    def __init__(self, error=None):
        self.seen = Counter()
        self.error = error

    def read(self, evidence):
        self.seen["used"] += evidence.used.total()
        self.seen["discarded"] += evidence.discarded.total()
        if self.error:
            raise self.error

    def skipped(self, reasons):
        self.seen.update(reasons)

    def built(self, outcome):
        self.seen["spans"] += len(outcome.spans)

    def queued(self, outgoing):
        self.seen["queued"] += sum(one.items for one in outgoing)


async def test_everything_is_counted_once_also_when_a_step_is_tried_again(start):
    watching = Watching()
    running = await start(store=Failing, observer=watching)
    running.store.failures = [RuntimeError("a defect")] * 2
    requests = recorded("parallel-nested")
    await running.send(*requests)
    await running.run_out()
    assert watching.seen["used"] + watching.seen["discarded"] == sum(one.items for one in requests)
    assert watching.seen["spans"] == watching.seen["queued"] == len(expected(*requests))


async def test_an_observer_that_fails_harms_nobody(start):
    running = await start(observer=Watching(RuntimeError("nobody's business")))
    await running.send(a_request("ses_a"))
    await running.run_out()
    assert await running.spans() == expected(a_request("ses_a"))


# the sending queue as the senders see it


async def queue(running, *rows):
    step = Step(outgoing=[Outgoing("out", signal, items, body) for signal, items, body in rows])
    await running.pipeline.ask(lambda _, store: store.commit(step))


async def test_rows_are_joined_up_to_the_limits_and_never_across_signals(start):
    running = await start()
    outbox = running.pipeline.outbox
    await queue(running, ("traces", 2, b"aa"), ("traces", 2, b"bb"), ("traces", 2, b"cc"), ("logs", 1, b"dd"))
    first = await outbox.head("out", max_items=4, max_bytes=100)
    second = await outbox.head("out", max_items=100, max_bytes=1)
    third = await outbox.head("out", max_items=100, max_bytes=100)
    assert [(c.signal, c.body, c.items) for c in (first, second, third)] == [
        ("traces", b"aabb", 4),
        ("traces", b"cc", 2),
        ("logs", b"dd", 1),
    ]
    assert await outbox.head("out", max_items=100, max_bytes=100) is None
    assert [c.body for c in await outbox.split(first)] == [b"aa", b"bb"]
    await outbox.done(first)
    await outbox.set_aside(second, "no")
    assert running.store.queue_size("out") == QueueSize(1, 1)
    assert [row.reason for row in running.store.set_aside_rows(10)] == ["no"]


async def test_two_consumers_are_never_given_the_same_rows(start):
    running = await start()
    await queue(running, *(("traces", 1, b"%d" % i) for i in range(20)))
    chunks = await asyncio.gather(*(running.pipeline.outbox.head("out", 3, 1 << 20) for _ in range(8)))
    ids = [i for chunk in chunks if chunk for i in chunk.ids]
    assert len(ids) == len(set(ids)) == 20


async def test_a_consumer_is_woken_by_what_is_built(start):
    running = await start()
    outbox = running.pipeline.outbox
    assert await outbox.head("out", 10, 1 << 20) is None
    waiting = asyncio.create_task(outbox.wait("out"))
    await running.send(a_request("ses_a"))
    await running.run_out()
    await asyncio.wait_for(waiting, 60)


async def test_what_was_in_flight_is_sent_again_by_the_next_process(start):
    running = await start()
    await queue(running, ("traces", 1, b"x"))
    before = await running.pipeline.outbox.head("out", 10, 1 << 20)
    await running.stop()
    running = await start()
    assert await running.pipeline.outbox.head("out", 10, 1 << 20) == before


async def test_that_rows_that_were_put_back_were_taken_is_said_once(start):
    running = await start()
    outbox = running.pipeline.outbox
    await queue(running, *(("traces", 1, b"%d" % i) for i in range(3)))

    async def fare(taken, rows):
        """The next rows are taken, or set aside."""
        for row in rows:
            chunk = await outbox.head("out", 1, 1)
            assert chunk.body == row
            await (outbox.done(chunk) if taken else outbox.set_aside(chunk, "no"))

    async def put_back():
        outbox.put_back(await running.pipeline.ask(lambda _, store: store.resend(None, 1)))

    with capture_logs() as said:
        await fare(False, [b"0", b"1", b"2"])
        await put_back()
        await queue(running, ("traces", 1, b"new"))
        await fare(True, [b"0"])
        await fare(False, [b"1"])
        assert not said
        await fare(True, [b"2"])
        assert len(said) == 1
        await fare(True, [b"new"])
        await put_back()
        await fare(False, [b"1"])
    (line,) = said
    assert (line["event"], line["log_level"]) == ("rows that were sent again were taken", "info")
    assert (line["exporter"], line["rows"], line["set_aside_again"]) == ("out", 2, 1)
