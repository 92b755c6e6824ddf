"""The builder: takes events, advances to a time, gives the next deadline. state/ has the facts, segmentation/ and
linking/ decide where a span belongs, and look.py what is emitted and when.

Time comes in as a value (ns of the receiver's clock) and only decides when to stop waiting. Spans are stamped with
event time. `now=None` means that nothing more will come: everything is emitted.
"""

from __future__ import annotations

from collections.abc import Iterable

from receiver.core.apply_events import EventApplier, Source
from receiver.core.emission import live_markers
from receiver.core.look import Look
from receiver.core.segmentation import turns
from receiver.core.segmentation.tree_segments import ended_at
from receiver.core.state.forest import Forest
from receiver.core.state.session import Session
from receiver.core.state.settings import BuilderSettings
from receiver.events import AnyEvent
from receiver.outcome import Outcome


class Builder:
    """Turns events of sessions into spans. Holds settings only: all state is in the forest that it is given."""

    def __init__(self, settings: BuilderSettings) -> None:
        self.settings = settings
        self._apply = EventApplier(settings)

    def take(self, forest: Forest, source: Source, event: AnyEvent) -> str | None:
        """Merge one event into the forest. Returns the reason if the event added nothing."""
        return self._apply(forest, source, event)

    def advance(
        self,
        forest: Forest,
        sessions: Iterable[str],
        now: int | None,
        flush: bool = False,
        max_spans: int | None = None,
    ) -> Outcome:
        """Emit everything that is due by `now` in the trees of these sessions. `flush` closes them. Stops at
        `max_spans` (or a few more, of what belongs together); the rest is due at once (Outcome.stopped)."""
        return Look(self.settings, forest, now, flush, max_spans).run(sessions)

    def first_deadline(self, session: Session) -> int:
        """When a session must be looked at after new records (ns): never later than anything in it is due."""
        waits = [session.arrival + self._wait(session) + self._limit_of(session)]
        for items in (session.calls, session.requests, session.permissions):
            waits.extend(i.arrival + i.wait + self.settings.settle for i in items.values() if i.end)
        waits.extend(u.arrival + u.wait + self.settings.settle for u in session.reports.values())
        if self.settings.live_markers:
            waits.extend(w + self.settings.settle for w in live_markers.waits(session))
        if self.settings.trace_mode == "turn":
            prompted = turns.last_prompt_arrival(session) + self._wait(session)
            waits.extend([prompted] if prompted > session.arrival else [])
        return min(waits)

    def _wait(self, session: Session) -> int:
        return self.settings.settle + session.wait

    def _limit_of(self, session: Session) -> int:
        if ended_at(session) is not None:
            return 0
        rests = bool(session.activities) and session.is_resting(session.activities[-1])
        return self.settings.idle_timeout if rests else self.settings.inactivity_timeout
