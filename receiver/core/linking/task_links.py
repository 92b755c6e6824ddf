"""Task links: which task call started which child session (docs/contract.md 6.3). A stated link beats an inferred one,
and where two answers fit about equally, none is given.

**The evidence.** A task call starts its child and ends after it. Measured between the two (docs/producers.md 15; three
agent versions, eight plugins), in ms:

    child created - task's stated start   -25..+31 (1.18), -124..-2 (1.2, 1.1; -258 under load), +91 where only the
                                          child's first prompt is reported
    task's end - child's last activity    0..+37; +100..+627 from a failed child's first idle; a background task ends
                                          seconds before its child, and starts with it (3 ms)

**The cost** of a pair (ns) is the distance of their ends, plus what the distance of their starts exceeds START_NOISE
by. The end is the better evidence: where each task ends after its own child, the right matching never costs more than
another one by its ends, however busy the machine is. Starts of parallel tasks lie 9-25 ms apart, less than they are
uncertain by, so that near ones say nothing. A child that outlives its call belongs to a task in the background, which
is rare (BACKGROUND_COST); then only starts can be compared.

**The decision.** All free calls and all children that may belong to one another are matched at the least total cost. A
child is given its call if no other matching that costs about as much gives it another call or none: at most MARGIN
more, and MARGIN_PERCENT of what its own pair costs. To leave a child without a call costs MAX_COST, as much as the
worst pair, so that no child is given a call that a better one needs. These exclude a pair whatever its times: another
agent, another name (the task's description is in the child's title), another project, a log's trace context that
differs, a call of the child's own, and a stated parent that is not the call's session.

docs/inference.md says how often this finds the call and how often it is wrong, counted on randomized schedules.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter

from receiver.core.linking.assignment import alternatives, components
from receiver.core.state.settings import MILLISECOND, SECOND
from receiver.events import HIDDEN
from receiver.events import TASK as TASK

POSSIBLE_TASKS = (TASK, HIDDEN)  # calls that may have started a session
KEPT_FACTS = ("agent", "label", "context")  # facts of a task call that its emitted record keeps, besides its times

# How far a child may begin before its call (LEAD) and after it (DELAY); how long its last activity may lie after the
# call's end (OVERTIME) or before it (REST).
MAX_LEAD = 400 * MILLISECOND  # up to 258 ms in old versions under load
MAX_DELAY = 1 * SECOND  # a plugin that reports a child only by its first prompt, on a busy machine
MAX_OVERTIME = 100 * MILLISECOND  # a child is done before its task; clocks tick, machines are busy
MAX_OVERTIME_FAILED = 1 * SECOND  # an aborted child's tools end up to 360 ms after its task was cancelled
MAX_REST = 300 * MILLISECOND  # a child's last activity is up to 37 ms before the end, on an idle machine
MAX_REST_FAILED = 1 * SECOND  # a failed child is idle up to 627 ms before its task ends
MAX_REST_HIDDEN = 60 * MILLISECOND  # if the call may have been any tool's
MAX_BACKGROUND_CALL = 500 * MILLISECOND  # the call of a task that runs in the background ends at once

# What a pair costs, and how near another matching must be to be about as good.
START_NOISE = 250 * MILLISECOND  # starts this close say nothing about who started whom
BACKGROUND_COST = 100 * MILLISECOND  # added for a task in the background, which is rare
MAX_COST = 1 * SECOND  # beyond this no pair is believed
MAX_COST_NOT_STATED = 1 * SECOND  # the same, if only the time of its creation says that a session is a child
MAX_COST_NOT_CREATED = 300 * MILLISECOND  # the same, if not even that is known
MARGIN = 20 * MILLISECOND
MARGIN_PERCENT = 50  # of the pair's own cost: the worse it fits, the busier the machine

# The same for children that only metrics report. What counts them comes up to 30 ms later, in recordings 25 ms in all.
MAX_COST_METRICS = 60 * MILLISECOND
MAX_RIVAL_COST = 1 * SECOND  # not believed, but a busy process counts this late: another pair's rival
MARGIN_METRICS = 100 * MILLISECOND  # if the process is not busy

MAX_ANY_LEAD, MAX_ANY_DELAY = max(MAX_LEAD, MAX_RIVAL_COST), max(MAX_DELAY, MAX_RIVAL_COST)


@dataclass(frozen=True, slots=True)
class TaskCall:
    """What links need of a task call; times in ns.

    `child` is the session that it names; `agent`, `label` (a digest of what its child is called too), `project` and
    `context` (the trace that its record was written in) are '' where they are not known. `guessed`: its child was
    inferred before. `hidden`: its tool is not known. The times of a call that only a metric counted may be unknown:
    then it took `duration`, and ended between `after` and `before` (0 where its times are known).
    """

    key: str
    start: int
    end: int
    child: str = ""
    agent: str = ""
    failed: bool = False
    guessed: bool = False
    session: str = ""
    label: str = ""
    project: str = ""
    context: str = ""
    hidden: bool = False
    duration: int = 0
    after: int = 0
    before: int = 0


@dataclass(frozen=True, slots=True)
class ChildTurn:
    """What links need of a session that may be a child, or of one turn of it if it was resumed; times in ns.

    `start` and `end` are its first and last activity; `created` is when it was created, 0 if that is not known.
    `stated`: something says that it is a child. `metrics_only`: only metrics report it.
    """

    session: str
    start: int
    end: int
    agent: str = ""
    parent: str = ""
    stated: bool = True
    created: int = 0
    label: str = ""
    project: str = ""
    contexts: frozenset[str] = frozenset()
    metrics_only: bool = False


def naming_call(child: ChildTurn, calls: Iterable[TaskCall]) -> TaskCall | None:
    """The call that names a child. Several calls name a resumed child: the one that started nearest to this turn."""
    naming = [c for c in calls if c.child == child.session]
    return min(naming, key=lambda c: (abs(c.start - child.start), c.start, c.key), default=None)


def infer_calls(children: Iterable[ChildTurn], calls: Iterable[TaskCall]) -> dict[ChildTurn, list[TaskCall]]:
    """For children that no call names, the calls of one session that may have started them: one where the times decide
    it, several where they do not. Children that perhaps none of these calls started are left out."""
    return {
        child: sorted(fitting, key=lambda c: (c.start, c.key))
        for child, fitting in fitting_calls(children, calls).items()
        if fitting
    }


def infer_parents(fitting_to: Mapping[ChildTurn, Collection[TaskCall]]) -> dict[str, str]:
    """For children whose parent is not stated: child -> the session whose call started it, where the times decide that,
    even if several calls of that session fit. All turns of a child must agree."""
    found: dict[str, set[str]] = {}
    for child, fitting in fitting_to.items():
        found.setdefault(child.session, set()).update({call.session for call in fitting} or {""})
    return {child: parents.pop() for child, parents in found.items() if len(parents) == 1 and parents != {""}}


def fitting_calls(children: Iterable[ChildTurn], calls: Iterable[TaskCall]) -> dict[ChildTurn, set[TaskCall]]:
    """The calls that each child gets in the best matching and in those that cost about as much; none if one of these
    leaves the child without a call."""
    costs: dict[tuple[ChildTurn, TaskCall], int] = {}
    unknown = [c for c in calls if not c.child and c.before]
    free = sorted((c for c in calls if not (c.child or c.before)), key=attrgetter("start"))
    for child in children:
        begin = bisect_left(free, child.start - MAX_ANY_DELAY, key=attrgetter("start"))
        until = bisect_right(free, child.start + MAX_ANY_LEAD, key=attrgetter("start"))
        for call in (*free[begin:until], *(unknown if child.metrics_only else ())):
            price = cost(child, call)
            if price is not None:
                costs[child, call] = price
    fitting: dict[ChildTurn, set[TaskCall]] = {}
    for child, options in alternatives(costs, _margins(costs), MAX_COST, MARGIN_PERCENT).items():
        certain = {call for call in options if call is not None}
        believed = not child.metrics_only or any(costs[child, call] <= MAX_COST_METRICS for call in certain)
        fitting[child] = certain if believed and None not in options else set()
    return fitting


def _margins(costs: Mapping[tuple[ChildTurn, TaskCall], int]) -> dict[ChildTurn, int]:
    """For each child, how much more another matching may cost and still fit equally well. A busy process counts late:
    how late shows the worst pair of those that may belong to one another."""
    found: dict[ChildTurn, int] = {}
    for part in components(costs):
        nearest: dict[ChildTurn, int] = {}
        for (child, _), price in part.items():
            nearest[child] = min(price, nearest.get(child, price))
        late = max((price for child, price in nearest.items() if child.metrics_only), default=0)
        found.update({child: MARGIN_METRICS + late if child.metrics_only else MARGIN for child in nearest})
    return found


def cost(child: ChildTurn, call: TaskCall) -> int | None:
    """How badly (ns) a child and the call that may have started it fit in time; None if it cannot have."""
    if _excluded(child, call):
        return None
    if child.metrics_only:
        return _metered_cost(child, call)
    begins_with_call = call.start - MAX_LEAD <= child.start <= call.start + MAX_DELAY
    if not begins_with_call or call.before or (call.end and child.start > call.end + MAX_OVERTIME):
        return None
    by_start = max(0, abs(child.start - call.start) - START_NOISE)
    if not call.end:
        return by_start
    if call.hidden and not (child.stated and _is_close(child, call)):
        return None
    if child.end > call.end + (MAX_OVERTIME_FAILED if call.failed else MAX_OVERTIME):
        in_background = not call.failed and call.end - call.start <= MAX_BACKGROUND_CALL
        return by_start + BACKGROUND_COST if in_background and child.stated else None
    if child.end < call.end - (MAX_REST_FAILED if call.failed else MAX_REST):
        return None
    by_both = by_start + abs(call.end - child.end)
    return by_both if by_both <= _max_cost(child) else None


def _max_cost(child: ChildTurn) -> int:
    if child.stated:
        return MAX_COST
    return MAX_COST_NOT_STATED if child.created else MAX_COST_NOT_CREATED


def _metered_cost(child: ChildTurn, call: TaskCall) -> int | None:
    """The larger distance of starts and ends. Where the call's times are unknown, the difference of the durations, if
    the child ended in the interval that counted the call."""
    if call.before:
        if not call.after - MAX_RIVAL_COST <= child.end <= call.before + MAX_RIVAL_COST:
            return None
        apart = abs(call.duration - (child.end - child.start))
    elif call.end:
        apart = max(abs(call.start - child.start), abs(call.end - child.end))
    else:
        return None
    return apart if apart <= MAX_RIVAL_COST else None


def _is_close(child: ChildTurn, call: TaskCall) -> bool:
    return abs(child.start - call.start) <= START_NOISE and -MAX_REST_HIDDEN <= child.end - call.end <= MAX_OVERTIME


def _excluded(child: ChildTurn, call: TaskCall) -> bool:
    if call.session and (call.session == child.session or child.parent not in ("", call.session)):
        return True
    if call.context and child.contexts and call.context not in child.contexts:
        return True
    if not child.stated and child.created and child.created < call.start - MAX_LEAD:
        return True  # it existed before: more likely another user's session than a resumed child
    pairs = ((child.agent, call.agent), (child.label, call.label), (child.project, call.project))
    return any(a and b and a != b for a, b in pairs)
