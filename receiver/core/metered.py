"""Metered: sessions that only metrics tell of (contract 6.2). They were alive when something was first counted, which
gives them a beginning and an end; both are marked, since no record states them.

Whose child such a session is, metrics never say. It is taken to be a child only if its producer says that it is
somebody's, and hung below a task call only if the two belong together in time: both ends, where the call's are known;
otherwise how long they took, and that the child ended while the call was counted. One to one over all sessions of the
producer, and where another way fits as well, none. Everything else stays a root: rather a tree in two parts than a
wrong one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from receiver.core.assignment import match
from receiver.core.candidates import task_calls
from receiver.core.counted import missing_calls
from receiver.core.facts import Item, Session, Stretch, learn, merge_stretch
from receiver.core.forest import Forest
from receiver.core.ids import creation_time
from receiver.core.links import TASK
from receiver.core.series import sightings
from receiver.core.settings import MILLISECOND, SECOND, BuilderSettings
from receiver.core.unnamed import is_placed
from receiver.events import COUNTED, GUESSED, INFERRED

# A child is created -6..+31 ms from its task's start (-124 in old versions) and says that it is idle 3-20 ms before its
# end (FACTS 1); what counts them comes up to 30 ms later, in recordings 25 ms in all.
TOGETHER = 60 * MILLISECOND
RIVAL = 1 * SECOND  # a busy process counts this late: such a pair is not believed, but may be the true one of another
APART = 100 * MILLISECOND  # two matchings this close in cost fit about equally


def is_metered(session: Session) -> bool:
    """Whether nothing but metrics told of a session: their points alone are no activity (core/taking.py)."""
    return bool(session.get("metered")) or not (session.stretches or session.closed or session.unnamed)


def settle(session: Session, settings: BuilderSettings) -> bool:
    """Let a session that only metrics tell of have been alive when they say; True if it is one."""
    times = sightings(session) if settings.infer and is_metered(session) else []
    if not times:
        return False
    learn(session.facts, "metered", COUNTED, True)
    if (created := creation_time(session.id, times[0])) is not None:
        learn(session.facts, "created", GUESSED, created)
    for time in times:
        if not any(c.start <= time <= c.end for c in session.closed):
            merge_stretch(session.stretches, Stretch(start=time, end=time, work=True), settings.joint)
    return True


def find_call(forest: Forest, child: Session, others: Iterable[Session]) -> tuple[Session, Item | None] | None:
    """The session that started a metered child, where that is certain; with the task call that did, if this is one
    that was only counted. What is certain of the call by its child is written on it."""
    if not child.get("subagent"):
        return None
    others = list(others)
    children = [s for s in others if s.get("subagent") and not (s.parent or s.closed) and is_metered(s)]
    lives = {s.id: lived for s in children if (lived := _lived(s)) is not None}
    calls: dict[tuple[str, str], _Call] = {}
    costs: dict[tuple[str, tuple[str, str]], int] = {}
    for session in others:
        for call in _free_calls(forest, session):
            calls[session.id, call.key] = call
            for one in children:
                price = _cost(one, lives[one.id], call) if one.id in lives and one is not session else None
                if price is not None:
                    costs[one.id, (session.id, call.key)] = price
    found = match(costs, APART, RIVAL).get(child.id)
    if found is None or costs[child.id, found] > TOGETHER:
        return None
    item = calls[found].item
    if item is not None:
        _write_child(item, child, lives[child.id][0])
    return forest.open(found[0]), item


@dataclass(frozen=True, slots=True)
class _Call:
    """A task call without a child. Its times are in `start` and `end` (ns), or nobody knows them: then it took
    `duration`, and ended between `after` and `before`. `item` is a call that was only counted."""

    key: str
    duration: int
    agent: str
    start: int = 0
    end: int = 0
    after: int = 0
    before: int = 0
    item: Item | None = None


def _free_calls(forest: Forest, session: Session) -> Iterator[_Call]:
    for known in task_calls(forest, session):
        if not known.child and known.end:
            item = session.calls.get(known.key) if known.key.startswith("#") else None
            yield _Call(known.key, known.end - known.start, known.agent, known.start, known.end, item=item)
    counted = missing_calls(session, forest.left_of(session.id), (TASK,))
    for item in (*session.calls.values(), *counted):
        if item.get("tool") != TASK or item.get("child") or not item.key.startswith("#"):
            continue
        length, agent = item.end - item.start, item.get("agent") or ""
        if not is_placed(item):
            if item.key not in session.calls:
                yield _Call(item.key, length, agent, item.start, item.end, item=item)
        elif "duration" not in str(item.get("inferred")).split(","):
            yield _Call(item.key, length, agent, after=item.get("after"), before=item.get("before"), item=item)


def _lived(session: Session) -> tuple[int, int] | None:
    times = sightings(session)
    if not times:
        return None
    created = creation_time(session.id, times[0])
    start = created if created is not None and 0 <= times[0] - created <= RIVAL else times[0]
    return start, times[-1]


def _cost(child: Session, lived: tuple[int, int], call: _Call) -> int | None:
    """How badly the two fit (ns); None if they cannot belong together."""
    if call.agent and child.get("agent") and call.agent != child.get("agent"):
        return None
    start, end = lived
    if call.end:
        apart = max(abs(call.start - start), abs(call.end - end))
    else:
        apart = abs(call.duration - (end - start))
        if not call.after - RIVAL <= end <= call.before + RIVAL:
            return None
    return apart if apart <= RIVAL else None


def _write_child(call: Item, child: Session, start: int) -> None:
    """A call that had no place in its interval has its child's."""
    if is_placed(call):
        duration = call.end - call.start
        call.facts["start"], call.facts["end"] = (COUNTED, start), (COUNTED, start + duration)
    call.facts["child"] = (INFERRED, child.id)
    call.facts["inferred"] = (COUNTED, f"{call.get('inferred')},parent")
