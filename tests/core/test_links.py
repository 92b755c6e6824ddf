"""Which task call started which child, by the skews that real agents show."""

from __future__ import annotations

import pytest

from receiver.core.links import AFTER_END, AMBIGUOUS, BEFORE_START, Child, TaskCall, infer_makers, maker
from receiver.core.settings import MILLISECOND
from tests.factories import NOON


def ms(time: int) -> int:
    return NOON + time * MILLISECOND


def call(key: str, start: int, end: int, **more) -> TaskCall:
    return TaskCall(key, ms(start), ms(end) if end else 0, **more)


def child(session: str, start: int, end: int, **more) -> Child:
    return Child(session, ms(start), ms(end), **more)


def links(children, calls):
    found = {child.session: [c.key for c in fitting] for child, fitting in infer_makers(children, calls).items()}
    decided = {child: keys[0] for child, keys in found.items() if len(keys) == 1}
    return decided, {child: keys for child, keys in found.items() if len(keys) > 1}


class TestStated:
    def test_the_call_that_names_it(self):
        calls = [call("t1", 0, 100), call("t2", 500, 900, child="ses_b")]
        assert maker(child("ses_b", 10, 90), calls).key == "t2"

    def test_a_resumed_child_belongs_to_the_call_that_started_nearest(self):
        calls = [call("t1", 0, 100, child="ses_b"), call("t2", 5000, 5900, child="ses_b")]
        assert maker(child("ses_b", 5010, 5800), calls).key == "t2"
        assert maker(child("ses_b", -5, 90), calls).key == "t1"

    def test_no_call_names_it(self):
        assert maker(child("ses_b", 0, 1), [call("t1", 0, 100)]) is None

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
        before = BEFORE_START // MILLISECOND + 1
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
        apart = AMBIGUOUS // MILLISECOND + 5
        calls = [call("t1", 0, 1000), call("t2", 0, 1000 + apart)]
        assert links([child("ses_b", 5, 990)], calls)[0] == {"ses_b": "t1"}


class TestOddEnds:
    def test_a_background_task_ends_seconds_before_its_child(self):
        assert links([child("ses_b", -5, 9000)], [call("t1", 0, 40)])[0] == {"ses_b": "t1"}

    def test_a_task_that_has_not_ended_is_compared_by_its_start(self):
        calls = [call("t1", 0, 0), call("t2", 300, 0)]
        assert links([child("ses_b", 295, 400)], calls)[0] == {"ses_b": "t2"}

    def test_an_aborted_childs_tools_end_after_its_task(self):
        assert links([child("ses_b", -5, 1360)], [call("t1", 0, 1000, failed=True)])[0] == {"ses_b": "t1"}

    def test_a_failed_task_does_not_run_in_the_background(self):
        after = AFTER_END // MILLISECOND + 1
        assert links([child("ses_b", -5, 1000 + after)], [call("t1", 0, 1000, failed=True)]) == ({}, {})

    def test_nothing_to_link(self):
        assert links([], [call("t1", 0, 1)]) == links([child("ses_b", 0, 1)], []) == ({}, {})
