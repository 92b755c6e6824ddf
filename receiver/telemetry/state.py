"""Gauges: sizes and ages read from the store, and the metrics of the process. Read at each scrape, between two steps of
the pipeline, in the store's thread.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from receiver.core.state.settings import SECOND
from receiver.storage.interface import NO_EXPORTER, Store
from receiver.telemetry.instruments import OWN
from receiver.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class QueueState:
    """One exporter's queue: items in it, items set aside, and the age (s) of the oldest row in it."""

    exporter: str
    items: int
    set_aside: int
    age: float


@dataclass(frozen=True, slots=True)
class State:
    """The sizes of the store at one time."""

    queues: tuple[QueueState, ...]
    open_sessions: int
    records_set_aside: int
    backlog_items: int
    store_bytes: int


def read_state(store: Store, exporters: Sequence[str], now: int) -> State:
    """Read the sizes. `now` is in ns. Call it in the store's thread."""
    queues = []
    for name in exporters:
        oldest = store.queue_oldest(name)
        age = max(0, now - oldest) / SECOND if oldest is not None else 0.0
        queues.append(QueueState(name, store.queue_size(name).items, store.set_aside_size(name).items, age))
    unbuilt = store.set_aside_size(NO_EXPORTER).items
    return State(tuple(queues), store.open_count(), unbuilt, store.backlog().items, store.size())


def set_gauges(metrics: Metrics, state: State, capacity: Callable[[str], int]) -> None:
    """Set the gauges. `capacity` gives the bound of an exporter's queue, in items."""
    for queue in state.queues:
        metrics.set("otelcol_exporter_queue_size", queue.items, exporter=queue.exporter)
        metrics.set("otelcol_exporter_queue_capacity", capacity(queue.exporter), exporter=queue.exporter)
        metrics.set(f"{OWN}items_set_aside", queue.set_aside, exporter=queue.exporter)
        metrics.set(f"{OWN}queue_age", queue.age, exporter=queue.exporter)
    metrics.set(f"{OWN}sessions_open", state.open_sessions)
    metrics.set(f"{OWN}backlog_items", state.backlog_items)
    metrics.set(f"{OWN}records_set_aside", state.records_set_aside)
    metrics.set(f"{OWN}store_size", state.store_bytes)


def set_initial(metrics: Metrics, state: State) -> None:
    """Set what the store had when the process started: the sums of docs/operations.md include it."""
    metrics.set(f"{OWN}records_at_start", state.backlog_items + state.records_set_aside)
    for queue in state.queues:
        metrics.set(f"{OWN}items_at_start", queue.items + queue.set_aside, exporter=queue.exporter)


class Process:
    """The metrics of this process, counted since this object was made."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._uptime = self._cpu = 0.0

    def update(self, metrics: Metrics) -> None:
        """Update the metrics."""
        uptime, cpu = time.monotonic() - self._started, time.process_time()
        metrics.add("otelcol_process_uptime", uptime - self._uptime)
        metrics.add("otelcol_process_cpu_seconds", cpu - self._cpu)
        metrics.set("otelcol_process_memory_rss", resident_bytes())
        self._uptime, self._cpu = uptime, cpu


def resident_bytes() -> int:
    """Resident memory in bytes; its peak on systems without /proc (macOS)."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak << 10
