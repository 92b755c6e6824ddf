"""Children that no call names, and task calls that name no child: times must tell who belongs to whom (core/links.py),
and times are complete only when both are quiet. So they wait for each other, and parallel ones are decided together.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from receiver.core import links
from receiver.core.facts import Item, Session
from receiver.core.forest import Forest
from receiver.core.leaving import agent_at, task_calls


def lost_children(forest: Forest, session: Session) -> list[Session]:
    """The children of a session that none of its calls names."""
    named = {c.child for c in task_calls(forest, session) if c.child}
    return [c for c in forest.children(session.id) if c.id not in named and not c.closed and c.stretches]


def parallel(children: Iterable[Session]) -> Iterator[list[Session]]:
    """Children in groups of those that were active at the same time."""
    group: list[Session] = []
    until = 0
    for child in sorted(children, key=lambda c: (c.stretches[0].start, c.id)):
        if group and child.stretches[0].start > until:
            yield group
            group, until = [], 0
        group.append(child)
        until = max(until, child.stretches[-1].end + links.AFTER_END)
    if group:
        yield group


def awaits_child(forest: Forest, session: Session, call: Item, closing: Collection[str]) -> bool:
    """Whether a task call that names no child may yet be found to have started one, when that one closes."""
    if call.get("tool") != links.TASK or call.get("child"):
        return False
    return any(
        _may_start(call, child)
        for child in (*lost_children(forest, session), *_undecided(forest, session))
        if child.id not in closing
    )


def _may_start(call: Item, child: Session) -> bool:
    return call.start - links.BEFORE_START <= child.stretches[0].start <= (call.end or child.stretches[0].start)


def _undecided(forest: Forest, session: Session) -> Iterator[Session]:
    for other in forest.sessions.values():
        decided = other.is_stated_root or other.parent or other.closed or other.pins
        if other is not session and other.producer == session.producer and other.stretches and not decided:
            yield other


def may_be_child(forest: Forest, child: links.Child, session: Session) -> bool:
    """Whether a session that names no parent fits below a call of another one, for which it has no better rival."""
    calls = task_calls(forest, session)
    rivals = [
        links.Child(c.id, c.stretches[0].start, c.stretches[-1].end, agent_at(c, c.stretches[0].start) or "")
        for c in lost_children(forest, session)
    ]
    found, several = links.infer_makers([child, *rivals], calls)
    if child.session in found:
        return True
    free = {call for candidates in several.values() for call in candidates} - set(found.values())
    return child.session in several and len(free) >= len(several)
