"""Closing: a session's segment is over and becomes a span that covers everything below it (contract 5.4). Below a
task call where one started it, at the root of a trace where it has no parent; linked to what it goes on from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypedDict

from receiver import semconv as sc
from receiver.core.counting import series, usage_totals
from receiver.core.emission.item_spans import NOT_TOLD, USAGE_FACTS, ItemSpans, resource_of
from receiver.core.emission.parenting import Parenting
from receiver.core.emission.rendering import USAGE, SessionPart, session_span
from receiver.core.linking.candidates import agent_at
from receiver.core.segmentation import turns
from receiver.core.segmentation.segment import Segment
from receiver.core.segmentation.tree_segments import TreeView, ended_at
from receiver.core.state.emitted import EmittedItems
from receiver.core.state.forks import is_history
from receiver.core.state.ids import session_span_id
from receiver.core.state.items import EmittedRecord, ItemKey, ItemKind, report_of
from receiver.core.state.session import Activity, Closed, Note, Session
from receiver.core.state.settings import SECOND
from receiver.events import TOTALS
from receiver.model import AttributeValue, BuiltEvent, Link

_CHANGING = ("title", "model", "provider", "directory")
_LASTING = ("version", "project")
COUNTED_NOTE = ":counted:"  # in the key of a note that was read out of a metric
_USAGE_NAMES = (*(name for name, _ in USAGE), sc.COST)  # of USAGE_FACTS
_EVER = 1 << 63
_SAME_NOTE = 5 * SECOND  # such a point begins when the first one was counted, or when the last export was


class _Totals(TypedDict):
    usage: dict[str, AttributeValue]
    lines: tuple[int, int]


class _Known:
    """What has left of a session whose segments close, by segment: sorted once for all of them."""

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
        """Until when (ns) what cannot be placed for certain is a segment's: until the next one begins."""
        return self._until[segment.number]

    def left_in(self, segment: Segment, until: int) -> dict[ItemKey, EmittedRecord]:
        """What left in a segment; where that is not kept, what began in it."""
        placeless = self._in.get(0, {}).items()
        return self._in.get(segment.number, {}) | {k: r for k, r in placeless if segment.start <= r.start <= until}

    def ends_in(self, segment: Segment) -> list[int]:
        """When what has left ended that began in a segment, or after it where no number was left for one of its own."""
        return [record.end for record in self.left_in(segment, self.until(segment) - 1).values()]


class SessionSpans:
    """Closes the sessions of one tree, children before parents. `flushed`: someone asked, so that what follows is a
    new segment however soon it comes."""

    def __init__(self, leaving: ItemSpans, flushed: bool) -> None:
        self._leaving = leaving
        self._settings = leaving.settings
        self._forest = leaving.forest
        self._flushed = flushed

    @property
    def _view(self) -> TreeView:
        return self._leaving.view

    def close(self, session: Session) -> None:
        """Write every open segment of a session, and keep only what tells late records where to go."""
        copies = sum(is_history(session, n.time) for n in session.notes.values())
        if copies:
            self._leaving.outcome.discards["history"] += copies
        segments = list(self._view.segments(session))
        known = _Known(self._forest.emitted_of(session.id), segments)
        for segment in segments:
            self._write(session, segment, known)
        if not segments and (counted := sum(len(s.readings) for s in session.series.values() if s.what in TOTALS)):
            self._leaving.outcome.discards["already_left" if session.closed else "not_told"] += counted
        session.pins.clear()
        session.gone = not session.closed
        session.news = 0
        if session.hints:
            self._leaving.outcome.discards["not_told"] += len(session.hints)
        self._remember_series(session)
        session.series.clear()
        turns.forget(session, session.closed[-1].end + 1 if session.closed else 0)
        session.rests.clear()
        session.attempts.clear()
        for kept in (session.activities, session.notes, session.lines, session.history, session.hints):
            kept.clear()
        session.agents = dict(sorted(session.agents.items())[-1:])
        self._forest.dirty.add(session.id)

    def roll(self, session: Session, is_due: Callable[[int, int], bool]) -> None:
        """Write the segments that a roll-over or the next turn ended, once nothing that began in them is still to leave
        (and, of turns, to come: `is_due` takes an arrival and a wait)."""
        segments = list(self._view.segments(session))
        known: _Known | None = None
        for segment in segments:
            if not segment.rolled or self._busy_before(session, segment.until):
                return
            if segment.turned and not is_due(turns.told_at(session, segment.until + 1), session.wait):
                return
            known = known or _Known(self._forest.emitted_of(session.id), segments)
            self._write(session, segment, known)
            if not segment.turned:
                self._view.keep_cuts(self._view.top(session), segment.until + 1)
            session.notes = {k: n for k, n in session.notes.items() if n.time > segment.until}
            session.lines = {k: n for k, n in session.lines.items() if n[0] > segment.until}
            self._remember_series(session, segment.until)
            for activity in session.activities:
                activity.start = max(activity.start, segment.until + 1)
            session.activities = [s for s in session.activities if s.end >= s.start]
            session.news = max(session.arrival, 0)
            turns.forget(session, segment.until + 1)
            self._forest.dirty.add(session.id)

    def _remember_series(self, session: Session, until: int | None = None) -> None:
        """What the session's metrics counted (as far as a roll-over at `until`, ns) is told: only what goes beyond is
        news. Calls are looked for when a session closes, not before."""
        emitted = self._forest.emitted_of(session.id)
        for key, held in session.series.items():
            if until is not None and held.what == "calls":
                continue
            told = series.record(held, emitted.series.get(key), until)
            if told is not None and told != emitted.series.get(key):
                self._forest.add_emitted(session.id, ItemKind.SERIES, key, told)
            if until is not None:
                held.readings = {n: r for n, r in held.readings.items() if series.is_after(held, r, until)}

    def _busy_before(self, session: Session, time: int) -> bool:
        """Whether something that began before a moment (ns) is still to leave, in a session or below it."""
        is_top = session is self._view.top(session)
        below = [session] if is_top and session is not self._view.root else list(self._forest.below(session.id))
        if self._settings.trace_mode == "turn" and not all(turns.is_told(member, time + 1) for member in below):
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

    def _write(self, session: Session, segment: Segment, known: _Known) -> None:
        self._leaving.session_started(session, segment)
        placement = self._view.placement_in(session, segment, segment.start)
        place = self._leaving.place_in(placement, segment.start)
        hung = Parenting(self._leaving).hang(session, segment, placement)
        emitted = known.left_in(segment, segment.own_end)
        end = max([segment.end, *known.ends_in(segment), *self._ends_below(session, segment)])
        place.parent = hung.parent
        place.remote_parent = session is self._view.root and bool(hung.parent)
        place.agent = self._agent(session, segment)
        place.resource = resource_of(session)
        place.inferred = [*hung.inferred, *(["start"] if segment.start_guessed else [])]
        if segment.named_only:
            place.inferred.append("end")
        elif session.get("metered"):
            place.inferred.extend(("start", "end"))
        error_type, error = self._error(session, segment, emitted)
        end_reason = self._reason(session, segment, error_type)
        last = None if segment.rolled else self._last_activity(session, segment)
        if end_reason == "idle" and last is not None and not last.says_idle:
            place.inferred.append("end_reason")
        part = SessionPart(
            span_id=session_span_id(session.id, segment.number),
            number=segment.number,
            start=placement.start,
            end=end,
            parent_session=session.parent,
            end_reason=end_reason,
            facts=self._facts(session, segment),
            **self._totals(session, segment, known),
            error_type=error_type,
            error=error,
            events=self._events(session, segment),
            links=[*hung.links, *self._continued(session, segment), *self._forked(session, segment)],
        )
        self._leaving.outcome.spans.append(session_span(self._settings, place, part))
        for fact in place.inferred:
            self._leaving.outcome.inferred[fact] += 1
        until = segment.end if self._flushed and not segment.turned else segment.until
        session.pins.pop(segment.number, None)
        closed = Closed(segment.number, segment.start, end, until - end, placement.trace, placement.root_segment)
        session.closed.append(closed)
        self._leaving.pin(
            self._view.line(self._view.placement_above(session, placement.trace, segment.start)), placement.start
        )

    # what it goes on from

    def _continued(self, session: Session, segment: Segment) -> list[Link]:
        if not session.closed:
            return []
        last = session.closed[-1]
        of_turns = self._settings.trace_mode == "turn" and not self._view.is_cut(session, last.start, segment.start)
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
        """Whether another session told, by its id or by the facts that identify it, of a call of its own that a session
        can have copied: it ended before that one began. What the other copied itself says nothing, since that is
        forgotten as soon as it is found out."""
        emitted = self._forest.emitted_of(other.id).calls.get(call)
        report = report_of(call)
        reported = other.reports.get(report) if report is not None else None
        told = emitted or other.calls.get(call) or reported
        ended = (told.end or told.start) if told is not None else 0
        return is_history(session, ended) and not is_history(other, ended)

    # what it says

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
            if not inside:  # what is below it in this trace hangs here
                waiting.extend(self._forest.children(child.id))
            for closed in inside:
                above = self._view.placement_above(child, trace, closed.start)
                if above is not None and above.session is session and above.number == segment.number:
                    found.append(closed.end)
        return found

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
            told = [s.facts[name] for s in session.activities if name in s.facts and s.start <= segment.end]
            held = min(told, key=lambda fact: fact[0], default=session.facts.get(name))
            if held is not None:
                facts[name] = held[1]
        return facts

    def _totals(self, session: Session, segment: Segment, known: _Known) -> _Totals:
        """What the segment's own requests and calls used, by what was told of them and what metrics counted."""
        told, lines = _usage(known.left_in(segment, segment.own_end)), self._lines(session, segment)
        if not session.series or session.get("copies"):
            return {"usage": told, "lines": lines}
        everything = self._forest.emitted_of(session.id)
        begin = 0 if not session.closed and known.is_first(segment) else segment.start
        until = known.until(segment)
        metered, in_all = (usage_totals.counted(session, everything, *t) for t in ((begin, until), (0, _EVER)))
        told_in_all = _usage(dict(everything.spans()))
        usage: dict[str, AttributeValue] = {}
        for fact, name in zip(USAGE_FACTS, _USAGE_NAMES, strict=True):
            if fact in metered:
                amounts = (metered[fact], float(told_in_all.get(name) or 0), in_all[fact])  # type: ignore[arg-type]
                amount = usage_totals.larger(told.get(name), *amounts)  # type: ignore[arg-type]
                usage[name] = round(amount, 9) if name == sc.COST else int(amount)
            elif name in told:
                usage[name] = told[name]
        added, removed = (int(metered.get(what, 0)) for what in ("lines_added", "lines_removed"))
        return {"usage": usage, "lines": (max(lines[0], added), max(lines[1], removed))}

    def _lines(self, session: Session, segment: Segment) -> tuple[int, int]:
        told = [n for n in session.lines.values() if segment.start <= n[0] <= segment.own_end]
        return sum(n[1] for n in told), sum(n[2] for n in told)

    def _events(self, session: Session, segment: Segment) -> list[BuiltEvent]:
        notes = {key: n for key, n in session.notes.items() if segment.start <= n.time <= segment.own_end}
        told = [n for key, n in notes.items() if COUNTED_NOTE not in key]
        return [
            BuiltEvent(n.name, n.time, tuple(n.attributes))
            for key, n in notes.items()
            if COUNTED_NOTE not in key or not any(_is_same(n, other) for other in told)
        ]

    def _error(
        self, session: Session, segment: Segment, emitted: Mapping[ItemKey, EmittedRecord]
    ) -> tuple[str | None, str | None]:
        """The error that a segment ended with: told of the session after its last good answer, or its last answer."""
        answers = [r for key, r in emitted.items() if key.kind is ItemKind.REQUEST]
        good = max((r.end for r in answers if not r.failed), default=0)
        notes = [n for n in session.notes.values() if n.name == "session.error" and good < n.time <= segment.own_end]
        notes = [n for n in notes if n.time >= segment.start]
        if notes:
            last = max(notes, key=lambda n: (n.time, repr(n.attributes)))
            told = dict(last.attributes)
            return str(told.get(sc.ERROR_TYPE) or "session_error"), str(told.get("error.message") or "") or None
        last_answer = max(answers, key=lambda r: (r.end, r.start, not r.failed, r.label), default=None)
        return (last_answer.label, None) if last_answer is not None and last_answer.failed else (None, None)


def _is_same(counted: Note, told: Note) -> bool:
    """Whether a metric counted what a record told."""
    near = abs(counted.time - told.time) <= _SAME_NOTE
    return near and counted.name == told.name and counted.attributes[:1] == told.attributes[:1]


def _usage(emitted: Mapping[ItemKey, EmittedRecord]) -> dict[str, AttributeValue]:
    """Totals of the segment's own requests; a total is told if any of them told a part of it."""
    requests = [r.usage for key, r in sorted(emitted.items()) if key.kind is ItemKind.REQUEST and r.usage]
    totals: dict[str, AttributeValue] = {}
    for i, name in enumerate(_USAGE_NAMES):
        told = [u[i] for u in requests if u[i] != NOT_TOLD]
        if told:
            totals[name] = round(sum(told), 9) if name == sc.COST else int(sum(told))
    return totals
