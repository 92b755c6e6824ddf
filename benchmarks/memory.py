"""Whether memory is bounded by configuration and not by the number of sessions: feeds session after session through a
pipeline, takes what it queues as a backend would, and shows what the process holds on the way.

    python benchmarks/memory.py [--sessions 3000] [--calls 20] [--in-memory 200]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import tempfile
from pathlib import Path

from workload import START, requests

from receiver.core.state.settings import BuilderSettings
from receiver.pipeline.pipeline import Limits, Pipeline
from receiver.pipeline.routing import Routes
from receiver.storage.sqlite_store import SQLiteStore

SIZE = 64  # records in a request


def resident() -> float:
    """MiB of memory that the process has (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def drain(store: SQLiteStore) -> int:
    """Take everything that waits to be sent; how many spans it was."""
    rows = store.queue_head("out", (), 100_000, 1 << 40)
    store.queue_done([row.id for row in rows])
    return sum(row.items for row in rows)


async def run(sessions: int, calls: int, in_memory: int) -> None:
    """Feed, and print a line for each tenth of the sessions."""
    clock = [START]
    taken = 0
    with tempfile.TemporaryDirectory() as folder:
        store = SQLiteStore(Path(folder), fsync=False)
        limits = Limits(sessions_in_memory=in_memory)
        pipeline = Pipeline(store, BuilderSettings(), Routes(traces=("out",)), limits=limits, clock=lambda: clock[0])
        await pipeline.start()
        print(f"{'records':>10} {'spans':>8} {'in memory':>10} {'children':>9} {'servers':>8} {'rows':>8} {'MiB':>7}")
        each = max(1, sessions * (calls * 42 // 10 + 2) // SIZE // 10)
        for number, (time, request) in enumerate(requests(sessions, calls, SIZE), 1):
            await pipeline.accept(request)
            clock[0] = max(clock[0], time)
            if number % (each // 8 or 1) == 0:
                taken += await pipeline.ask(lambda _, held: drain(held))  # type: ignore[arg-type]
            if number % each == 0:
                await show(pipeline, number * SIZE, taken)
        clock[0] += 3600 * 1_000_000_000
        while await pipeline.ask(lambda _, held: held.next_deadline()) is not None:
            pipeline.wake()
            await asyncio.sleep(0.002)
        taken += await pipeline.ask(lambda _, held: drain(held))  # type: ignore[arg-type]
        await show(pipeline, number * SIZE, taken)
        await pipeline.stop()
        await pipeline.close()


async def show(pipeline: Pipeline, records: int, spans: int) -> None:
    """One line."""

    def sizes(woods, store):
        rows = store._db.execute("SELECT count(*) FROM session").fetchone()[0]
        return len(woods.forest.sessions), len(woods.forest._children), len(woods.forest.servers), rows

    held, children, servers, rows = await pipeline.ask(sizes)
    gc.collect()
    print(f"{records:>10,} {spans:>8,} {held:>10} {children:>9} {servers:>8} {rows:>8,} {resident():>7.1f}", flush=True)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=3_000)
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--in-memory", type=int, default=200)
    asked = parser.parse_args()
    asyncio.run(run(asked.sessions, asked.calls, asked.in_memory))


if __name__ == "__main__":
    main()
