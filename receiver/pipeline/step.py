"""One step of building: requests are read, the sessions that they name are loaded, their events are applied, and the
sessions that are due are advanced. `run`, offline `build` and a stream engine share it.

No I/O, clock or log: the state comes through `Trees`, and time as a value. What a step changed is a StateChange, which
the caller commits. It runs where only protobuf (5.29 or later), msgspec and opentelemetry-proto are installed
(.importlinter, tests/pipeline/test_step_environment.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from receiver.core.apply_events import mentioned
from receiver.core.builder import Builder
from receiver.core.state.settings import BuilderSettings
from receiver.model import Request
from receiver.outcome import Outcome
from receiver.pipeline.record_reader import ReadResult, RecordReader
from receiver.pipeline.session_cache import SessionCache
from receiver.storage.interface import StateChange, Trees

MAX_SESSIONS_IN_MEMORY = 2_000  # that stay in memory between steps


class Step:
    """Builds over the state in `trees`. Call read() and advance(), commit changes(), then call committed(); after a
    failure call roll_back() instead. `max_sessions` is how many sessions stay in memory between steps."""

    def __init__(self, trees: Trees, settings: BuilderSettings, max_sessions: int = MAX_SESSIONS_IN_MEMORY) -> None:
        self._builder = Builder(settings)
        self._reader = RecordReader(settings.capture_content)
        self.cache = SessionCache(trees, self._builder, max_sessions)
        self._deadlines: dict[str, int | None] = {}

    def read(self, request: Request, arrival: int) -> ReadResult:
        """Read a request that arrived at `arrival` (ns of the receiver's clock), and apply its events."""
        result = self._reader.read(request, arrival)
        events = list(self.cache.with_links(result.events))
        self.cache.load({session for _, event in events for session in mentioned(event)})
        for source, event in events:
            self.cache.load_producer(source.producer)
            reason = self._builder.take(self.cache.forest, source, event)
            if reason:
                result.skipped[reason] += 1
        return result

    def advance(self, sessions: Sequence[str], now: int | None, *, flush: bool = False) -> Outcome:
        """Emit everything that is due by `now` (ns; None: everything) in the trees of these sessions. `flush` closes
        them."""
        if not sessions:
            return Outcome()
        self.cache.load_trees(sessions)
        outcome = self._builder.advance(self.cache.forest, sessions, now, flush=flush)
        self._deadlines.update(outcome.deadlines)
        return outcome

    def changes(self, now: int) -> StateChange:
        """Everything that changed since the last commit. `now` (ns) is when the changed sessions were touched."""
        return self.cache.changes(now, self._deadlines)

    def committed(self, change: StateChange) -> None:
        """The caller has committed what changes() returned."""
        self._deadlines = {}
        self.cache.saved(change)

    def roll_back(self) -> None:
        """Drop everything that is not committed."""
        self._deadlines = {}
        self.cache.forget()
