"""Reports without a call id find the call that they tell of, or stand alone."""

from __future__ import annotations

import pytest

from receiver.core.facts import Item, Left, Session, Unnamed
from receiver.core.settings import MILLISECOND
from receiver.core.unnamed import END_SKEW, START_SKEW, find_calls, is_unnamed, left_already, stand_alone
from receiver.events import EXACT, REPORTED, SPAN
from tests.factories import NOON


def ms(time: int) -> int:
    return NOON + time * MILLISECOND


def call(key: str, start: int, end: int, tool: str = "skill", **facts) -> Item:
    told = {"start": ms(start), "end": ms(end), "tool": tool, **facts}
    return Item(key=key, facts={field: (SPAN, value) for field, value in told.items()})


def report(start: int, end: int, tool: str = "skill", **facts) -> Unnamed:
    told = {"start": ms(start), "end": ms(end), "tool": tool, **facts}
    return Unnamed(
        facts={field: (REPORTED, value) for field, value in told.items()}, start=ms(start), end=ms(end), tool=tool
    )


def session(calls: list[Item], **reports: Unnamed) -> Session:
    return Session(id="ses_a", calls={c.key: c for c in calls}, unnamed=dict(reports))


def find(held: Session, left: dict[str, Left] | None = None) -> None:
    """Every report is due: it has waited long enough for the call that it tells of."""
    find_calls(held, left or {}, set(held.unnamed), ())


class TestFindingTheCall:
    @pytest.mark.parametrize(
        ("start", "end"), [(0, 0), (-30, 1), (-260, -10), (-5, -275)], ids=["same", "span", "old", "aborted"]
    )
    def test_by_its_tool_and_both_its_ends(self, start, end):
        held = session([call("call_1", 1000, 2000)], r=report(1000 + start, 2000 + end, skill="notes"))
        find(held)
        assert held.unnamed == {}
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
        assert list(held.unnamed) == ["r"]

    def test_an_unfinished_call_is_not_it(self):
        held = session([call("call_1", 1000, 0)], r=report(1000, 1100))
        find(held)
        assert list(held.unnamed) == ["r"]

    def test_the_same_child_says_more_than_times(self):
        calls = [call("call_1", 1000, 2000, "task", child="ses_b"), call("call_2", 1000, 2000, "task", child="ses_c")]
        held = session(calls, r=report(1900, 4000, "task", child="ses_c", agent="explore"))
        find(held)
        assert held.calls["call_2"].get("agent") == "explore"
        assert held.calls["call_1"].get("agent") is None

    def test_another_child_cannot_be_it(self):
        held = session([call("call_1", 1000, 2000, "task", child="ses_b")], r=report(1000, 2000, "task", child="ses_c"))
        find(held)
        assert list(held.unnamed) == ["r"]

    def test_parallel_calls_are_matched_one_to_one(self):
        calls = [call("call_1", 1000, 2000), call("call_2", 1100, 2100)]
        held = session(calls, r=report(1090, 2090, skill="second"), q=report(1095, 2095, skill="also"))
        find(held)
        assert held.unnamed == {}
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
        find_calls(held, {}, due, leaving)
        assert (held.calls["call_1"].get("skill") == "notes") is found
        assert (held.unnamed == {}) is found

    def test_a_better_witness_is_still_believed(self):
        known = call("call_1", 1000, 2000)
        known.facts["skill"] = (EXACT, "notes")
        held = session([known], r=report(1000, 2000, skill="other"))
        find(held)
        assert held.calls["call_1"].get("skill") == "notes"

    def test_a_report_of_a_call_that_has_left_is_done_with(self):
        held = session([], r=report(1000, 2000))
        find(held, {"call:call_1": Left(ms(1000), ms(2000), "skill")})
        assert held.unnamed == {}
        assert held.calls == {}


class TestStandingAlone:
    def test_becomes_a_call_whose_identity_is_inferred(self):
        held = session([], r=report(1000, 2000, skill="notes"))
        item = stand_alone(held, "r", infer=True)
        assert held.calls == {item.key: item}
        assert is_unnamed(item.key)
        assert (item.start, item.end, item.get("inferred")) == (ms(1000), ms(2000), "identity")

    def test_nothing_is_marked_where_nothing_may_be_inferred(self):
        assert stand_alone(session([], r=report(1000, 2000)), "r", infer=False).get("inferred") is None

    def test_the_call_that_is_told_later_is_known_to_have_left(self):
        left = {"call:~r": Left(ms(1000), ms(2000), "skill")}
        assert left_already(call("call_1", 1010, 2010), left)
        assert not left_already(call("call_1", 1010, 2010, "bash"), left)
        assert not left_already(call("call_1", 3000, 4000), left)

    def test_a_call_that_left_with_its_id_is_another_one(self):
        assert not left_already(call("call_1", 1010, 2010), {"call:call_2": Left(ms(1000), ms(2000), "skill")})
