"""The sender: order, backoff, refusals, splitting, and that no row leaves the queue too early."""

import asyncio
import itertools

import pytest
from structlog.testing import capture_logs

from receiver.diagnostics.rate_limit import RateLimitProcessor
from receiver.errors import ConfigError, PermanentExportError, RetryableExportError
from receiver.exporters.sender import Batch, Failure, RetryOnFailure, Sender
from tests.support.virtual_time import VirtualTime


class MemoryQueue:
    """A sending queue in memory, with the guarantees of the persistent one."""

    def __init__(self, *rows):
        self.rows = dict(enumerate(rows, 1))  # id -> body
        self.in_flight = set()
        self.aside = {}
        self.fail_next = []
        self.emptied = asyncio.Event()
        self._news = asyncio.Event()

    def put(self, body):
        self.rows[max(self.rows, default=0) + 1] = body
        self.emptied.clear()
        self._news.set()

    async def next_batch(self, exporter, max_items, max_bytes):
        self._maybe_fail()
        self._news.clear()
        ids = [number for number in self.rows if number not in self.in_flight][:max_items]
        self.in_flight.update(ids)
        return self._batch(ids) if ids else None

    async def split(self, batch):
        return [self._batch([number]) for number in batch.ids]

    async def done(self, batch):
        self._maybe_fail()
        self._remove(batch)

    async def set_aside(self, batch, reason):
        self._maybe_fail()
        for number in batch.ids:
            self.aside[self.rows[number]] = reason
        self._remove(batch)

    async def wait(self, exporter):
        await self._news.wait()

    def _batch(self, ids):
        return Batch(tuple(ids), "traces", b"".join(self.rows[number] for number in ids), len(ids))

    def _remove(self, batch):
        for number in batch.ids:
            del self.rows[number]
        self.in_flight.difference_update(batch.ids)
        if not self.rows:
            self.emptied.set()

    def _maybe_fail(self):
        if self.fail_next:
            raise self.fail_next.pop()


class Backend:
    """An exporter that takes every body without `refuses` in it, after the errors (or None) in `script`."""

    name = "otlp_grpc"

    def __init__(self, *script, refuses=b""):
        self.taken = []
        self.script = list(script)
        self.refuses = refuses
        self.running = False

    async def start(self):
        self.running = True

    async def stop(self):
        self.running = False

    async def export(self, signal, body, items):
        error = self.script.pop(0) if self.script else None
        if error:
            raise error
        if self.refuses and self.refuses in body:
            raise PermanentExportError("no such thing")
        self.taken.append(body)


class Running:
    """A started sender and what it counted."""

    def __init__(self, queue, exporter, time, **settings):
        self.counted = []
        self.time = time
        self.sender = Sender(
            queue,
            exporter,
            observe=lambda *event: self.counted.append(event),
            clock=lambda: time.now,
            now=lambda: round(time.now * 1e9),
            sleep=time.sleep,
            random=lambda: 0.5,
            **settings,
        )


@pytest.fixture
async def run():
    """Run a sender in virtual time until the queue is empty."""
    senders = []

    async def start(queue, exporter, **settings):
        running = Running(queue, exporter, VirtualTime(), **settings)
        await running.sender.start()
        senders.append(running.sender)
        if queue.rows:
            await asyncio.wait_for(queue.emptied.wait(), 60)
        return running

    yield start
    for sender in senders:
        await sender.stop()


def unavailable(retry_after=None):
    return RetryableExportError("UNAVAILABLE", retry_after)


async def test_rows_are_sent_in_order_and_in_one_batch(run):
    queue, backend = MemoryQueue(b"1", b"2", b"3"), Backend()

    running = await run(queue, backend)

    assert backend.taken == [b"123"]
    assert running.counted == [("sent", "traces", "otlp_grpc", 3)]


async def test_rows_that_come_later_are_sent_too(run):
    queue, backend = MemoryQueue(), Backend()
    await run(queue, backend)

    queue.put(b"later")

    await asyncio.wait_for(queue.emptied.wait(), 60)
    assert backend.taken == [b"later"]


async def test_backoff_grows_to_max_interval_as_the_collectors_does(run):
    running = await run(MemoryQueue(b"1"), Backend(*[unavailable() for _ in range(7)]))

    assert running.time.slept == pytest.approx([5, 7.5, 11.25, 16.875, 25.3125, 30, 30])


def test_backoff_is_spread_by_the_randomization_factor():
    retry = RetryOnFailure(initial_interval=10, randomization_factor=0.5)

    assert next(retry.intervals(lambda: 0.0)) == 5
    assert next(retry.intervals(lambda: 1.0)) == 15


async def test_retry_after_is_a_lower_bound_of_the_backoff(run):
    running = await run(MemoryQueue(b"1"), Backend(unavailable(60), unavailable(1)))

    assert running.time.slept == [60, 7.5]


async def test_a_row_stays_in_the_queue_until_the_backend_takes_it(run):
    queue = MemoryQueue(b"1")
    seen = []

    class Watching(Backend):
        async def export(self, signal, body, items):
            seen.append(dict(queue.rows))
            await super().export(signal, body, items)

    await run(queue, Watching(unavailable()))

    assert seen == [{1: b"1"}, {1: b"1"}]


async def test_a_refused_row_is_set_aside_with_the_reason_and_not_resent(run):
    queue, backend = MemoryQueue(b"bad"), Backend(refuses=b"bad")

    running = await run(queue, backend)

    assert queue.aside == {b"bad": "no such thing"}
    assert running.time.slept == []
    assert running.counted == [("send_failed", "traces", "otlp_grpc", 1)]


async def test_only_the_bad_row_of_a_batch_is_set_aside(run):
    queue, backend = MemoryQueue(b"1", b"bad", b"3"), Backend(refuses=b"bad")

    await run(queue, backend)

    assert backend.taken == [b"1", b"3"]
    assert list(queue.aside) == [b"bad"]


async def test_retries_continue_while_rows_are_sent_one_by_one(run):
    queue = MemoryQueue(b"1", b"2")
    backend = Backend(PermanentExportError("too large"), None, unavailable())

    running = await run(queue, backend)

    assert backend.taken == [b"1", b"2"]
    assert running.time.slept == [5]


async def test_a_failed_batch_is_set_aside_at_once_with_retries_disabled(run):
    queue = MemoryQueue(b"1", b"2")

    running = await run(queue, Backend(unavailable()), retry=RetryOnFailure(enabled=False))

    assert queue.aside == {b"1": "UNAVAILABLE", b"2": "UNAVAILABLE"}
    assert running.time.slept == []


async def test_max_elapsed_time_ends_the_retries(run):
    queue = MemoryQueue(b"1")
    backend = Backend(*[unavailable() for _ in range(9)])

    running = await run(queue, backend, retry=RetryOnFailure(max_elapsed_time=20))

    assert running.time.slept == pytest.approx([5, 7.5])  # the third pause would end after 23.75 s
    assert queue.aside == {b"1": "given up after 12 s: UNAVAILABLE"}


async def test_an_unexpected_exporter_error_is_logged_and_retried(run):
    queue, backend = MemoryQueue(b"1"), Backend(KeyError("defect"))

    with capture_logs() as logs:
        await run(queue, backend)

    assert backend.taken == [b"1"]
    assert logs[0]["event"] == "unexpected error in an exporter"


async def test_a_backend_that_refuses_every_batch_is_logged_once_a_minute(run):
    bodies = [b"%d" % number for number in range(50)]
    queue = MemoryQueue(*bodies)

    with capture_logs(processors=[RateLimitProcessor(lambda: 0.0)]) as logs:
        await run(queue, Backend(*[PermanentExportError("no such tenant")] * 100))

    assert queue.aside.keys() == set(bodies)
    (line,) = [one for one in logs if one["log_level"] != "debug"]
    assert (line["event"], line["then"]) == ("batch set aside", "opencode-trace-receiver resend")


async def test_the_first_success_after_failures_is_logged(run):
    queue, backend = MemoryQueue(b"1", b"2"), Backend(unavailable(), unavailable())

    with capture_logs() as logs:
        await run(queue, backend)

    assert [event["event"] for event in logs] == [
        "export failed; will retry",
        "export failed; will retry",
        "export works again",
    ]
    assert logs[2]["after_seconds"] == pytest.approx(12.5)


class FailureRecorder(Backend):
    """Records before each attempt the failure that the sender reports."""

    def __init__(self, *script, **refuses):
        super().__init__(*script, **refuses)
        self.failures = []

    async def export(self, signal, body, items):
        self.failures.append(self.failure())
        await super().export(signal, body, items)


async def reported_failures(queue, backend, **settings):
    """The failures that a sender reports before each attempt, and at the end."""
    running = Running(queue, backend, VirtualTime(), **settings)
    backend.failure = running.sender.failure
    await running.sender.start()
    await asyncio.wait_for(queue.emptied.wait(), 60)
    await running.sender.stop()
    return [*backend.failures, running.sender.failure()]


async def test_a_failing_batch_is_reported_with_reason_start_and_attempts():
    failures = await reported_failures(
        MemoryQueue(b"1"), FailureRecorder(unavailable(), RetryableExportError("HTTP 503"), KeyError("a defect"))
    )

    assert failures[0] is None
    assert failures[1:3] == [Failure("UNAVAILABLE", 0, 1), Failure("HTTP 503", 0, 2)]
    assert (failures[3].reason.partition(" at ")[0], failures[3].attempts) == ("KeyError", 3)
    assert failures[4:] == [None]


async def test_a_batch_that_is_set_aside_is_no_longer_reported_as_failing():
    retry = RetryOnFailure(max_elapsed_time=6)
    given_up = await reported_failures(MemoryQueue(b"1"), FailureRecorder(unavailable(), unavailable()), retry=retry)
    refused = await reported_failures(MemoryQueue(b"bad"), FailureRecorder(unavailable(), refuses=b"bad"))

    assert [failure and failure.attempts for failure in given_up] == [None, 1, None]
    assert [failure and failure.attempts for failure in refused] == [None, 1, None]


async def test_the_batch_that_fails_longest_is_reported():
    queue, backend = MemoryQueue(b"1", b"2"), FailureRecorder(*[unavailable() for _ in range(6)])

    failures = await reported_failures(queue, backend, num_consumers=2, max_items=1)

    since = [failure.since for failure in failures if failure]
    assert since[0] == 0
    assert since == sorted(since)  # a batch that fails later stands behind until the first one was taken
    assert failures[-1] is None


@pytest.mark.parametrize("failures", [1, 2])
async def test_sending_survives_a_store_that_fails_for_a_while(run, failures):
    queue, backend = MemoryQueue(b"1"), Backend()
    queue.fail_next = [OSError("disk full")] * failures

    running = await run(queue, backend)

    assert backend.taken == [b"1"]
    assert len(running.time.slept) == failures


async def test_a_sent_batch_that_cannot_be_removed_is_not_sent_again(run):
    queue = MemoryQueue(b"1")

    class Filling(Backend):
        async def export(self, signal, body, items):
            await super().export(signal, body, items)
            queue.fail_next = [OSError("disk full")]

    backend = Filling()
    await run(queue, backend)

    assert backend.taken == [b"1"]


async def test_stopping_is_prompt_and_keeps_the_batch_in_the_queue():
    queue = MemoryQueue(b"1")
    begun = asyncio.Event()

    class Hanging(Backend):
        async def export(self, signal, body, items):
            begun.set()
            await asyncio.Event().wait()

    backend = Hanging()
    sender = Sender(queue, backend)
    await sender.start()
    await begun.wait()

    async with asyncio.timeout(60):
        await sender.stop()

    assert queue.rows == {1: b"1"}
    assert not backend.running


async def test_a_sent_batch_is_counted_although_the_sender_stops_before_its_removal():
    queue = MemoryQueue(b"a")
    asked, go_on, counted = asyncio.Event(), asyncio.Event(), []
    forget = queue.done

    async def slowly(batch):
        asked.set()
        await go_on.wait()
        await forget(batch)

    queue.done = slowly
    sender = Sender(queue, Backend(), observe=lambda *what: counted.append(what))
    await sender.start()
    await asked.wait()
    stopping = asyncio.create_task(sender.stop())
    await asyncio.sleep(0)
    go_on.set()
    await stopping
    assert not queue.rows
    assert counted == [("sent", "traces", "otlp_grpc", 1)]


async def test_stopping_does_not_wait_for_the_backoff():
    queue = MemoryQueue(b"1")
    begun = asyncio.Event()

    class Failing(Backend):
        async def export(self, signal, body, items):
            begun.set()
            raise unavailable(3600)

    sender = Sender(queue, Failing())
    await sender.start()
    await begun.wait()

    async with asyncio.timeout(60):
        await sender.stop()

    assert queue.rows == {1: b"1"}


async def test_several_consumers_send_concurrently():
    queue = MemoryQueue(b"1", b"2", b"3")
    together = asyncio.Barrier(3)

    class Meeting(Backend):
        async def export(self, signal, body, items):
            await together.wait()
            await super().export(signal, body, items)

    backend = Meeting()
    sender = Sender(queue, backend, num_consumers=3, max_items=1)
    await sender.start()
    await asyncio.wait_for(queue.emptied.wait(), 60)
    await sender.stop()

    assert sorted(backend.taken) == [b"1", b"2", b"3"]


async def test_an_exporter_that_cannot_start_fails_the_start():
    class Broken(Backend):
        async def start(self):
            raise ConfigError("exporters::otlp_grpc::endpoint: …")

    with pytest.raises(ConfigError):
        await Sender(MemoryQueue(), Broken()).start()


async def test_a_long_outage_loses_no_row_and_keeps_the_order(run):
    rows = [bytes([65 + number]) for number in range(20)]
    outage = itertools.chain.from_iterable([*[unavailable()] * 3, None] for _ in range(10))
    queue, backend = MemoryQueue(*rows), Backend(*outage)

    await run(queue, backend, max_items=2)

    assert b"".join(backend.taken) == b"".join(rows)
    assert not queue.aside
