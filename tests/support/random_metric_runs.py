"""Random runs of several concurrent sessions for the metrics-only producer of tests/support/metric_producer.py.

Runs have nested parallel tasks, tasks of equal length and failed calls. Each run records which call started each child
session, so that `judge` can count right and wrong links. Times are milliseconds after NOON.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

from receiver import semconv as sc
from receiver.core.state.settings import MILLISECOND
from receiver.model import Span
from tests.support.metric_producer import Call, Run, ns
from tests.support.span_laws import attribute, is_session

CLOSE = 500  # ms: as late as anything is counted here, and more
ROUNDED = 2_000  # ns


@dataclass
class Counted(Run):
    """A run, with the call that started each child, as (session, start, end)."""

    makers: dict[str, tuple[str, int, int]] = field(default_factory=dict)


def play(random: Random, roots: int, spread: int) -> Counted:
    """Up to so many root sessions of one process that begin within `spread`: recordings merged at random offsets."""
    run = Counted()
    for _ in range(random.randint(1, roots)):
        _root(run, random, random.randint(0, spread))
    return run


def _root(run: Counted, random: Random, at: int) -> None:
    root = run.session(at, at)
    ends = [at + 1]
    for _ in range(random.randint(1, 3)):
        ends.append(_turn(run, random, root, at + 20, 0))
        at = ends[-1] + random.choice((200, 2_000, 9_000))
    run.sessions[root] = (run.sessions[root][0], max(ends) + 10)


def _turn(run: Counted, random: Random, session: str, at: int, depth: int) -> int:
    start = at + random.randint(25, 800)
    run.requests.append((session, start - 20, start - 10, random.randint(1, 99)))
    at = start + random.randint(1, 2_500)
    run.calls.append(Call(session, random.choice(("bash", "read")), start, at, random.random() < 0.15))
    ends = [at]
    alike, work = random.random() < 0.3, random.randint(100, 4_000)
    for _ in range(random.choice((0, 1, 1, 2, 2, 3)) if depth < 2 else 0):
        at += random.randint(9, 25)
        lasts = max(20, work + round(random.gauss(0, 15))) if alike else random.randint(30, 5_000)
        ends.append(_task(run, random, session, at, lasts, depth))
    return max(ends) + 5


def _task(run: Counted, random: Random, session: str, start: int, lasts: int, depth: int) -> int:
    created = start + random.randint(-6, 31)
    child = run.session(created, created, session)
    at = created + 12
    if random.random() < 0.35:
        at = _turn(run, random, child, at, depth + 1)
    idle = max(at, created + lasts)
    run.requests.append((child, idle - 5, idle - 1, random.randint(1, 99)))
    run.sessions[child] = (created, idle)
    end = idle + random.randint(3, 20)
    run.calls.append(Call(session, "task", start, end, random.random() < 0.1))
    run.makers[child] = (session, start, end)
    return end


def judge(run: Counted, spans: Iterable[Span]) -> Counter[str]:
    """How many children hang below their call (`right`), below their parent only (`loose`), nowhere (`alone`), or where
    they do not belong (`wrong`)."""
    by_id = {s.span_id: s for s in spans}
    latest_first = sorted(filter(is_session, by_id.values()), key=lambda s: -s.start)
    held = {str(attribute(s, sc.SESSION_ID)): s for s in latest_first}
    return Counter(_judged(by_id.get(held[child].parent_span_id), *maker) for child, maker in run.makers.items())


def _judged(up: Span | None, session: str, start: int, end: int) -> str:
    if up is None:
        return "alone"
    if attribute(up, sc.SESSION_ID) != session:
        return "wrong"
    if is_session(up):
        return "loose"
    same_length = abs((up.end - up.start) - (end - start) * MILLISECOND) <= ROUNDED
    return "right" if same_length and abs(up.start - ns(start)) <= CLOSE * MILLISECOND else "wrong"
