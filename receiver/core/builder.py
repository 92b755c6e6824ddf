"""The three verbs: take events, advance to a time, say the next deadline. Here is decided what leaves and when
(contract 5.4); what is known stands in facts, where a span belongs in segments and links, how it looks in render.

Time comes in as a value (ns of the receiver's clock) and only decides when to stop waiting. What leaves is stamped
with event time. `now=None` means that nothing more will come: everything leaves.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from receiver.core import counted, links, unnamed
from receiver.core.closing import Closing
from receiver.core.facts import Item, Left, Session, Stretch, merge_stretch
from receiver.core.forest import Forest
from receiver.core.leaving import Leaving, Outcome, task_calls
from receiver.core.segments import TreeView, ended_reason
from receiver.core.settings import BuilderSettings
from receiver.core.taking import Source, Taking
from receiver.events import INFERRED, Told


class Builder:
    """Turns what is told of sessions into spans. Holds settings only: all state is in the forest that it is given."""

    def __init__(self, settings: BuilderSettings) -> None:
        self.settings = settings
        self._taking = Taking(settings)

    def take(self, forest: Forest, source: Source, event: Told) -> str | None:
        """Merge one event into the forest. Returns the reason if the event added nothing."""
        return self._taking(forest, source, event)

    def first_deadline(self, session: Session) -> int:
        """When a session that was just told of must be looked at (ns): never later than anything in it is due."""
        waits = [session.arrival + self._wait(session) + self._limit_of(session)]
        for items in (session.calls, session.requests, session.permissions):
            waits.extend(i.arrival + i.wait + self.settings.settle for i in items.values() if i.end)
        waits.extend(u.arrival + u.wait + self.settings.settle for u in session.unnamed.values())
        return min(waits)

    def advance(self, forest: Forest, sessions: Iterable[str], now: int | None, flush: bool = False) -> Outcome:
        """Let everything leave that is due by `now` in the trees of these sessions. `flush` closes them."""
        outcome = Outcome()
        seen: set[str] = set()
        for session in sessions:
            if forest.get(session) is None:
                continue
            root = forest.root_of(session)
            if root.id not in seen:
                seen.add(root.id)
                _Tree(self, forest, root, now, flush or now is None, outcome).run()
        return outcome

    def _wait(self, session: Session) -> int:
        return self.settings.settle + session.wait

    def _limit_of(self, session: Session) -> int:
        if ended_reason(session):
            return 0
        rests = bool(session.stretches) and session.stretches[-1].rests
        return self.settings.idle_timeout if rests else self.settings.inactivity_timeout


@dataclass(slots=True)
class _Quiet:
    """How quiet it is in a session and everything below it (ns of the receiver's clock)."""

    arrival: int
    wait: int
    rests: bool
    ended: bool
    open: bool


class _Tree:
    """One look at one tree."""

    def __init__(
        self, builder: Builder, forest: Forest, root: Session, now: int | None, final: bool, outcome: Outcome
    ) -> None:
        self.settings = builder.settings
        self.forest = forest
        self.root = root
        self.now = now
        self.final = final
        self.outcome = outcome
        self.members = list(forest.below(root.id))
        self.closing: set[str] = set()
        self.quiet: dict[str, _Quiet] = {}

    def run(self) -> None:
        self._find_quiet()
        if not self._decided():
            self._set_deadlines()
            return
        self._settle_identities()
        view = TreeView(self.forest, self.root, self.settings)
        leaving = Leaving(self.settings, self.forest, view, self.outcome)
        leaving.items(self._due(), self.closing)
        view = leaving.view
        closing = Closing(leaving, flushed=self.final and self.now is not None)
        for session in reversed(self.members):
            if session.id in self.closing:
                closing.close(session)
                self.outcome.closed.append(session.id)
            elif any(s.rolled for s in view.segments(session)):
                closing.roll(session)
        self._set_deadlines()

    # who may close, and whose root is known

    def _find_quiet(self) -> None:
        for session in reversed(self.members):
            below = [self.quiet[c.id] for c in self.forest.children(session.id) if c.id in self.quiet]
            own_open = has_open_content(session)
            own_rests = bool(session.stretches) and session.stretches[-1].rests
            ended = ended_reason(session) is not None
            open_below = [q for q in below if q.open]
            self.quiet[session.id] = _Quiet(
                arrival=max([session.arrival, *(q.arrival for q in below)]),
                wait=max([session.wait, *(q.wait for q in below)]),
                rests=(own_rests or ended or not session.stretches) and all(q.rests for q in open_below),
                ended=ended and all(q.ended or q.rests for q in open_below),
                open=own_open or bool(open_below),
            )
        for session in self.members:
            if self._closes(session):
                self.closing.add(session.id)

    def _closes(self, session: Session) -> bool:
        quiet = self.quiet[session.id]
        if not quiet.open:
            return False
        deadline = self._close_deadline(session)
        return self.final or (self.now is not None and self.now >= deadline)

    def _close_deadline(self, session: Session) -> int:
        quiet = self.quiet[session.id]
        limit = self.settings.idle_timeout if quiet.rests else self.settings.inactivity_timeout
        if quiet.ended or self._ended_above(session):
            limit = 0
        return quiet.arrival + quiet.wait + self.settings.settle + limit

    def _ended_above(self, session: Session) -> bool:
        at: Session | None = session
        seen: set[str] = set()
        while at is not None and at.id not in seen:
            seen.add(at.id)
            if ended_reason(at) and self.quiet[at.id].ended:
                return True
            at = self.forest.get(at.parent) if at.parent else None
        return False

    def _decided(self) -> bool:
        """Whether this root is one: stated, left as one before, or alone for so long that nobody will say otherwise."""
        if self.root.is_stated_root or self.root.closed:
            return True
        if self.root.id not in self.closing:
            return False
        if self.settings.infer and (found := self._inferred_parent()):
            self.outcome.inferred["parent"] += 1
            self.forest.adopt(self.root.id, found, INFERRED)
            self.root = self.forest.root_of(self.root.id)
            self.members = list(self.forest.below(self.root.id))
            self.closing.clear()
            self.quiet.clear()
            self._find_quiet()
            return self._decided()
        return True

    def _inferred_parent(self) -> str | None:
        own = {m.id for m in self.members}
        first = self.root.stretches[0].start if self.root.stretches else 0
        if not first:
            return None
        child = links.Child(self.root.id, first, self.root.stretches[-1].end, self.root.get("agent") or "")
        fits: list[str] = []
        for other in sorted(self.forest.sessions):
            session = self.forest.sessions[other]
            if other in own or session.producer != self.root.producer:
                continue
            calls = task_calls(self.forest, session)
            found, several = links.infer_makers([child], calls)
            if found or several:
                fits.append(other)
        return fits[0] if len(fits) == 1 else None

    # which reports are the same call

    def _settle_identities(self) -> None:
        for session in self.members:
            left = self.forest.left_of(session.id)
            unnamed.find_calls(session, left)
            for key, told in sorted(session.unnamed.items()):
                if self._is_due(told.arrival, told.wait) or session.id in self.closing:
                    unnamed.stand_alone(session, key)
        for session in self.members:
            if not session.counted:
                continue
            closing = session.id in self.closing
            if not closing and not self._has_lost_child(session):
                continue
            self._add_counted(session, None if closing else (links.TASK,))

    def _has_lost_child(self, session: Session) -> bool:
        """Whether a child is about to close that no call of this session names."""
        named = {c.child for c in task_calls(self.forest, session)}
        return any(c.id in self.closing and c.id not in named for c in self.forest.children(session.id))

    def _add_counted(self, session: Session, only: tuple[str, ...] | None) -> None:
        if self.settings.infer:
            for item in counted.missing_calls(session, self.forest.left_of(session.id), only):
                if item.key in session.calls or self.forest.has_left(session.id, f"call:{item.key}"):
                    continue
                session.calls[item.key] = item
                self.outcome.inferred["identity"] += 1
                merge_stretch(session.stretches, Stretch(start=max(item.start, 1), end=item.end), self.settings.joint)
        if only is None:
            for key in session.counted:
                self.forest.leave(session.id, f"counted:{key}", Left(start=0, end=0))
            session.counted.clear()

    # which items are due

    def _is_due(self, arrival: int, wait: int) -> bool:
        return self.final or (self.now is not None and self.now >= arrival + wait + self.settings.settle)

    def _due(self) -> list[tuple[Session, str, Item]]:
        due: list[tuple[Session, str, Item]] = []
        for session in self.members:
            kinds = (("call", session.calls), ("request", session.requests), ("permission", session.permissions))
            for kind, items in kinds:
                for item in items.values():
                    finished = item.end and self._is_due(item.arrival, item.wait)
                    if finished or session.id in self.closing:
                        due.append((session, kind, item))
        return due

    # when to look again

    def _set_deadlines(self) -> None:
        decided = self.root.is_stated_root or bool(self.root.closed)
        for session in self.members:
            if session.id in self.closing and not has_open_content(session):
                self.outcome.deadlines[session.id] = None
                continue
            if not has_open_content(session):
                self.outcome.deadlines[session.id] = None
                continue
            times = [self._close_deadline(session)]
            if decided:
                for items in (session.calls, session.requests, session.permissions):
                    times.extend(i.arrival + i.wait + self.settings.settle for i in items.values() if i.end)
                times.extend(u.arrival + u.wait + self.settings.settle for u in session.unnamed.values())
            soonest = min(times)
            if self.now is not None and soonest <= self.now:
                soonest = self.now + self.settings.settle
            self.outcome.deadlines[session.id] = soonest


def has_open_content(session: Session) -> bool:
    """Whether anything of a session has still to leave."""
    if session.stretches or session.calls or session.requests or session.permissions or session.unnamed:
        return True
    return bool(session.counted or session.notes) or not (session.closed or session.gone)


__all__ = ["Builder", "Outcome", "Source", "has_open_content"]
