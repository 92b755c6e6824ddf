"""Which task call started which child session (contract 6.3): stated beats inferred, and where two answers fit
equally, none is given.

The cost of a pair is the distance of their starts plus the distance of their ends. The end is the better anchor
(FACTS 1): a task ends 0-20 ms after its child's last idle, while a child is created from 124 ms before its task's
stated start to 31 ms after it. A background task ends seconds before its child, so that only starts are compared
where the child goes on for longer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from receiver.core.assignment import match
from receiver.core.settings import MILLISECOND, SECOND

TASK = "task"
BEFORE_START = 150 * MILLISECOND  # up to 124 ms in old versions, and clocks tick in milliseconds
AFTER_END = 1 * SECOND  # an aborted child's tools end up to 360 ms after its task was cancelled
AMBIGUOUS = 20 * MILLISECOND  # two matchings this close in cost fit equally


@dataclass(frozen=True, slots=True)
class TaskCall:
    """A task call as far as links care (ns). `child` is the session that it names, or ''. `agent` if it is known.
    `guessed` says that its child was inferred before."""

    key: str
    start: int
    end: int
    child: str = ""
    agent: str = ""
    failed: bool = False
    guessed: bool = False


@dataclass(frozen=True, slots=True)
class Child:
    """A child session as far as links care: its first and last activity (ns)."""

    session: str
    start: int
    end: int
    agent: str = ""


def maker(child: Child, calls: Iterable[TaskCall]) -> TaskCall | None:
    """The call that names the child: of several (a resumed child) the one that started nearest to this activity."""
    naming = [c for c in calls if c.child == child.session]
    return min(naming, key=lambda c: (abs(c.start - child.start), c.start, c.key), default=None)


def infer_makers(children: Iterable[Child], calls: Iterable[TaskCall]) -> tuple[dict[str, str], dict[str, list[str]]]:
    """For children that no call names: (child -> call) where the times decide it, (child -> candidates) where not."""
    costs: dict[tuple[str, str], int] = {}
    free = [c for c in calls if not c.child]
    for child in children:
        for call in free:
            price = _cost(child, call)
            if price is not None:
                costs[child.session, call.key] = price
    found = match(costs, AMBIGUOUS)
    open_: dict[str, list[str]] = {}
    for child_id, call_key in costs:
        if child_id not in found:
            open_.setdefault(child_id, []).append(call_key)
    return found, open_


def _cost(child: Child, call: TaskCall) -> int | None:
    if child.start < call.start - BEFORE_START:
        return None
    if call.end and child.start > call.end:
        return None
    if child.agent and call.agent and child.agent != call.agent:
        return None
    if call.failed and call.end and child.end > call.end + AFTER_END:
        return None
    by_start = abs(child.start - call.start)
    outlives = not call.end or child.end > call.end + AFTER_END
    return by_start if outlives else by_start + abs(call.end - child.end)
