"""A producer that sends only metrics: a run's sessions, calls and requests, and the data points that OpenTelemetry's
JavaScript SDK exports for them.

A series starts when its first value is recorded. A cumulative series is exported at every collection. A delta point
starts at the previous collection if the series was exported then too (recorded of SDK 1.30).
Times are milliseconds after NOON.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from receiver.core.apply_events import Source
from receiver.core.state.settings import MILLISECOND
from receiver.events import (
    COUNTED,
    REPORTED,
    AnyEvent,
    CallReportEvent,
    PointEvent,
    RequestEvent,
    SessionEvent,
    StateEvent,
)
from tests.support.factories import NOON, session_id

PLUGIN = Source(producer="plugin", key="k", resource=b"", wait=6_000 * MILLISECOND, arrival=0)


def ns(ms: int) -> int:
    """Nanoseconds since the epoch."""
    return NOON + ms * MILLISECOND


@dataclass(frozen=True)
class Call:
    """A call that ended."""

    session: str
    tool: str
    start: int
    end: int
    failed: bool = False

    def told(self) -> CallReportEvent:
        """As an event, without an id."""
        return CallReportEvent(
            session=self.session,
            rank=REPORTED,
            tool=self.tool,
            start=ns(self.start),
            end=ns(self.end),
            status="error" if self.failed else "completed",
        )


@dataclass
class Run:
    """What happened: sessions with when they began and when each was last idle, calls, and requests with tokens."""

    sessions: dict[str, tuple[int, int]] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    requests: list[tuple[str, int, int, int]] = field(default_factory=list)

    def session(self, start: int, end: int, parent: str = "") -> str:
        """A session, by an id that OpenCode would give it."""
        name = session_id(start / 1000, len(self.sessions))
        self.sessions[name] = (start, end)
        if parent:
            self.parents[name] = parent
        return name

    def counts(self) -> Counter[tuple[str, str, bool]]:
        """How many calls of each kind there were."""
        return Counter((c.session, c.tool, c.failed) for c in self.calls)

    def events(self) -> list[tuple[int, AnyEvent]]:
        """What the plugin's log events tell, each with when."""
        told: list[tuple[int, AnyEvent]] = []
        for name, (start, end) in self.sessions.items():
            root = name not in self.parents
            created = SessionEvent(session=name, time=ns(start), created=ns(start), root=root, subagent=not root)
            told += [(start, created), (end, StateEvent(session=name, time=ns(end), state="idle"))]
        told += [(c.end, c.told()) for c in self.calls]
        for session, start, end, tokens in self.requests:
            known = {"session": session, "request": f"at:{start}", "rank": REPORTED, "output_tokens": tokens}
            request = RequestEvent(start=ns(start), end=ns(end), **known)
            told.append((end, request))
        return sorted(told, key=lambda t: t[0])

    def _counted(self) -> Iterator[tuple[int, str, tuple[Any, ...], float]]:
        """(when, session, series, number): everything that an instrument records."""
        for name, (start, end) in self.sessions.items():
            yield start, name, ("session.count", name in self.parents), 1
            yield end, name, ("session.duration",), 1
        for c in self.calls:
            yield c.end, c.session, ("tool.duration", c.tool, c.failed), c.end - c.start
        for session, _, end, tokens in self.requests:
            yield end, session, ("token.usage",), tokens

    def points(self, every: int, until: int, form: str = "cumulative", lag: int = 0) -> list[tuple[int, AnyEvent]]:
        """What is sent at each collection until nothing happens any more. Things are counted up to `lag` ms late."""
        late = [(when + i * 17 % (lag + 1), *more) for i, (when, *more) in enumerate(self._counted())]
        recorded = sorted(late, key=lambda r: (r[0], r[1], repr(r[2])))
        held: dict[tuple[str, tuple[Any, ...]], list[tuple[int, float]]] = {}
        told: list[tuple[int, AnyEvent]] = []
        before: dict[tuple[str, tuple[Any, ...]], int] = {}
        at = 0
        for now in range(every, until + every, every):
            while at < len(recorded) and recorded[at][0] <= now:
                when, session, series, number = recorded[at]
                held.setdefault((session, series), []).append((when, number))
                at += 1
            exported = {}
            for (session, series), values in held.items():
                if not values:
                    continue
                start = before.get((session, series), values[0][0]) if form == "delta" else values[0][0]
                told += [(now, e) for e in _events(session, series, values, start, now, form)]
                exported[session, series] = now
            if form == "delta":
                before = exported
                for values in held.values():
                    values.clear()
        return told


def _events(
    session: str, series: tuple[Any, ...], values: list[tuple[int, float]], start: int, now: int, form: str
) -> Iterator[AnyEvent]:
    numbers = [n for _, n in values]
    name, digest = series[0], repr(series)
    known = {"session": session, "source": name, "series": digest, "start": ns(start), "time": ns(now)}
    if name == "tool.duration":
        yield _timed(series, numbers, form, known)
        return
    what = {"session.count": "life", "session.duration": "life", "token.usage": "output_tokens"}[name]
    amount = sum(numbers) if name != "session.duration" else len(numbers)
    yield PointEvent(what=what, form=form, amount=float(amount), **known)
    if name == "session.count":
        yield SessionEvent(session=session, rank=COUNTED, root=not series[1], subagent=series[1])


def _timed(series: Any, numbers: list[float], form: str, known: Any) -> AnyEvent:
    total, low, high = (int(n * MILLISECOND) for n in (sum(numbers), min(numbers), max(numbers)))
    status = "error" if series[2] else "completed"
    return PointEvent(
        what="calls",
        form=form,
        amount=float(len(numbers)),
        total=total,
        low=low,
        high=high,
        tool=series[1],
        status=status,
        **known,
    )


def from_plugin(told: Iterable[tuple[int, AnyEvent]]) -> list[tuple[Source, AnyEvent]]:
    """Events with their source."""
    return [(PLUGIN, event) for _, event in told]
