"""What sessions tell of themselves as links see it (core/linking/task_links.py): the task calls of one, and the turns
of another that may be somebody's child. A view of facts; nothing is matched here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from typing import TypedDict

from receiver.core.counting.missing_calls import missing_calls
from receiver.core.linking import metrics_only_sessions, task_links
from receiver.core.linking.report_matching import is_placed
from receiver.core.state.forest import Forest
from receiver.core.state.items import Inferred, Item, reported_call
from receiver.core.state.session import Session
from receiver.events import HIDDEN

_NEVER = 1 << 63


def agent_at(session: Session, time: int) -> str | None:
    """The agent of a session at a moment (ns): a session may change it from turn to turn."""
    earlier = [t for t in session.agents if t <= time]
    if earlier:
        return session.agents[max(earlier)]
    if session.agents:
        return session.agents[min(session.agents)]
    agent = session.get("agent")
    return str(agent) if agent else None


def task_calls(forest: Forest, session: Session) -> list[task_links.TaskCall]:
    """The task calls of a session whose times are known, those that have left too."""
    found = [
        task_call(session, c)
        for c in session.calls.values()
        if (c.get("tool") in task_links.MAYBE_TASKS or c.get("child")) and c.start and not is_placed(c)
    ]
    found += [
        task_links.TaskCall(
            k,
            r.start,
            r.end,
            child=r.child,
            failed=r.failed,
            guessed=r.guessed,
            session=session.id,
            project=str(session.get("project") or ""),
            **_told(r.task),
        )
        for k, r in forest.emitted_of(session.id).task_calls.items()
        if not r.placed
    ]
    return sorted(found, key=lambda c: (c.start, c.key))


def _told(task: tuple[str, ...]) -> _Told:
    agent, label, context = (*task, "", "", "")[: len(task_links.TOLD)]
    return {"agent": agent, "label": label, "context": context}


class _Told(TypedDict):
    agent: str
    label: str
    context: str


def task_reports(session: Session) -> list[task_links.TaskCall]:
    """The task calls that a session reported without an id, not yet told from those that have one."""
    return [
        _task_call(session, reported_call(key), told)
        for key, told in sorted(session.reports.items())
        if told.tool in task_links.MAYBE_TASKS
    ]


def counted_tasks(session: Session, counted: Iterable[Item]) -> list[task_links.TaskCall]:
    """The task calls that only a metric counted, as far as it tells when, or how long they took."""
    calls = ((item, task_call(session, item)) for item in counted)
    return [
        call
        if not is_placed(item)
        else replace(call, duration=item.end - item.start, after=item.get("after"), before=item.get("before"))
        for item, call in calls
        if not is_placed(item) or Inferred.DURATION not in item.inferred
    ]


def placed_tasks(forest: Forest, session: Session) -> list[task_links.TaskCall]:
    """The task calls that only a metric counted, which does not tell their times."""
    items = [c for c in session.calls.values() if c.get("tool") == task_links.TASK and is_placed(c)]
    if session.counted or session.series:
        items += missing_calls(session, forest.emitted_of(session.id), (task_links.TASK,))
    return [call for call in counted_tasks(session, items) if call.before]


def task_call(session: Session, call: Item) -> task_links.TaskCall:
    """A task call that is held."""
    return _task_call(session, call.id, call)


def _task_call(session: Session, key: str, told: Item) -> task_links.TaskCall:
    held = {field: str(fact[1]) for field, fact in told.facts.items() if fact[1]}
    return task_links.TaskCall(
        key,
        told.start,
        told.end,
        child=held.get("child", ""),
        agent=held.get("agent", ""),
        failed=held.get("status") == "error",
        session=session.id,
        label=held.get("label", ""),
        project=str(session.get("project") or ""),
        context=held.get("context", ""),
        hidden=held.get("tool") == HIDDEN,
    )


def turns(forest: Forest, session: Session) -> list[task_links.Child]:
    """What a session tells of itself as a child: one turn for each time that it was taken up."""
    if metrics_only_sessions.may_be_child(session):
        times = metrics_only_sessions.lived(session)
        return [replace(_child(session, *times, 0), metered=True)] if times is not None else []
    if not session.activities:
        return []
    start, end = session.activities[0].start, session.activities[-1].end
    done = [(a, b) for a, b in _done(forest, session) if start <= a and b <= end]
    created = int(session.get("created") or 0)
    if 0 < start - created <= task_links.AFTER_START:
        start = created
    begins = [start, *_taken_up(session, start, done), _NEVER]
    found: list[task_links.Child] = []
    for begin, until in pairwise(begins):
        last = end
        if until != _NEVER:
            told = [
                *(b for a, b in done if begin <= a and b < until),
                *(i for i in session.idles if begin <= i < until),
            ]
            last = max(told, default=begin)
        found.append(_child(session, begin, last, created))
    return found


def _done(forest: Forest, session: Session) -> list[tuple[int, int]]:
    """When each thing that a session did began and ended (ns)."""
    items = [*session.calls.values(), *session.requests.values()]
    done = [(i.start, i.end or i.start) for i in items if i.start]
    done += [(u.start, u.end) for u in session.reports.values()]
    emitted = forest.emitted_of(session.id)
    done += [(r.start, r.end) for records in (emitted.calls, emitted.requests) for r in records.values()]
    return done


def _taken_up(session: Session, start: int, done: list[tuple[int, int]]) -> list[int]:
    """When a session was given another prompt after its turn was over: it said so, or nothing went on then."""
    prompts = sorted(n.time for n in session.notes.values() if n.name == "user_prompt")
    found: list[int] = []
    since = start
    for prompt in prompts:
        rested = any(since <= i <= prompt for i in session.idles)
        quiet = not session.idles and any(since < b <= prompt for _, b in done)
        if prompt > since and (rested or quiet) and not any(a < prompt < b for a, b in done):
            found.append(prompt)
            since = prompt
    return found


def _child(session: Session, start: int, end: int, created: int) -> task_links.Child:
    return task_links.Child(
        session.id,
        start,
        end,
        agent=agent_at(session, start) or "",
        parent=session.parent or "",
        told=bool(session.parent or session.get("subagent")),
        created=created,
        label=str(session.get("label") or ""),
        project=str(session.get("project") or ""),
        contexts=frozenset(session.contexts),
    )
