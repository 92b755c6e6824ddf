"""Reports without a call id find the call that they tell of, or stand alone."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from receiver import semconv as sc
from receiver.core.emission.changes import ReportMatched, ReportUnmatched
from receiver.core.linking.report_matching import (
    END_SKEW,
    START_SKEW,
    Nearby,
    emitted_reports,
    has_no_stated_id,
    match_reports,
    matched_reports,
    unmatched_report,
)
from receiver.core.state.emitted import CallIndex, CallTimes, EmittedItems
from receiver.core.state.items import EmittedRecord, Inferred, Item, ItemKind
from receiver.core.state.session import Session
from receiver.core.state.settings import MILLISECOND, SECOND
from receiver.events import EXACT, REPORTED, SPAN, AnyEvent
from tests.support.changes import apply
from tests.support.core_runs import Stream, trees
from tests.support.factories import NOON, RELAY, a_session, at
from tests.support.read_counter import CountedEmittedItems
from tests.support.span_laws import attribute


def ms(time: int) -> int:
    return NOON + time * MILLISECOND


def call(key: str, start: int, end: int, tool: str = "skill", **facts) -> Item:
    told = {"start": ms(start), "end": ms(end), "tool": tool, **facts}
    return Item(id=key, facts={field: (SPAN, value) for field, value in told.items()})


def report(start: int, end: int, tool: str = "skill", **facts) -> Item:
    told = {"start": ms(start), "end": ms(end), "tool": tool, **facts}
    return Item(facts={field: (REPORTED, value) for field, value in told.items()}, kind=ItemKind.REPORT)


def session(calls: list[Item], **reports: Item) -> Session:
    return Session(id="ses_a", calls={c.id: c for c in calls}, reports=dict(reports))


def find(held: Session, emitted: EmittedItems | None = None) -> None:
    """Every report is due: it has waited long enough for the call that it tells of."""
    find_due(held, emitted or EmittedItems(), set(held.reports), ())


def find_due(held: Session, emitted: EmittedItems, due: Collection[str], calls: Collection[str]) -> None:
    """Merge the reports that tell of a call, where either is due."""
    for found, of in matched_reports(held, emitted, due, calls).items():
        apply(held, emitted, ReportMatched(held, found, of))


class TestFindingTheCall:
    @pytest.mark.parametrize(
        ("start", "end"), [(0, 0), (-30, 1), (-260, -10), (-5, -275)], ids=["same", "span", "old", "aborted"]
    )
    def test_by_its_tool_and_both_its_ends(self, start, end):
        held = session([call("call_1", 1000, 2000)], r=report(1000 + start, 2000 + end, skill="notes"))
        find(held)
        assert held.reports == {}
        assert held.calls["call_1"].get("skill") == "notes"

    @pytest.mark.parametrize(
        "told",
        [
            report(1000, 2000, tool="task"),
            report(1000 + START_SKEW // MILLISECOND + 1, 2000),
            report(1000, 2000 + END_SKEW // MILLISECOND + 1),
        ],
        ids=["another tool", "another start", "another end"],
    )
    def test_others_are_not_it(self, told):
        held = session([call("call_1", 1000, 2000)], r=told)
        find(held)
        assert list(held.reports) == ["r"]

    def test_an_unfinished_call_is_not_it(self):
        held = session([call("call_1", 1000, 0)], r=report(1000, 1100))
        find(held)
        assert list(held.reports) == ["r"]

    def test_the_same_child_says_more_than_times(self):
        calls = [call("call_1", 1000, 2000, "task", child="ses_b"), call("call_2", 1000, 2000, "task", child="ses_c")]
        held = session(calls, r=report(1900, 4000, "task", child="ses_c", agent="explore"))
        find(held)
        assert held.calls["call_2"].get("agent") == "explore"
        assert held.calls["call_1"].get("agent") is None

    def test_another_child_cannot_be_it(self):
        held = session([call("call_1", 1000, 2000, "task", child="ses_b")], r=report(1000, 2000, "task", child="ses_c"))
        find(held)
        assert list(held.reports) == ["r"]

    def test_parallel_calls_are_matched_one_to_one(self):
        calls = [call("call_1", 1000, 2000), call("call_2", 1100, 2100)]
        held = session(calls, r=report(1090, 2090, skill="second"), q=report(1095, 2095, skill="also"))
        find(held)
        assert held.reports == {}
        assert {c.get("skill") for c in held.calls.values()} == {"second", "also"}

    def test_of_parallel_calls_the_failed_one_is_told_by_the_report_of_a_failure(self):
        calls = [call("call_1", 1000, 2000, status="completed"), call("call_2", 1000, 2000, status="error")]
        held = session(calls, r=report(1000, 2000, status="error", skill="notes"))
        find(held)
        assert held.calls["call_2"].get("skill") == "notes"

    @pytest.mark.parametrize(
        ("due", "leaving", "found"), [((), (), False), (("r",), (), True), ((), ("call_1",), True)]
    )
    def test_is_decided_when_either_is_due(self, due, leaving, found):
        held = session([call("call_1", 1000, 2000)], r=report(1000, 2000, skill="notes"))
        find_due(held, EmittedItems(), due, leaving)
        assert (held.calls["call_1"].get("skill") == "notes") is found
        assert (held.reports == {}) is found

    def test_a_better_witness_is_still_believed(self):
        known = call("call_1", 1000, 2000)
        known.facts["skill"] = (EXACT, "notes")
        held = session([known], r=report(1000, 2000, skill="other"))
        find(held)
        assert held.calls["call_1"].get("skill") == "notes"

    def test_a_report_of_a_call_that_has_left_is_done_with(self):
        held = session([], r=report(1000, 2000))
        find(held, EmittedItems.of([("call:call_1", EmittedRecord(ms(1000), ms(2000), "skill"))]))
        assert held.reports == {}
        assert held.calls == {}


class TestStandingAlone:
    def test_becomes_a_call_whose_identity_is_inferred(self):
        held = session([], r=report(1000, 2000, skill="notes"))
        item = unmatched_report("r", held.reports["r"], infer=True)
        apply(held, EmittedItems(), ReportUnmatched(held, "r", item))
        assert (held.calls, held.reports) == ({item.id: item}, {})
        assert has_no_stated_id(item.id)
        assert (item.start, item.end, item.inferred) == (ms(1000), ms(2000), (Inferred.IDENTITY,))

    def test_nothing_is_marked_where_nothing_may_be_inferred(self):
        assert unmatched_report("r", report(1000, 2000), infer=False).inferred == ()

    def test_the_call_that_is_told_later_is_known_to_have_left(self):
        emitted = emitted_reports(EmittedItems.of([("call:~r", EmittedRecord(ms(1000), ms(2000), "skill"))]))
        assert [c.id for c in emitted.near("skill", ms(1010), ms(2010))] == ["~r"]
        assert not any(emitted.near("bash", ms(1010), ms(2010)))
        assert not any(emitted.near("skill", ms(3000), ms(4000)))

    def test_a_call_that_left_with_its_id_is_another_one(self):
        emitted = emitted_reports(EmittedItems.of([("call:call_2", EmittedRecord(ms(1000), ms(2000), "skill"))]))
        assert not any(emitted.near("skill", ms(1010), ms(2010)))


class TestManyOfThem:
    """Found by fuzzing: 20,000 of them in one session held the receiver for a minute."""

    def test_each_call_is_asked_once_for_a_look_however_many_reports_there_are(self):
        calls = {f"c{i}": Asked(f"c{i}", call("c", i * 1000, i * 1000 + 500).facts) for i in range(300)}
        reports = {f"r{i}": report(i * 1000 + 3, i * 1000 + 495) for i in range(300)}
        held = Session(id="ses_a", calls=calls, reports=reports)
        assert match_reports(held, EmittedItems()) == {f"r{i}": f"c{i}" for i in range(300)}
        assert sum(c.asked for c in calls.values()) == 300

    def test_what_has_left_unnamed_is_read_once_for_all_calls_that_leave(self):
        stream = Stream().tell(RELAY, *_reports(300)).until(at(302 + 2))
        emitted = CountedEmittedItems.of_items(stream.forest.emitted_of("ses_a"))
        stream.forest.emitted["ses_a"] = emitted
        assert sum(has_no_stated_id(call) for call in emitted.calls) == 300
        named = a_session()
        for i in range(300):
            named.call("skill", i, i + 0.5, call=f"c{i}")
        stream.tell(RELAY, *named.told).until(stream.now + 3 * SECOND)
        assert stream.discards["already_left"] == 300
        assert emitted.loops < 10

    def test_of_many_at_one_time_the_nearest_are_compared(self):
        many = Nearby(CallIndex(("skill", CallTimes(ms(i), ms(900), f"c{i}", "", False)) for i in range(300)))
        near = {known.start for known in many.near("skill", ms(150), ms(900))}
        assert {ms(i) for i in range(120, 180)} <= near
        assert len(near) < 100

    def test_what_leaves_in_the_same_look_is_another_call(self):
        told = a_session().report("skill", 1, 2).report("skill", 1.01, 2.01).call("skill", 1, 2.02, call="c1").idle(3)
        ids = [attribute(s, sc.TOOL_CALL_ID) for s in trees(told) if s.name == "execute_tool skill"]
        assert len(ids) == 2
        assert "c1" in ids


class Asked(Item):
    """A call that counts how often it is compared."""

    asked: int = 0

    @property
    def start(self) -> int:
        """When it began."""
        self.asked += 1
        return super().start


def _reports(many: int) -> list[AnyEvent]:
    told = a_session().created(0)
    for i in range(many):
        told.report("skill", i, i + 0.5)
    return told.told
