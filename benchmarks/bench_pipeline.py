"""How many records a second one process takes, stores, builds and queues; and what `build` needs for the same.

    python benchmarks/bench_pipeline.py [--sessions N] [--sizes 1,32,512] [--no-fsync] [--profile]

The clock is the records' own, so that calls and sessions leave as they would. No network, no sending. CPU times count
every thread of the process; look at ratios, and at wall times only on a quiet machine.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import tempfile
import time
from pathlib import Path

from workload import START, requests

from receiver.core.state.settings import BuilderSettings
from receiver.model import Request
from receiver.pipeline.offline import build
from receiver.pipeline.pipeline import Pipeline
from receiver.pipeline.routing import Routes
from receiver.storage.sqlite_store import SQLiteStore

IN_FLIGHT = 64


class Profiled(Pipeline):
    """Profiles the owner's thread, where all work is done."""

    def __init__(self, *args, **settings):
        super().__init__(*args, **settings)
        self.profile = cProfile.Profile()
        self._owner.submit(self.profile.enable).result()

    def report(self, lines: int = 40) -> None:
        self._owner.submit(self.profile.disable).result()
        pstats.Stats(self.profile).sort_stats("tottime").print_stats(lines)


async def feed(pipeline: Pipeline, work: list[tuple[int, Request]], clock: list[int]) -> list[float]:
    """Send everything, IN_FLIGHT requests at a time; how long (s) each waited for its answer."""
    waits: list[float] = []

    async def one(time_: int, request: Request) -> None:
        began = time.perf_counter()
        await pipeline.accept(request)
        waits.append(time.perf_counter() - began)
        clock[0] = max(clock[0], time_)

    for i in range(0, len(work), IN_FLIGHT):
        await asyncio.gather(*(one(t, r) for t, r in work[i : i + IN_FLIGHT]))
    while (await pipeline.backlog()).rows:  # noqa: ASYNC110 - it is the owner's thread that is waited for
        await asyncio.sleep(0.002)
    clock[0] += 3600 * 1_000_000_000
    while await pipeline.ask(lambda _, store: store.next_deadline()) is not None:
        pipeline.wake()
        await asyncio.sleep(0.002)
    return sorted(waits)


async def live(size: int, sessions: int, calls: int, fsync: bool, profile: bool) -> None:
    """One run through the pipeline."""
    work = list(requests(sessions, calls, size))
    records = sum(r.items for _, r in work)
    clock = [START]
    with tempfile.TemporaryDirectory() as folder:
        kind = Profiled if profile else Pipeline
        store = SQLiteStore(Path(folder), fsync=fsync)
        pipeline = kind(store, BuilderSettings(), Routes(traces=("out",)), clock=lambda: clock[0])
        await pipeline.start()
        wall, cpu = time.perf_counter(), time.process_time()
        waits = await feed(pipeline, work, clock)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        spans = store.queue_size("out").items
        if profile:
            pipeline.report()
        await pipeline.stop()
        await pipeline.close()
    median, worst = waits[len(waits) // 2] * 1e3, waits[int(len(waits) * 0.99)] * 1e3
    print(
        f"{size:>4} a request: {records / wall:>8,.0f} records/s, {cpu / records * 1e6:>6.1f} µs CPU a record; "
        f"{spans} spans, {cpu / spans * 1e6:.0f} µs each; answered in {median:.1f} ms, 99 %: {worst:.1f} ms"
    )


def offline(sessions: int, calls: int, profile: bool) -> None:
    """One run of `build`."""
    work = [r for _, r in requests(sessions, calls, 512)]
    records = sum(r.items for r in work)
    profiler = cProfile.Profile()
    if profile:
        profiler.enable()
    cpu = time.process_time()
    built = build(work, BuilderSettings())
    written = sum(len(body) for body in built.requests())
    cpu = time.process_time() - cpu
    if profile:
        profiler.disable()
        pstats.Stats(profiler).sort_stats("tottime").print_stats(40)
    print(f"build: {records / cpu:,.0f} records/s, {cpu / records * 1e6:.1f} µs a record; {written:,} bytes of spans")


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=400)
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--sizes", default="1,32,512")
    parser.add_argument("--no-fsync", action="store_true")
    parser.add_argument("--no-build", action="store_true")
    parser.add_argument("--profile", action="store_true")
    asked = parser.parse_args()
    for size in asked.sizes.split(","):
        if size:
            asyncio.run(live(int(size), asked.sessions, asked.calls, not asked.no_fsync, asked.profile))
    if not asked.no_build:
        offline(asked.sessions, asked.calls, asked.profile)


if __name__ == "__main__":
    main()
