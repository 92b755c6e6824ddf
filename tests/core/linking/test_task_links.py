"""Which task call started which child, by the skews that real agents show."""

from __future__ import annotations

import pytest

from receiver.core.linking.task_links import (
    MARGIN,
    MARGIN_PERCENT,
    MAX_COST_NOT_STATED,
    MAX_LEAD,
    MAX_OVERTIME_FAILED,
    ChildTurn,
    TaskCall,
    fitting_calls,
    infer_calls,
    infer_parents,
    naming_call,
)
from receiver.core.state.settings import MILLISECOND
from tests.support.factories import NOON


def ms(time: int) -> int:
    return NOON + time * MILLISECOND


def call(key: str, start: int, end: int, **more) -> TaskCall:
    return TaskCall(key, ms(start), ms(end) if end else 0, **more)


def child(session: str, start: int, end: int, **more) -> ChildTurn:
    return ChildTurn(session, ms(start), ms(end), **more)


def links(children, calls):
    found = {child.session: [c.key for c in fitting] for child, fitting in infer_calls(children, calls).items()}
    decided = {child: keys[0] for child, keys in found.items() if len(keys) == 1}
    return decided, {child: keys for child, keys in found.items() if len(keys) > 1}


class TestStated:
    def test_the_call_that_names_it(self):
        calls = [call("t1", 0, 100), call("t2", 500, 900, child="ses_b")]
        assert naming_call(child("ses_b", 10, 90), calls).key == "t2"

    def test_a_resumed_child_belongs_to_the_call_that_started_nearest(self):
        calls = [call("t1", 0, 100, child="ses_b"), call("t2", 5000, 5900, child="ses_b")]
        assert naming_call(child("ses_b", 5010, 5800), calls).key == "t2"
        assert naming_call(child("ses_b", -5, 90), calls).key == "t1"

    def test_no_call_names_it(self):
        assert naming_call(child("ses_b", 0, 1), [call("t1", 0, 100)]) is None

    def test_a_call_that_names_a_child_is_free_for_no_other(self):
        assert links([child("ses_c", 10, 90)], [call("t1", 0, 100, child="ses_b")]) == ({}, {})


class TestByTime:
    @pytest.mark.parametrize("before", [2, 25, 124])
    def test_a_child_is_created_before_its_tasks_stated_start(self, before):
        found, _ = links([child("ses_b", -before, 990)], [call("t1", 0, 1000)])
        assert found == {"ses_b": "t1"}

    def test_or_after_it_for_the_subtask_of_a_slash_command(self):
        assert links([child("ses_b", 31, 990)], [call("t1", 0, 1000)])[0] == {"ses_b": "t1"}

    def test_but_not_earlier_than_the_tolerance(self):
        before = MAX_LEAD // MILLISECOND + 1
        assert links([child("ses_b", -before, 990)], [call("t1", 0, 1000)]) == ({}, {})

    def test_nor_after_the_call_has_ended(self):
        assert links([child("ses_b", 1001, 1500)], [call("t1", 0, 1000)]) == ({}, {})

    def test_the_end_is_the_better_anchor(self):
        """Two tasks start within a few ms, and their children in the other order; their ends tell them apart."""
        calls = [call("t1", 0, 1000), call("t2", 8, 2000)]
        children = [child("ses_b", 2, 990), child("ses_c", -4, 1985)]
        assert links(children, calls)[0] == {"ses_b": "t1", "ses_c": "t2"}

    def test_parallel_tasks_are_matched_as_an_assignment(self):
        """First come, first served would give the first child the nearest call, and the second one none."""
        calls = [call("t1", 0, 500), call("t2", 60, 900)]
        children = [child("ses_b", 50, 495), child("ses_c", 55, 890)]
        assert links(children, calls)[0] == {"ses_b": "t1", "ses_c": "t2"}

    def test_the_agents_name_is_evidence(self):
        calls = [call("t1", 0, 1000, agent="explore"), call("t2", 0, 1000, agent="general")]
        children = [child("ses_b", 5, 990, agent="general"), child("ses_c", 5, 990, agent="explore")]
        assert links(children, calls)[0] == {"ses_b": "t2", "ses_c": "t1"}

    def test_two_that_fit_equally_are_candidates(self):
        calls = [call("t1", 0, 1000), call("t2", 1, 1001)]
        assert links([child("ses_b", 5, 990)], calls) == ({}, {"ses_b": ["t1", "t2"]})

    def test_a_difference_beyond_the_ambiguous_decides(self):
        apart = (MARGIN + 10 * MILLISECOND * MARGIN_PERCENT // 100) // MILLISECOND + 1
        calls = [call("t1", 0, 1000), call("t2", 0, 1000 + apart)]
        assert links([child("ses_b", 5, 990)], calls)[0] == {"ses_b": "t1"}

    def test_the_worse_it_fits_the_more_must_another_one_cost(self):
        calls = [call("t1", 0, 1200), call("t2", 0, 1250)]
        assert links([child("ses_b", 5, 990)], calls) == ({}, {"ses_b": ["t1", "t2"]})

    def test_the_starts_of_parallel_tasks_tell_nothing(self):
        calls = [call("t1", 0, 1000), call("t2", 200, 1000)]
        assert links([child("ses_b", 0, 990)], calls) == ({}, {"ses_b": ["t1", "t2"]})

    def test_a_child_is_not_given_the_call_of_another_one_that_fits_it_better(self):
        """The call of ses_c was never told; to give it t1 would take t1 from ses_b."""
        calls = [call("t1", 0, 1000)]
        assert links([child("ses_b", 0, 995), child("ses_c", 8, 900)], calls)[0] == {"ses_b": "t1"}


class TestOddEnds:
    def test_a_background_task_ends_seconds_before_its_child(self):
        assert links([child("ses_b", -5, 9000)], [call("t1", 0, 40)])[0] == {"ses_b": "t1"}

    def test_a_task_that_has_not_ended_is_compared_by_its_start(self):
        calls = [call("t1", 0, 0), call("t2", 300, 0)]
        assert links([child("ses_b", 295, 400)], calls)[0] == {"ses_b": "t2"}

    def test_an_aborted_childs_tools_end_after_its_task(self):
        assert links([child("ses_b", -5, 1360)], [call("t1", 0, 1000, failed=True)])[0] == {"ses_b": "t1"}

    def test_a_failed_task_does_not_run_in_the_background(self):
        after = MAX_OVERTIME_FAILED // MILLISECOND + 1
        assert links([child("ses_b", -5, 1000 + after)], [call("t1", 0, 1000, failed=True)]) == ({}, {})

    def test_nothing_to_link(self):
        assert links([], [call("t1", 0, 1)]) == links([child("ses_b", 0, 1)], []) == ({}, {})


class TestExcluded:
    """What no closeness in time makes good."""

    def test_another_name(self):
        calls = [call("t1", 0, 1000, label="one"), call("t2", 0, 1000, label="two")]
        assert links([child("ses_b", 5, 990, label="two")], calls)[0] == {"ses_b": "t2"}

    def test_another_project(self):
        assert links([child("ses_b", 5, 990, project="p1")], [call("t1", 0, 1000, project="p2")]) == ({}, {})

    def test_another_trace_context(self):
        calls = [call("t1", 0, 1000, context="aa"), call("t2", 0, 1000, context="bb")]
        assert links([child("ses_b", 5, 990, contexts=frozenset({"bb"}))], calls)[0] == {"ses_b": "t2"}

    def test_a_call_of_its_own(self):
        assert links([child("ses_b", 5, 990)], [call("t1", 0, 1000, session="ses_b")]) == ({}, {})

    def test_a_call_of_another_session_than_its_parent(self):
        assert links([child("ses_b", 5, 990, parent="ses_a")], [call("t1", 0, 1000, session="ses_c")]) == ({}, {})


class TestUntold:
    """Sessions that may as well be another user's."""

    def test_born_with_the_call_and_done_with_it(self):
        one = child("ses_b", 5, 990, stated=False, created=ms(5))
        assert links([one], [call("t1", 0, 1000)])[0] == {"ses_b": "t1"}

    def test_there_before_the_call(self):
        one = child("ses_b", 5, 990, stated=False, created=ms(-5_000))
        assert links([one], [call("t1", 0, 1000)]) == ({}, {})

    def test_not_so_close(self):
        far = MAX_COST_NOT_STATED // MILLISECOND + 1
        one = child("ses_b", 5, 2_000 - far, stated=False, created=ms(5))
        assert links([one], [call("t1", 0, 2_000, failed=True)]) == ({}, {})

    def test_never_outlives_its_call(self):
        assert links([child("ses_b", 5, 9_000, stated=False, created=ms(5))], [call("t1", 0, 40)]) == ({}, {})


class TestHidden:
    """Calls whose tool is not told may have been anything."""

    def test_one_that_fits_at_both_ends(self):
        assert links([child("ses_b", 5, 990)], [call("t1", 0, 1000, hidden=True)])[0] == {"ses_b": "t1"}

    def test_one_that_ends_otherwise(self):
        assert links([child("ses_b", 5, 890)], [call("t1", 0, 1000, hidden=True)]) == ({}, {})

    def test_never_for_a_session_that_may_be_a_root(self):
        one = child("ses_b", 5, 990, stated=False, created=ms(5))
        assert links([one], [call("t1", 0, 1000, hidden=True)]) == ({}, {})


class TestParents:
    def test_several_calls_of_one_session_decide_the_parent(self):
        calls = [call("t1", 0, 1000, session="ses_a"), call("t2", 3, 1001, session="ses_a")]
        assert infer_parents(fitting_calls([child("ses_b", 5, 990)], calls)) == {"ses_b": "ses_a"}

    def test_calls_of_two_sessions_do_not(self):
        calls = [call("t1", 0, 1000, session="ses_a"), call("t2", 3, 1001, session="ses_c")]
        assert infer_parents(fitting_calls([child("ses_b", 5, 990)], calls)) == {}

    def test_all_turns_of_a_child_must_agree(self):
        calls = [call("t1", 0, 1000, session="ses_a"), call("t2", 9_000, 9_500, session="ses_c")]
        turns = [child("ses_b", 5, 990), child("ses_b", 9_005, 9_490)]
        assert infer_parents(fitting_calls(turns, calls)) == {}
        assert infer_parents(fitting_calls(turns[:1], calls)) == {"ses_b": "ses_a"}


class TestHowFarApartAPairMayBe:
    """By how much is told of the session: that it is a child, only when it was created, or nothing."""

    def found(self, apart: int, **told) -> bool:
        """Whether a session is linked to a failed call that ends so many ms after it."""
        calls = [call("t1", 0, 5000, failed=True)]
        return bool(links([child("ses_b", 0, 5000 - apart, **told)], calls)[0])

    def test_a_session_of_which_nothing_is_told_is_within_300_ms(self):
        assert self.found(290, stated=False)
        for apart in (310, 400, 600):
            assert not self.found(apart, stated=False), apart

    def test_a_session_whose_creation_is_told_is_within_600_ms(self):
        assert self.found(600, stated=False, created=ms(0))
        assert not self.found(1010, stated=False, created=ms(0))

    def test_a_told_child_is_within_600_ms(self):
        assert self.found(600)
        assert not self.found(1010)

    def test_a_child_that_rests_well_before_its_call_ends_is_not_its(self):
        for before, linked in ((250, True), (350, False), (600, False)):
            assert bool(links([child("ses_b", 0, 5000 - before)], [call("t1", 0, 5000)])[0]) == linked, before

    def test_only_a_call_that_is_over_at_once_has_a_child_in_the_background(self):
        for took, linked in ((400, True), (600, False), (2000, False)):
            assert bool(links([child("ses_b", 0, 9000)], [call("t1", 0, took)])[0]) == linked, took
