"""Which task call started which child session (contract 6.3): stated beats inferred, and where two answers fit about
equally, none is given.

**The evidence.** A child is made by its task call and is done before it. Measured between the two (FACTS: three agent
versions, eight plugins), in ms:

    child created - task's stated start   -25..+31 (1.18), -124..-2 (1.2, 1.1; -258 under load), +91 where only the
                                          child's first prompt is told
    task's end - child's last sign        0..+37; +100..+627 from a failed child's first idle; a background task ends
                                          seconds before its child, and starts with it (3 ms)

**The cost** of a pair (ns) is the distance of their ends, plus what the distance of their starts exceeds NOISE by. The
end is the better anchor, and a safe one: where each task ends after its own child, the right matching is never dearer
than another by its ends, however busy the machine is. Starts of parallel tasks lie 9-25 ms apart, less than they are
uncertain by, so that near ones tell nothing. A child that outlives its call belongs to a task in the background, which
is rare (UNUSUAL); then only starts can be compared.

**The decision.** All free calls and all children that may belong to one another are matched at the least total cost.
A child is given its call if no other matching that costs about as much gives it another one or none: AMBIGUOUS more,
and the more the worse its own pair fits (DOUBT). To leave a child without a call costs ALONE, what the worst pair may
cost, so that no child is given a call that a better one needs. What excludes a pair whatever its times: other agents,
another name (the task's description is in the child's title), another project, a log's trace context that differs, a
call of the child's own, and a stated parent that is not the call's session.

How often this finds the call, and how often it is wrong, is counted on randomized schedules (docs/inference.md).
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

MAYBE_TASKS = (TASK, HIDDEN)  # calls that may have started a session
TOLD = ("agent", "label", "context")  # of a task call, besides its times
BEFORE_START = 400 * MILLISECOND  # up to 258 ms in old versions under load
AFTER_START = 1 * SECOND  # a plugin that tells a child only by its first prompt, on a busy machine
AT_END = 100 * MILLISECOND  # a child is done before its task; clocks tick, machines are busy
BEFORE_END = 300 * MILLISECOND  # its last sign is up to 37 ms before that, on an idle machine
AFTER_ABORT = 1 * SECOND  # an aborted child's tools end up to 360 ms after its task was cancelled
BEFORE_FAILURE = 1 * SECOND  # a failed child is idle up to 627 ms before its task
CLOSE = 60 * MILLISECOND  # before its end, if the call may have been any tool's
NOISE = 250 * MILLISECOND  # starts this close tell nothing of who started whom
BACKGROUND = 500 * MILLISECOND  # a task that runs in the background is itself over at once
UNUSUAL = 100 * MILLISECOND  # what it costs to believe that one does
AMBIGUOUS = 20 * MILLISECOND  # two matchings this close in cost fit equally
DOUBT = 50  # per cent: the worse a pair fits, the busier the machine, and the more another one may cost
ALONE = 1 * SECOND  # beyond this no pair is believed
UNTOLD = 1 * SECOND  # nor beyond this, if nothing but the time of its creation says that a session is a child
UNBORN = 300 * MILLISECOND  # nor beyond this, if not even that is known
# of a child that only metrics tell of: what counts it comes up to 30 ms later, in recordings 25 ms in all
TOGETHER = 60 * MILLISECOND
RIVAL = 1 * SECOND  # a busy process counts this late: such a pair is not believed, but may be the true one of another
APART = 100 * MILLISECOND  # two matchings this close in cost fit about equally, if their process is not busy
SOONEST, LATEST = max(BEFORE_START, RIVAL), max(AFTER_START, RIVAL)  # that any child begins before its call, and after


@dataclass(frozen=True, slots=True)
class TaskCall:
    """A task call as far as links care (ns). `child` is the session that it names, or ''; `agent`, `label` (a digest of
    what its child is called too), `project` and `context` (the trace that its record was written in) are '' where
    they are not told. `guessed` says that its child was inferred before, `hidden` that it may have been any tool's. The
    times of a call that was only counted may be unknown: then it took `duration`, and ended between `after` and
    `before` (0 where its times are known)."""

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
class Child:
    """A session that may be a child, or one turn of it where it was taken up again, as far as links care: its first and
    last activity (ns), when it was created (ns, 0 if that is not known), its parent if that is known, whether anything
    says that it is a child (`told`), and whether nothing but metrics tells of it (`metered`)."""

    session: str
    start: int
    end: int
    agent: str = ""
    parent: str = ""
    told: bool = True
    created: int = 0
    label: str = ""
    project: str = ""
    contexts: frozenset[str] = frozenset()
    metered: bool = False


def maker(child: Child, calls: Iterable[TaskCall]) -> TaskCall | None:
    """The call that names the child: of several (a resumed child) the one that started nearest to this activity."""
    naming = [c for c in calls if c.child == child.session]
    return min(naming, key=lambda c: (abs(c.start - child.start), c.start, c.key), default=None)


def infer_makers(children: Iterable[Child], calls: Iterable[TaskCall]) -> dict[Child, list[TaskCall]]:
    """For children that no call names, the calls of one session that may have started them: one where the times decide
    it, several where they don't. Children that perhaps none of these calls started are left out."""
    return {
        child: sorted(fitting, key=lambda c: (c.start, c.key))
        for child, fitting in fitting_calls(children, calls).items()
        if fitting
    }


def infer_parents(fitting_to: Mapping[Child, Collection[TaskCall]]) -> dict[str, str]:
    """For children whose parent nobody states: child -> the session whose call started it, where the times decide it,
    be it by several calls of that session. All that is told of a session must agree."""
    found: dict[str, set[str]] = {}
    for child, fitting in fitting_to.items():
        found.setdefault(child.session, set()).update({call.session for call in fitting} or {""})
    return {child: parents.pop() for child, parents in found.items() if len(parents) == 1 and parents != {""}}


def fitting_calls(children: Iterable[Child], calls: Iterable[TaskCall]) -> dict[Child, set[TaskCall]]:
    """The calls that each child may belong to, by matchings that are about as good as the best; none where one of them
    leaves it alone."""
    costs: dict[tuple[Child, TaskCall], int] = {}
    unknown = [c for c in calls if not c.child and c.before]
    free = sorted((c for c in calls if not (c.child or c.before)), key=attrgetter("start"))
    for child in children:
        begin = bisect_left(free, child.start - LATEST, key=attrgetter("start"))
        until = bisect_right(free, child.start + SOONEST, key=attrgetter("start"))
        for call in (*free[begin:until], *(unknown if child.metered else ())):
            price = cost(child, call)
            if price is not None:
                costs[child, call] = price
    fitting: dict[Child, set[TaskCall]] = {}
    for child, options in alternatives(costs, _margins(costs), ALONE, DOUBT).items():
        certain = {call for call in options if call is not None}
        believed = not child.metered or any(costs[child, call] <= TOGETHER for call in certain)
        fitting[child] = certain if believed and None not in options else set()
    return fitting


def _margins(costs: Mapping[tuple[Child, TaskCall], int]) -> dict[Child, int]:
    """How close in cost two matchings fit equally, for each child. What metrics count comes the later the busier the
    process is, as far as the worst of those shows that may belong to one another."""
    found: dict[Child, int] = {}
    for part in components(costs):
        nearest: dict[Child, int] = {}
        for (child, _), price in part.items():
            nearest[child] = min(price, nearest.get(child, price))
        late = max((price for child, price in nearest.items() if child.metered), default=0)
        found.update({child: APART + late if child.metered else AMBIGUOUS for child in nearest})
    return found


def cost(child: Child, call: TaskCall) -> int | None:
    """How far apart (ns) a child and the call that may have started it are; None if it cannot have."""
    if _excluded(child, call):
        return None
    if child.metered:
        return _metered_cost(child, call)
    begins = call.start - BEFORE_START <= child.start <= call.start + AFTER_START
    if not begins or call.before or (call.end and child.start > call.end + AT_END):
        return None
    by_start = max(0, abs(child.start - call.start) - NOISE)
    if not call.end:
        return by_start
    if call.hidden and not (child.told and _is_close(child, call)):
        return None
    if child.end > call.end + (AFTER_ABORT if call.failed else AT_END):
        in_background = not call.failed and call.end - call.start <= BACKGROUND
        return by_start + UNUSUAL if in_background and child.told else None
    if child.end < call.end - (BEFORE_FAILURE if call.failed else BEFORE_END):
        return None
    by_both = by_start + abs(call.end - child.end)
    limit = ALONE if child.told else UNTOLD if child.created else UNBORN
    return by_both if by_both <= limit else None


def _metered_cost(child: Child, call: TaskCall) -> int | None:
    """By both ends, where the call's are known; otherwise by how long they took, if the child ended while the call was
    counted."""
    if call.before:
        if not call.after - RIVAL <= child.end <= call.before + RIVAL:
            return None
        apart = abs(call.duration - (child.end - child.start))
    elif call.end:
        apart = max(abs(call.start - child.start), abs(call.end - child.end))
    else:
        return None
    return apart if apart <= RIVAL else None


def _is_close(child: Child, call: TaskCall) -> bool:
    return abs(child.start - call.start) <= NOISE and -CLOSE <= child.end - call.end <= AT_END


def _excluded(child: Child, call: TaskCall) -> bool:
    if call.session and (call.session == child.session or child.parent not in ("", call.session)):
        return True
    if call.context and child.contexts and call.context not in child.contexts:
        return True
    if not child.told and child.created and child.created < call.start - BEFORE_START:
        return True  # it was there before: more likely another user's session than a child taken up again
    pairs = ((child.agent, call.agent), (child.label, call.label), (child.project, call.project))
    return any(a and b and a != b for a, b in pairs)
