"""Plans the spans of sessions: a segment that is over becomes a span that covers everything below it (docs/contract.md
5.4). Below a task call where one started it, at the root of a trace where it has no parent; linked to what it goes on
from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypedDict

from receiver import semconv as sc
from receiver.core.counting import series, usage_totals
from receiver.core.emission.changes import Change, PinnedPlacement, SegmentEmitted, SegmentRolled, SessionClosed
from receiver.core.emission.item_spans import UNKNOWN_USAGE, USAGE_FACTS, ItemPlanner, resource_of
from receiver.core.emission.parenting import Parenting
from receiver.core.emission.rendering import USAGE, SessionPart, session_span
from receiver.core.linking.candidates import agent_at
from receiver.core.segmentation import turns
from receiver.core.segmentation.segment import Segment
from receiver.core.segmentation.tree_segments import TreeView, ended_at
from receiver.core.state.emitted import EmittedItems
from receiver.core.state.forks import is_history
from receiver.core.state.ids import session_span_id
from receiver.core.state.items import EmittedRecord, Inferred, ItemKey, ItemKind, report_of
from receiver.core.state.session import Activity, Closed, Note, Session
from receiver.core.state.settings import SECOND
from receiver.events import COUNTED_NOTE, TOTALS
from receiver.model import AttributeValue, BuiltEvent, Link

_CHANGING = ("title", "model", "provider", "directory")
_LASTING = ("version", "project")
_USAGE_NAMES = (*(name for name, _ in USAGE), sc.COST)  # of USAGE_FACTS
_EVER = 1 << 63
_SAME_NOTE = 5 * SECOND  # such a point begins when the first one was counted, or when the last export was


class _Totals(TypedDict):
    usage: dict[str, AttributeValue]
    lines: tuple[int, int]


class _EmittedBySegment:
    """What was emitted of a session whose segments close, by segment: sorted once for all of them."""

    def __init__(self, emitted: EmittedItems, segments: Iterable[Segment]) -> None:
        self._in: dict[int, dict[ItemKey, EmittedRecord]] = {}
        for key, record in emitted.spans():
            self._in.setdefault(record.segment, {})[key] = record
        self._until: dict[int, int] = {}
        soonest = _EVER
        for segment in sorted(segments, key=lambda s: s.number, reverse=True):
            self._until[segment.number] = soonest
            soonest = min(soonest, segment.start)

    def is_first(self, segment: Segment) -> bool:
        """Whether no other one has a lower number."""
        return segment.number == min(self._until)

    def until(self, segment: Segment) -> int:
        """Until when (ns) what has no certain place is a segment's: until the next one begins."""
        return self._until[segment.number]

    def emitted_in(self, segment: Segment, until: int) -> dict[ItemKey, EmittedRecord]:
        """What was emitted in a segment; where that is not kept, what began in it."""
        placeless = self._in.get(0, {}).items()
        return self._in.get(segment.number, {}) | {k: r for k, r in placeless if segment.start <= r.start <= until}

    def ends_in(self, segment: Segment) -> list[int]:
        """The ends (ns) of what began in a segment, or after it where no number was free for another one."""
        return [record.end for record in self.emitted_in(segment, self.until(segment) - 1).values()]


class SessionPlanner:
    """Plans the spans of one tree's sessions, children before parents. `flushed`: someone asked for it, so that what
    follows is a new segment however soon it comes."""

    def __init__(self, items: ItemPlanner, flushed: bool) -> None:
        self._items = items
        self._settings = items.settings
        self._forest = items.forest
        self._flushed = flushed
        self._parenting = Parenting(items)

    @property
    def _view(self) -> TreeView:
        return self._items.view

    def close(self, session: Session) -> Iterator[Change]:
        """Every open segment of a session, and then the session itself."""
        segments = list(self._view.segments(session))
        known = _EmittedBySegment(self._forest.emitted_of(session.id), segments)
        for segment in segments:
            yield from self._emit(session, segment, known)
        yield SessionClosed(session, self._series(session), tuple(self._unused(session, segments)))

    @staticmethod
    def _unused(session: Session, segments: Sequence[Segment]) -> Iterator[tuple[str, int]]:
        """What of a session that closes is in no span: a reason, and how many."""
        if copies := sum(is_history(session, n.time) for n in session.notes.values()):
            yield "history", copies
        totals = () if segments else (s for s in session.series.values() if s.what in TOTALS)
        if counted := sum(len(s.readings) for s in totals):
            yield "already_left" if session.closed else "not_told", counted
        if unmatched := len(session.hints) + len(session.parts):
            yield "not_told", unmatched

    def roll(self, session: Session, is_due: Callable[[int, int], bool]) -> Iterator[Change]:
        """The segments that a roll-over or the next turn ended, once nothing that began in them is still to be emitted
        (and, of turns, to come: `is_due` takes an arrival and a wait)."""
        segments = list(self._view.segments(session))
        known: _EmittedBySegment | None = None
        for segment in segments:
            if not segment.rolled or self._busy_before(session, segment.until):
                return
            if segment.turned and not is_due(turns.arrival_of(session, segment.until + 1), session.wait):
                return
            known = known or _EmittedBySegment(self._forest.emitted_of(session.id), segments)
            yield from self._emit(session, segment, known)
            yield SegmentRolled(session, segment, self._series(session, segment.until))

    def _series(self, session: Session, until: int | None = None) -> tuple[tuple[str, EmittedRecord], ...]:
        """What the session's metrics counted (as far as a roll-over at `until`, ns): only what goes beyond it is news
        later. Calls are looked for when a session closes, not before."""
        emitted = self._forest.emitted_of(session.id).series
        counted = ((k, s) for k, s in session.series.items() if until is None or s.what != "calls")
        return tuple(record for key, one in counted for record in series.records(key, one, emitted, until))

    def _busy_before(self, session: Session, time: int) -> bool:
        """Whether something that began before a moment (ns) is still to be emitted, in a session or below it."""
        is_top = session is self._view.top(session)
        below = [session] if is_top and session is not self._view.root else list(self._forest.below(session.id))
        if self._settings.trace_mode == "turn" and not all(turns.is_complete(member, time + 1) for member in below):
            return True
        for member in below[1:]:
            written = {c.number for c in member.closed}
            if any(s.start <= time and s.number not in written for s in self._view.segments(member)):
                return True
        return any(
            item.start <= time
            for member in below
            for items in (member.calls, member.requests, member.permissions)
            for item in items.values()
        )

    def _emit(self, session: Session, segment: Segment, known: _EmittedBySegment) -> Iterator[Change]:
        yield from self._items.session_started(session, segment)
        placement = self._view.placement_in(session, segment, segment.start)
        place = self._items.place_in(placement, segment.start)
        parent = self._parenting.parent(session, segment, placement)
        emitted = known.emitted_in(segment, segment.own_end)
        end = max([segment.end, *known.ends_in(segment), *self._ends_below(session, segment)])
        place.parent = parent.span
        place.remote_parent = session is self._view.root and bool(parent.span)
        place.agent = self._agent(session, segment)
        place.resource = resource_of(session)
        place.inferred = [*parent.inferred, *self._inferred(session, segment)]
        error_type, error = self._error(session, segment, emitted)
        end_reason = self._reason(session, segment, error_type)
        last = None if segment.rolled else self._last_activity(session, segment)
        if end_reason == "idle" and last is not None and not last.says_idle:
            place.inferred.append(Inferred.END_REASON)
        part = SessionPart(
            span_id=session_span_id(session.id, segment.number),
            number=segment.number,
            start=placement.start,
            end=end,
            parent_session=self._parent_id(session),
            end_reason=end_reason,
            facts=self._facts(session, segment),
            **self._totals(session, segment, known),
            error_type=error_type,
            error=error,
            events=self._events(session, segment),
            links=[*parent.links, *self._continued(session, segment), *self._forked(session, segment)],
        )
        span = session_span(self._settings, place, part)
        until = segment.end if self._flushed and not segment.turned else segment.until
        closed = Closed(segment.number, segment.start, end, until - end, placement.trace, placement.root_segment)
        pinned = [parent.pinned] if parent.pinned is not None else []
        above = self._view.placement_above(session, placement.trace, segment.start)
        if above is not None:
            pinned.append(PinnedPlacement(above, placement.start))
        inferred = tuple(place.inferred)
        yield SegmentEmitted(session, span, closed, inferred, tuple(pinned), parent.awaited, parent.edge)

    @staticmethod
    def _inferred(session: Session, segment: Segment) -> Iterator[Inferred]:
        """What of a segment's times was reconstructed."""
        if segment.start_guessed:
            yield Inferred.START
        if segment.named_only:
            yield Inferred.END
        elif session.get("metered"):
            yield Inferred.START
            yield Inferred.END

    # what it goes on from

    def _continued(self, session: Session, segment: Segment) -> list[Link]:
        if not session.closed:
            return []
        last = session.closed[-1]
        of_turns = self._settings.trace_mode == "turn" and not self._view.rolled_over(
            session, last.start, segment.start
        )
        kind = sc.LINK_TURN if of_turns else sc.LINK_CONTINUED
        return [Link(last.trace, session_span_id(session.id, last.number), ((sc.LINK_TYPE, kind),))]

    def _forked(self, session: Session, segment: Segment) -> list[Link]:
        if segment.number > 1 or not (session.history or session.get("origin")):
            return []
        origin = self._origin(session)
        if origin is None:
            return []
        view = TreeView(self._forest, self._forest.root_of(origin.id), self._settings)
        placement = view.placement(origin, segment.start)
        if placement.segment is None:
            return []
        attributes = ((sc.LINK_TYPE, sc.LINK_FORK), (sc.LINKED_SESSION, origin.id))
        return [Link(placement.trace, session_span_id(origin.id, placement.number), attributes)]

    def _origin(self, session: Session) -> Session | None:
        """The session that the copied history came from: stated, or the one that holds the same finished calls."""
        if (stated := session.get("origin")) is not None:
            return self._forest.get(str(stated))
        if not self._settings.infer:
            return None
        holders = [
            other
            for key, other in sorted(self._forest.sessions.items())
            if key != session.id
            and session.history
            and all(self._was_copied(session, other, call) for call in session.history)
        ]
        return holders[0] if len(holders) == 1 else None

    def _was_copied(self, session: Session, other: Session, call: str) -> bool:
        """Whether another session has a call, by its id or by the facts that identify it, that a session can have
        copied: it ended before that one began. What the other copied itself does not count, since that is dropped
        as soon as it is found out."""
        emitted = self._forest.emitted_of(other.id).calls.get(call)
        report = report_of(call)
        reported = other.reports.get(report) if report is not None else None
        found = emitted or other.calls.get(call) or reported
        ended = (found.end or found.start) if found is not None else 0
        return is_history(session, ended) and not is_history(other, ended)

    # what it states

    def _ends_below(self, session: Session, segment: Segment) -> list[int]:
        trace = self._view.placement_in(session, segment, segment.start).trace
        found: list[int] = []
        seen, waiting = {session.id}, list(self._forest.children(session.id))
        while waiting:
            child = waiting.pop()
            if child.id in seen:
                continue
            seen.add(child.id)
            inside = [closed for closed in child.closed if closed.trace == trace]
            if not inside:  # what is below it in this trace is directly below this one
                waiting.extend(self._forest.children(child.id))
            for closed in inside:
                above = self._view.placement_above(child, trace, closed.start)
                if above is not None and above.session is session and above.number == segment.number:
                    found.append(closed.end)
        return found

    def _parent_id(self, session: Session) -> str | None:
        """The parent's id as the agent's telemetry has it; None where the session shares it."""
        parent = self._forest.get(session.parent) if session.parent else None
        named = parent.shared_id if parent is not None else session.parent
        return named if named != session.shared_id else None

    def _agent(self, session: Session, segment: Segment) -> str | None:
        return agent_at(session, segment.own_end)

    def _reason(self, session: Session, segment: Segment, error_type: str | None) -> str:
        if segment.rolled:
            idle = segment.turned and turns.was_idle(session, segment.start, segment.until + 1)
            return "rollover" if not idle else "error" if error_type else "idle"
        ended = ended_at(session)
        if ended is not None and segment.start <= ended[0] <= segment.own_end:
            return ended[1]
        if error_type:
            return "error"
        last = self._last_activity(session, segment)
        return "idle" if last is not None and session.is_resting(last) else "inactive"

    @staticmethod
    def _last_activity(session: Session, segment: Segment) -> Activity | None:
        own = [s for s in session.activities if segment.start <= s.end and s.start <= segment.own_end]
        return own[-1] if own else None

    def _facts(self, session: Session, segment: Segment) -> dict[str, AttributeValue]:
        facts: dict[str, AttributeValue] = {}
        for name in _LASTING:
            if (value := session.get(name)) is not None:
                facts[name] = value
        for name in _CHANGING:
            if self._settings.trace_mode == "turn":
                held_then = session.changes.get(name, {})
                if then := [t for t in held_then if t <= segment.until]:
                    facts[name] = held_then[max(then)]
                continue
            stated = [s.facts[name] for s in session.activities if name in s.facts and s.start <= segment.end]
            latest = min(stated, key=lambda fact: fact[0], default=session.facts.get(name))
            if latest is not None:
                facts[name] = latest[1]
        return facts

    def _totals(self, session: Session, segment: Segment, known: _EmittedBySegment) -> _Totals:
        """What the segment's own requests and calls used, by their records and by what metrics counted."""
        stated, lines = _usage(known.emitted_in(segment, segment.own_end)), self._lines(session, segment)
        if not session.series or session.get("copies"):
            return {"usage": stated, "lines": lines}
        everything = self._forest.emitted_of(session.id)
        begin = 0 if not session.closed and known.is_first(segment) else segment.start
        until = known.until(segment)
        metered, in_all = (usage_totals.totals_between(session, everything, *t) for t in ((begin, until), (0, _EVER)))
        stated_in_all = _usage(dict(everything.spans()))
        usage: dict[str, AttributeValue] = {}
        for fact, name in zip(USAGE_FACTS, _USAGE_NAMES, strict=True):
            if fact in metered:
                amounts = (metered[fact], float(stated_in_all.get(name) or 0), in_all[fact])  # type: ignore[arg-type]
                amount = usage_totals.segment_total(stated.get(name), *amounts)  # type: ignore[arg-type]
                usage[name] = round(amount, 9) if name == sc.COST else int(amount)
            elif name in stated:
                usage[name] = stated[name]
        added, removed = (int(metered.get(what, 0)) for what in ("lines_added", "lines_removed"))
        return {"usage": usage, "lines": (max(lines[0], added), max(lines[1], removed))}

    def _lines(self, session: Session, segment: Segment) -> tuple[int, int]:
        lines = [n for n in session.lines.values() if segment.start <= n[0] <= segment.own_end]
        return sum(n[1] for n in lines), sum(n[2] for n in lines)

    def _events(self, session: Session, segment: Segment) -> list[BuiltEvent]:
        notes = {key: n for key, n in session.notes.items() if segment.start <= n.time <= segment.own_end}
        reported = [n for key, n in notes.items() if f":{COUNTED_NOTE}" not in key]
        return [
            BuiltEvent(n.name, n.time, tuple(n.attributes))
            for key, n in notes.items()
            if f":{COUNTED_NOTE}" not in key or not any(_is_same(n, other) for other in reported)
        ]

    def _error(
        self, session: Session, segment: Segment, emitted: Mapping[ItemKey, EmittedRecord]
    ) -> tuple[str | None, str | None]:
        """The error that a segment ended with: the session's after its last good answer, or that of its last answer."""
        answers = [r for key, r in emitted.items() if key.kind is ItemKind.REQUEST]
        good = max((r.end for r in answers if not r.failed), default=0)
        notes = [n for n in session.notes.values() if n.name == "session.error" and good < n.time <= segment.own_end]
        notes = [n for n in notes if n.time >= segment.start]
        if notes:
            last = max(notes, key=lambda n: (n.time, repr(n.attributes)))
            stated = dict(last.attributes)
            return str(stated.get(sc.ERROR_TYPE) or "session_error"), str(stated.get("error.message") or "") or None
        last_answer = max(answers, key=lambda r: (r.end, r.start, not r.failed, r.label), default=None)
        return (last_answer.label, None) if last_answer is not None and last_answer.failed else (None, None)


def _is_same(counted: Note, reported: Note) -> bool:
    """Whether a metric counted what a record reported."""
    near = abs(counted.time - reported.time) <= _SAME_NOTE
    return near and counted.name == reported.name and counted.attributes[:1] == reported.attributes[:1]


def _usage(emitted: Mapping[ItemKey, EmittedRecord]) -> dict[str, AttributeValue]:
    """Totals of the segment's own requests; a total is known if any of them states a part of it."""
    requests = [r.usage for key, r in sorted(emitted.items()) if key.kind is ItemKind.REQUEST and r.usage]
    totals: dict[str, AttributeValue] = {}
    for i, name in enumerate(_USAGE_NAMES):
        stated = [u[i] for u in requests if u[i] != UNKNOWN_USAGE]
        if stated:
            totals[name] = round(sum(stated), 9) if name == sc.COST else int(sum(stated))
    return totals
