"""Candidates: sessions as links see them (core/linking/task_links.py): the task calls of a session, and the turns of a
session that may be a child. A view of facts; nothing is matched here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

from receiver.core.counting.missing_calls import missing_calls
from receiver.core.linking import metrics_only_sessions, task_links
from receiver.core.linking.report_matching import lacks_times
from receiver.core.state.forest import Forest
from receiver.core.state.items import EmittedRecord, Inferred, Item, reported_call
from receiver.core.state.session import Session
from receiver.events import HIDDEN


def agent_at(session: Session, time: int) -> str | None:
    """The agent of a session at a moment (ns). It may change from turn to turn."""
    earlier = [t for t in session.agents if t <= time]
    if earlier:
        return session.agents[max(earlier)]
    if session.agents:
        return session.agents[min(session.agents)]
    agent = session.get("agent")
    return str(agent) if agent else None


def task_calls(forest: Forest, session: Session) -> list[task_links.TaskCall]:
    """The task calls of a session whose times are known, pending and emitted, in order of time."""
    found = [
        task_call(session, c)
        for c in session.calls.values()
        if (c.get("tool") in task_links.POSSIBLE_TASKS or c.get("child")) and c.start and not lacks_times(c)
    ]
    emitted = forest.emitted_of(session.id).task_calls
    found += [_emitted_call(session, call, record) for call, record in emitted.items() if not record.placed]
    return sorted(found, key=lambda c: (c.start, c.key))


def _emitted_call(session: Session, call: str, record: EmittedRecord) -> task_links.TaskCall:
    agent, label, context = (*record.task, "", "", "")[: len(task_links.KEPT_FACTS)]
    return task_links.TaskCall(
        call,
        record.start,
        record.end,
        child=record.child,
        failed=record.failed,
        guessed=record.guessed,
        session=session.id,
        project=str(session.get("project") or ""),
        agent=agent,
        label=label,
        context=context,
    )


def task_reports(session: Session) -> list[task_links.TaskCall]:
    """The task calls that were reported without an id. Some may be calls whose id is known."""
    return [
        _task_call(session, reported_call(key), report)
        for key, report in sorted(session.reports.items())
        if report.tool in task_links.POSSIBLE_TASKS
    ]


def counted_tasks(session: Session, counted: Iterable[Item]) -> list[task_links.TaskCall]:
    """The task calls of items that only a metric counted, as far as their times or their durations are known."""
    calls = ((item, task_call(session, item)) for item in counted)
    return [
        call
        if not lacks_times(item)
        else replace(call, duration=item.end - item.start, after=item.get("after"), before=item.get("before"))
        for item, call in calls
        if not lacks_times(item) or Inferred.DURATION not in item.inferred
    ]


def placed_tasks(forest: Forest, session: Session) -> list[task_links.TaskCall]:
    """The task calls that only a metric counted and whose times are unknown."""
    items = [c for c in session.calls.values() if c.get("tool") == task_links.TASK and lacks_times(c)]
    if session.series:
        items += missing_calls(session, forest.emitted_of(session.id), (task_links.TASK,))
    return [call for call in counted_tasks(session, items) if call.before]


def task_call(session: Session, call: Item) -> task_links.TaskCall:
    """A pending task call."""
    return _task_call(session, call.id, call)


def _task_call(session: Session, key: str, item: Item) -> task_links.TaskCall:
    facts = {field: str(fact[1]) for field, fact in item.facts.items() if fact[1]}
    return task_links.TaskCall(
        key,
        item.start,
        item.end,
        child=facts.get("child", ""),
        agent=facts.get("agent", ""),
        failed=facts.get("status") == "error",
        session=session.id,
        label=facts.get("label", ""),
        project=str(session.get("project") or ""),
        context=facts.get("context", ""),
        hidden=facts.get("tool") == HIDDEN,
    )


def turns(forest: Forest, session: Session) -> list[task_links.ChildTurn]:
    """A session as a child: its first turn, and one more for each time that it was resumed."""
    if metrics_only_sessions.is_metrics_only_child(session):
        times = metrics_only_sessions.begin_and_end(session)
        return [replace(_child(session, *times, 0), metrics_only=True)] if times is not None else []
    if not session.activities:
        return []
    start, end = session.activities[0].start, session.activities[-1].end
    done = [(begun, ended) for begun, ended in _done(forest, session) if start <= begun and ended <= end]
    created = int(session.get("created") or 0)
    if 0 < start - created <= task_links.MAX_DELAY:
        start = created
    begins = [start, *_resumed(session, start, done)]
    ends = [_turn_end(session, done, begin, until) for begin, until in pairwise(begins)]
    return [_child(session, begin, last, created) for begin, last in zip(begins, [*ends, end], strict=True)]


def _turn_end(session: Session, done: list[tuple[int, int]], begin: int, until: int) -> int:
    """When the last thing ended (ns) of a turn that was followed by another one."""
    ended = [end for start, end in done if begin <= start and end < until]
    return max([*ended, *(idle for idle in session.idles if begin <= idle < until)], default=begin)


def _done(forest: Forest, session: Session) -> list[tuple[int, int]]:
    """When each call and request of a session began and ended (ns)."""
    items = [*session.calls.values(), *session.requests.values()]
    done = [(i.start, i.end or i.start) for i in items if i.start]
    done += [(u.start, u.end) for u in session.reports.values()]
    emitted = forest.emitted_of(session.id)
    done += [(r.start, r.end) for records in (emitted.calls, emitted.requests) for r in records.values()]
    return done


def _resumed(session: Session, start: int, done: list[tuple[int, int]]) -> list[int]:
    """When a session got another prompt after its turn was over. It was over if the session said that it is idle; if
    it never says that, if something ended since and nothing was running."""
    prompts = sorted(n.time for n in session.notes.values() if n.name == "user_prompt")
    found: list[int] = []
    since = start
    for prompt in prompts:
        said_idle = any(since <= i <= prompt for i in session.idles)
        was_quiet = not session.idles and any(since < b <= prompt for _, b in done)
        if prompt > since and (said_idle or was_quiet) and not any(a < prompt < b for a, b in done):
            found.append(prompt)
            since = prompt
    return found


def _child(session: Session, start: int, end: int, created: int) -> task_links.ChildTurn:
    return task_links.ChildTurn(
        session.id,
        start,
        end,
        agent=agent_at(session, start) or "",
        parent=session.parent or "",
        stated=bool(session.parent or session.get("subagent")),
        created=created,
        label=str(session.get("label") or ""),
        project=str(session.get("project") or ""),
        contexts=frozenset(session.contexts),
    )
