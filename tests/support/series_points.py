"""Points of a metric series, and the session that they make. Times are milliseconds after NOON."""

from __future__ import annotations

from receiver.core.counting.series import add, key_of
from receiver.core.state.session import Session
from receiver.core.state.settings import MILLISECOND
from receiver.events import PointEvent
from tests.support.factories import NOON


def ms(time: int) -> int:
    """Nanoseconds since the epoch."""
    return NOON + time * MILLISECOND


def point(time: int, amount: float, *, start: int = 100, form: str = "cumulative", **more) -> PointEvent:
    """A point that counts calls of `bash`; `total`, `low` and `high` are in ms."""
    for name in ("total", "low", "high"):
        more[name] = more.get(name, -1) * (MILLISECOND if name in more else 1)
    known = {"what": "calls", "source": "tool.duration", "series": "x", "tool": "bash", "status": "completed"}
    return PointEvent(
        session="ses_a", form=form, start=ms(start), time=ms(time), amount=float(amount), **{**known, **more}
    )


def session_of(*points: PointEvent, resource: str = "k") -> Session:
    """A session that got these points, in this order."""
    session = Session(id="ses_a")
    for p in points:
        add(session.series, key_of(p, resource), p, resource)
    return session
