"""How long the receiver waits for more of a session."""

from __future__ import annotations

from dataclasses import replace

from receiver.core.builder import Builder
from receiver.core.linking.deadlines import Deadlines, is_idle
from receiver.core.state.forest import Forest
from receiver.core.state.settings import SECOND, BuilderSettings
from receiver.events import PointEvent
from tests.support.factories import NOON, RELAY, ASession, a_session, arriving

SETTINGS = BuilderSettings(idle_timeout=60 * SECOND, inactivity_timeout=600 * SECOND, settle=2 * SECOND)


def deadlines_of(*sessions: ASession, wait: int = 0) -> Deadlines:
    """The deadlines of sessions of which each has its records at NOON, by the receiver's clock."""
    forest, builder = Forest(), Builder(SETTINGS)
    for session in sessions:
        for event in session.told:
            builder.take(forest, arriving(replace(RELAY, wait=wait), NOON), event)
    return Deadlines(SETTINGS, forest)


def seconds(session: str, deadlines: Deadlines, name: str = "quiet_at") -> int:
    return (getattr(deadlines, name)(deadlines.forest.sessions[session]) - NOON) // SECOND


def test_an_idle_session_closes_after_the_idle_timeout():
    assert seconds("ses_a", deadlines_of(a_session().created(0).idle(5))) == 2 + 60


def test_a_session_that_works_closes_after_the_inactivity_timeout():
    assert seconds("ses_a", deadlines_of(a_session().created(0).busy(5))) == 2 + 600


def test_a_producer_whose_other_signals_come_later_is_waited_for():
    assert seconds("ses_a", deadlines_of(a_session().created(0).idle(5), wait=7 * SECOND)) == 7 + 2 + 60


def test_a_session_whose_call_still_runs_in_its_parent_is_not_idle():
    parent = a_session().created(0).call("task", 1, child="ses_b")
    assert seconds("ses_b", deadlines_of(parent)) == 2 + 600
    ended = a_session().created(0).call("task", 1, 3, child="ses_b")
    assert seconds("ses_b", deadlines_of(ended)) == 2 + 60


def test_a_tree_is_quiet_when_the_last_session_in_it_is():
    deadlines = deadlines_of(a_session().created(0).idle(5), a_session("ses_b").created(1, parent="ses_a").busy(2))
    assert seconds("ses_a", deadlines, "tree_quiet_at") == seconds("ses_b", deadlines) == 2 + 600
    assert seconds("ses_a", deadlines, "settled_at") == 2


def test_a_session_that_only_metrics_report_is_not_idle():
    point = {"what": "cost", "form": "cumulative", "source": "s", "series": "x", "start": NOON, "time": NOON + 1}
    deadlines = deadlines_of(a_session().tell(PointEvent(session="ses_a", amount=1.0, **point)))
    assert not is_idle(deadlines.forest.sessions["ses_a"])
    assert seconds("ses_a", deadlines) == 2 + 600
