"""Turns: where a session's trace ends because a user asked for something else (setting `trace_mode: turn`).

A turn begins with a user's prompt. OpenCode also writes messages of its own in the user's name (after a slash command's
subtask, after a compaction), so that a producer which sends them all must have said in between that it is idle.
Producers that tell of no prompt tell of answers that end a turn: the next one begins with the first call or request
after that. What lies before the first prompt after a pause belongs to its turn.
By event time alone, from facts that merge, so that neither order nor repetition of records matters; a turn that has
left, or of which something has left, is cut no more.

A session's activity is known only roughly (core/state/session.py, Stretch): where a turn is cut off by the next, it
ends with the last thing of it that is known exactly.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator, Sequence

from receiver.core.state.emitted import EmittedItems
from receiver.core.state.forks import is_history
from receiver.core.state.session import Note, Session
from receiver.events import COUNTED_NOTE

PROMPT = "user_prompt"


def beginnings(session: Session, emitted: EmittedItems, start: int, end: int) -> list[int]:
    """Where turns begin (ns) between two moments of a session's activity, except the first."""
    prompts = [n for n in _prompts(session) if start <= n.time <= end]
    if prompts:
        found = set(_asked(prompts, session.rests))
    else:
        begun = sorted(s for s, _ in items(session, emitted) if start < s <= end)
        after_idle = (next((s for s in begun if s > idle), 0) for idle in session.rests if start <= idle <= end)
        found = {s for s in after_idle if s}
    held = session.pins.values()
    return sorted(t for t in found if t > start and not any(pin.start < t <= pin.last for pin in held))


def begins(session: Session, time: int) -> bool:
    """Whether a user asked for something at a moment (ns)."""
    return any(n.time == time for n in _prompts(session))


def last_thing(session: Session, emitted: EmittedItems, start: int, until: int) -> int:
    """When the last thing ended (ns) that began from a moment on and before another one."""
    ends = [end for begun, end in items(session, emitted) if start <= begun < until]
    told = [*session.rests, *(n.time for n in session.notes.values()), *(n[0] for n in session.lines.values())]
    return max([start, *ends, *(t for t in told if start <= t < until)])


def was_idle(session: Session, start: int, until: int) -> bool:
    """Whether a session said in a turn that it is idle."""
    return any(start <= idle < until for idle in session.rests)


def told_at(session: Session, begin: int) -> int:
    """When the receiver was told that a turn began (ns of its clock)."""
    return min((n.arrival for n in _prompts(session) if n.time == begin), default=session.arrival)


def is_told(session: Session, until: int) -> bool:
    """Whether everything is told by name that began before a moment (ns): no count or report is still to be matched."""
    metered = session.counted or session.hints or any(s.what == "calls" for s in session.series.values())
    return not metered and not any(u.start < until for u in session.reports.values())


def last_told(session: Session) -> int:
    """When the receiver was last told of a prompt (ns of its clock), 0 for never."""
    return max((n.arrival for n in _prompts(session)), default=0)


def learn_rest(session: Session, time: int) -> None:
    """Merge one statement that the session is idle."""
    if time not in session.rests:
        insort(session.rests, time)


def forget(session: Session, until: int) -> None:
    """A turn has left that ended before a moment (ns): keep of what changes only what still holds."""
    session.rests = [t for t in session.rests if t >= until]
    for name, told in session.changes.items():
        holds = max((t for t in told if t < until), default=0)
        session.changes[name] = {t: value for t, value in told.items() if t >= holds}


def items(session: Session, emitted: EmittedItems) -> Iterator[tuple[int, int]]:
    """When each call, request and permission of a session began and ended (ns), held or left."""
    for held in (session.calls, session.requests, session.permissions):
        yield from ((i.start, i.end or i.start) for i in held.values() if i.start)
    for records in (emitted.calls, emitted.requests, emitted.permissions):
        yield from ((r.start, r.end) for r in records.values())


def _asked(prompts: Iterable[Note], idles: Sequence[int]) -> Iterator[int]:
    """When the user asked for something new, after the first time."""
    last = 0
    for note in sorted(prompts, key=lambda n: (n.time, n.needs_idle)):
        if not last:
            last = note.time
        elif note.time > last and not (note.needs_idle and not any(last < idle <= note.time for idle in idles)):
            last = note.time
            yield last


def _prompts(session: Session) -> Iterator[Note]:
    told = ((key, n) for key, n in session.notes.items() if n.name == PROMPT and f":{COUNTED_NOTE}" not in key)
    return (n for _, n in told if not is_history(session, n.time))
