"""Runs the core in virtual time, without a clock, a store or a network.

`batch` works like `build`: it applies all events, then emits all spans. `Stream` works like `run`: it applies events
one by one and advances the builder whenever a deadline is due.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from receiver.core.apply_events import Source
from receiver.core.builder import Builder
from receiver.core.state.forest import Forest
from receiver.core.state.session import has_open_content
from receiver.core.state.settings import BuilderSettings
from receiver.core.state.stored import decode_session, encode_session
from receiver.events import AnyEvent
from receiver.model import Span
from receiver.outcome import Outcome
from tests.support.factories import NOON, RELAY, SETTINGS, ASession, arriving

_MAX_LOOKS = 5_000  # far more than any of these trees needs until it is done


def batch(told: Iterable[tuple[Source, AnyEvent]], settings: BuilderSettings = SETTINGS) -> Outcome:
    """All events are merged, then all spans are emitted."""
    forest, builder = Forest(), Builder(settings)
    skipped: Counter[str] = Counter()
    for source, event in forest.lineage.expand(told):
        if reason := builder.take(forest, source, event):
            skipped[reason] += 1
    outcome = builder.advance(forest, sorted(forest.sessions), None)
    outcome.discards.update(skipped)
    return outcome


def trees(*sessions: ASession, settings: BuilderSettings = SETTINGS) -> list[Span]:
    """The spans of sessions, from all that they reported."""
    told = [(RELAY, event) for session in sessions for event in session.told]
    return sorted(batch(told, settings).spans, key=lambda s: (s.start, -s.end, s.span_id))


@dataclass
class Stream:
    """A receiver that runs: the pipeline's steps, by a clock that is moved by hand (ns)."""

    settings: BuilderSettings = SETTINGS
    now: int = NOON
    stored: bool = False
    max_spans: int | None = None
    spans: list[Span] = field(default_factory=list)
    discards: Counter[str] = field(default_factory=Counter)
    forest: Forest = field(default_factory=Forest)
    deadlines: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.builder = Builder(self.settings)

    def tell(self, source: Source, *events: AnyEvent) -> Stream:
        """Events arrive now."""
        for by, event in self.forest.lineage.expand((arriving(source, self.now), event) for event in events):
            if reason := self.builder.take(self.forest, by, event):
                self.discards[reason] += 1
        self._note_deadlines({})
        return self

    def until(self, now: int) -> Stream:
        """Time goes on, and what falls due on the way is emitted."""
        for _ in range(_MAX_LOOKS):
            soonest = min(self.deadlines.values(), default=now + 1)
            if soonest > now:
                break
            self.now = max(self.now, soonest)
            self._look()
        else:
            raise AssertionError(f"never quiet before {now}: {self.deadlines}")
        self.now = max(self.now, now)
        return self

    def drain(self) -> Stream:
        """Time goes on until nothing is left to do."""
        for _ in range(_MAX_LOOKS):
            if not self.deadlines:
                break
            self.now = max(self.now, min(self.deadlines.values()))
            self._look()
        else:
            raise AssertionError(f"never done: {self.deadlines}")
        still = [s.id for s in self.forest.sessions.values() if has_open_content(s)]
        assert not still, f"open for ever: {still}"
        return self

    def flush(self) -> Stream:
        """Everything is closed now, by request."""
        self._apply(self.builder.advance(self.forest, sorted(self.forest.sessions), self.now, flush=True))
        return self

    def _look(self) -> None:
        due = sorted(s for s, deadline in self.deadlines.items() if deadline <= self.now)
        self._apply(self.builder.advance(self.forest, due, self.now, max_spans=self.max_spans))

    def _apply(self, outcome: Outcome) -> None:
        self.spans.extend(outcome.spans)
        self.discards.update(outcome.discards)
        self._note_deadlines(outcome.deadlines)
        if self.stored:
            self._store_and_load()

    def _note_deadlines(self, told: dict[str, int | None]) -> None:
        for name in self.forest.dirty | told.keys():
            session = self.forest.sessions.get(name)
            if session is None:
                continue
            held = self.deadlines.pop(name, None)
            if name in told:
                deadline = told[name]
            else:
                first = self.builder.first_deadline(session)
                deadline = first if held is None else min(held, first)
            if deadline is not None and has_open_content(session):
                self.deadlines[name] = deadline
        self.forest.dirty.clear()
        self.forest.new_emitted.clear()

    def _store_and_load(self) -> None:
        """Every session goes through its stored form, as it does when the receiver was killed."""
        fresh = Forest()
        fresh.servers, fresh.lineage = self.forest.servers, self.forest.lineage
        for session in self.forest.sessions.values():
            fresh.put(decode_session(encode_session(session)), self.forest.emitted_of(session.id))
        self.forest = fresh
