"""Turns: where a session's trace ends because the user asked for something else (`trace_mode: turn`).

A turn begins with a user's prompt. OpenCode also writes messages of its own in the user's name (after the subtask of a
slash command, after a compaction), so a producer that sends all messages must have said in between that it is idle.
Producers that report no prompts report answers that end a turn: the next turn begins with the first call or request
after that. What lies before the first prompt after a pause belongs to that prompt's turn.

Turns are decided by event time alone, from facts that merge, so that neither order nor repetition of records matters.
A turn from which something was emitted is not divided any more.

Activity is known only roughly (Activity in core/state/session.py). A turn that the next one ends therefore ends with
its last item or statement whose time is known.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator, Sequence

from receiver.core.state.emitted import EmittedItems
from receiver.core.state.forks import is_history
from receiver.core.state.session import Note, Session
from receiver.events import COUNTED_NOTE

PROMPT = "user_prompt"


def turn_starts(session: Session, emitted: EmittedItems, start: int, end: int) -> list[int]:
    """Where turns begin (ns) in [start, end] of a session's activity, except the first."""
    prompts = [n for n in _prompts(session) if start <= n.time <= end]
    if prompts:
        found = set(_asked(prompts, session.rests))
    else:
        begun = sorted(s for s, _ in item_times(session, emitted) if start < s <= end)
        after_idle = (next((s for s in begun if s > idle), 0) for idle in session.rests if start <= idle <= end)
        found = {s for s in after_idle if s}
    held = session.pins.values()
    return sorted(t for t in found if t > start and not any(pin.start < t <= pin.last for pin in held))


def starts_turn(session: Session, time: int) -> bool:
    """Whether a user asked for something at a moment (ns)."""
    return any(n.time == time for n in _prompts(session))


def last_end(session: Session, emitted: EmittedItems, start: int, until: int) -> int:
    """When the last thing ended (ns) that began in [start, until)."""
    ends = [end for begun, end in item_times(session, emitted) if start <= begun < until]
    told = [*session.rests, *(n.time for n in session.notes.values()), *(n[0] for n in session.lines.values())]
    return max([start, *ends, *(t for t in told if start <= t < until)])


def was_idle(session: Session, start: int, until: int) -> bool:
    """Whether a session said in [start, until) (ns) that it is idle."""
    return any(start <= idle < until for idle in session.rests)


def arrival_of(session: Session, begin: int) -> int:
    """When the record arrived that says that a turn began (ns of the receiver's clock)."""
    return min((n.arrival for n in _prompts(session) if n.time == begin), default=session.arrival)


def is_complete(session: Session, until: int) -> bool:
    """Whether everything that began before a moment (ns) has its id: no count, report or hint waits to be matched."""
    to_match = session.hints or any(s.what == "calls" for s in session.series.values())
    return not to_match and not any(u.start < until for u in session.reports.values())


def last_prompt_arrival(session: Session) -> int:
    """When the last prompt arrived (ns of the receiver's clock), 0 for none."""
    return max((n.arrival for n in _prompts(session)), default=0)


def learn_idle(session: Session, time: int) -> None:
    """Merge one statement that the session is idle."""
    if time not in session.rests:
        insort(session.rests, time)


def forget_before(session: Session, until: int) -> None:
    """Drop what only turns needed that ended before a moment (ns) and are emitted."""
    session.rests = [t for t in session.rests if t >= until]
    for name, told in session.changes.items():
        holds = max((t for t in told if t < until), default=0)
        session.changes[name] = {t: value for t, value in told.items() if t >= holds}


def item_times(session: Session, emitted: EmittedItems) -> Iterator[tuple[int, int]]:
    """When each call, request and permission of a session began and ended (ns), pending or emitted."""
    for held in (session.calls, session.requests, session.permissions):
        yield from ((i.start, i.end or i.start) for i in held.values() if i.start)
    for records in (emitted.calls, emitted.requests, emitted.permissions):
        yield from ((r.start, r.end) for r in records.values())


def _asked(prompts: Iterable[Note], idles: Sequence[int]) -> Iterator[int]:
    """When the user asked for something new (ns), except the first time."""
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
