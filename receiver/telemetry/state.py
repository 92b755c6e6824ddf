"""What is, as against what happened: sizes and ages that only the store and the process know. Asked when someone looks,
between two steps of the pipeline, in the thread that owns the store.
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
    """One exporter's queue: items that wait and that were set aside, and how old (s) the oldest is that waits."""

    exporter: str
    items: int
    set_aside: int
    age: float


@dataclass(frozen=True, slots=True)
class State:
    """One look at the store."""

    queues: tuple[QueueState, ...]
    open_sessions: int
    records_set_aside: int
    backlog_items: int
    store_bytes: int


def state_of(store: Store, exporters: Sequence[str], now: int) -> State:
    """Look. `now` is in ns. Runs in the thread that owns the store."""
    queues = []
    for name in exporters:
        oldest = store.queue_oldest(name)
        age = max(0, now - oldest) / SECOND if oldest is not None else 0.0
        queues.append(QueueState(name, store.queue_size(name).items, store.set_aside_size(name).items, age))
    unbuilt = store.set_aside_size(NO_EXPORTER).items
    return State(tuple(queues), store.open_count(), unbuilt, store.backlog().items, store.size())


def show_state(metrics: Metrics, state: State, capacity: Callable[[str], int]) -> None:
    """Put what was seen on the gauges. `capacity` gives the bound of an exporter's queue, in items."""
    for queue in state.queues:
        metrics.set("otelcol_exporter_queue_size", queue.items, exporter=queue.exporter)
        metrics.set("otelcol_exporter_queue_capacity", capacity(queue.exporter), exporter=queue.exporter)
        metrics.set(f"{OWN}items_set_aside", queue.set_aside, exporter=queue.exporter)
        metrics.set(f"{OWN}queue_age", queue.age, exporter=queue.exporter)
    metrics.set(f"{OWN}sessions_open", state.open_sessions)
    metrics.set(f"{OWN}backlog_items", state.backlog_items)
    metrics.set(f"{OWN}records_set_aside", state.records_set_aside)
    metrics.set(f"{OWN}store_size", state.store_bytes)


def show_start(metrics: Metrics, state: State) -> None:
    """Say what was there before anything was counted: with it, the sums of docs/operations.md hold at any time."""
    metrics.set(f"{OWN}records_at_start", state.backlog_items + state.records_set_aside)
    for queue in state.queues:
        metrics.set(f"{OWN}items_at_start", queue.items + queue.set_aside, exporter=queue.exporter)


class Process:
    """The process itself, since this object was made."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._uptime = self._cpu = 0.0

    def show(self, metrics: Metrics) -> None:
        """Bring the process's metrics up to date."""
        uptime, cpu = time.monotonic() - self._started, time.process_time()
        metrics.add("otelcol_process_uptime", uptime - self._uptime)
        metrics.add("otelcol_process_cpu_seconds", cpu - self._cpu)
        metrics.set("otelcol_process_memory_rss", resident_bytes())
        self._uptime, self._cpu = uptime, cpu


def resident_bytes() -> int:
    """Resident memory in bytes; its peak where the system does not tell more (macOS)."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak << 10
