"""The receiver's clock over steps of the wall clock, restarts and suspension: deadlines hold, and nothing stops."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from receiver.core.state.settings import SECOND
from receiver.pipeline.clock import ReceiverClock, boot_time
from receiver.pipeline.pipeline import Pipeline
from receiver.pipeline.routing import Routes
from receiver.storage.sqlite_store import SQLiteStore
from tests.pipeline.test_pipeline import ALL, SETTINGS, a_request
from tests.support.factories import NOON
from tests.support.otlp_requests import span_ids

HOUR = 3600 * SECOND
Until = Callable[[Callable[[SQLiteStore], bool]], Awaitable[None]]


class Machine:
    """A machine's clocks (ns), moved by hand."""

    def __init__(self) -> None:
        self.wall, self.boot, self.awake = NOON, 77 * HOUR, 70 * HOUR

    def go_on(self, ns: int) -> None:
        self.wall, self.boot, self.awake = self.wall + ns, self.boot + ns, self.awake + ns

    def suspend(self, ns: int) -> None:
        self.wall, self.boot = self.wall + ns, self.boot + ns

    def reboot(self) -> None:
        self.boot = self.awake = 3 * SECOND

    def clock(self, stored: int = 0) -> ReceiverClock:
        return ReceiverClock(stored, wall=lambda: self.wall, boot=lambda: self.boot, awake=lambda: self.awake)


@pytest.mark.parametrize("hours", [1, 5])
def test_the_clock_goes_on_when_the_wall_clock_steps_back(hours: int) -> None:
    machine = Machine()
    clock = machine.clock()
    machine.wall -= hours * HOUR
    machine.go_on(SECOND)
    assert clock() == NOON + SECOND


def test_the_clock_does_not_jump_when_the_wall_clock_steps_forward() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.wall += HOUR
    machine.go_on(SECOND)
    assert clock() == NOON + SECOND


@pytest.mark.parametrize(("step", "expected"), [(-5 * HOUR, 0), (0, 0), (2 * HOUR, 2 * HOUR)])
def test_a_restart_takes_the_later_of_stored_and_wall_time(step: int, expected: int) -> None:
    machine = Machine()
    stored = machine.clock()()
    machine.wall += step
    machine.reboot()
    assert machine.clock(stored)() == NOON + expected


def test_suspended_time_counts_and_is_known() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.suspend(8 * HOUR)
    machine.go_on(SECOND)
    assert clock() == NOON + 8 * HOUR + SECOND
    assert clock.suspended() == 8 * HOUR


def test_the_systems_clocks_never_go_back() -> None:
    clock = ReceiverClock()
    times = [clock() for _ in range(1000)]
    assert times == sorted(times)
    assert boot_time() > 0
    assert abs(clock.suspended()) < SECOND


class Running:
    """A pipeline on a machine, with the spans in its queue."""

    def __init__(self, folder: Path, machine: Machine) -> None:
        self.machine, self.store = machine, SQLiteStore(folder, fsync=False)
        self.clock = machine.clock(self.store.last_time())
        self.pipeline = Pipeline(
            self.store, SETTINGS, Routes(traces=("out",)), clock=self.clock, suspended=self.clock.suspended
        )

    async def __aenter__(self) -> Running:
        await self.pipeline.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.pipeline.stop()
        await self.pipeline.close()

    async def go_on(self, ns: int) -> None:
        """Time goes on; returns when the pipeline has taken two steps since."""
        self.machine.go_on(ns)
        await self.steps()

    async def steps(self) -> None:
        for _ in range(20):
            self.pipeline.wake()
            await asyncio.sleep(0.01)
            await self.pipeline.ask(lambda *_: None)

    async def spans(self) -> int:
        rows = await self.pipeline.ask(lambda _, store: store.queue_head("out", (), *ALL))
        return len(span_ids([row.body for row in rows]))


@pytest.mark.parametrize("hours", [1, 5])
async def test_a_session_reported_after_a_step_back_leaves_in_time(tmp_path: Path, hours: int) -> None:
    machine = Machine()
    async with Running(tmp_path, machine) as running:
        await running.pipeline.accept(a_request("ses_before"))
        await running.go_on(700 * SECOND)
        before = await running.spans()
        assert before == 3
        machine.wall -= hours * HOUR
        await running.pipeline.accept(a_request("ses_after"))
        await running.go_on(700 * SECOND)
        assert await running.spans() == 2 * before


@pytest.mark.parametrize("hours", [1, 5])
async def test_an_open_session_leaves_in_time_after_a_restart_with_the_wall_clock_set_back(
    tmp_path: Path, hours: int
) -> None:
    machine = Machine()
    async with Running(tmp_path, machine) as running:
        await running.go_on(10 * SECOND)
        await running.pipeline.accept(a_request("ses_a"))
        await running.go_on(50 * SECOND)  # of the 67 s until the session closes
        assert await running.spans() == 2
    machine.wall -= hours * HOUR
    machine.reboot()
    async with Running(tmp_path, machine) as running:
        await running.go_on(20 * SECOND)
        assert await running.spans() == 3


async def test_after_a_suspension_due_sessions_wait_for_what_producers_still_send(tmp_path: Path) -> None:
    machine = Machine()
    async with Running(tmp_path, machine) as running:
        await running.pipeline.accept(a_request("ses_a"))
        await running.go_on(10 * SECOND)
        assert await running.spans() == 2
        machine.suspend(8 * HOUR)
        await running.steps()
        assert await running.spans() == 2
        await running.go_on(SETTINGS.settle + SECOND)
        assert await running.spans() == 3
