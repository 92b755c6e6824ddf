"""A fork whose origin nobody states links to the session that has the calls which it copied, if that is one."""

from __future__ import annotations

from receiver import semconv as sc
from receiver.model import Span
from tests.support.core_runs import Stream, batch
from tests.support.factories import NOON, RELAY, ASession, a_session
from tests.support.span_laws import attribute, is_session


def an_origin(name: str = "ses_o", begin: float = 0, call: str = "call_1") -> ASession:
    return a_session(name).created(begin).call("read", begin + 1, begin + 2, call=call).idle(begin + 3)


def a_fork(name: str, begin: float) -> ASession:
    """It repeats the origin's call, and has one of its own."""
    told = a_session(name).created(begin).call("read", 1, 2, call="call_1")
    return told.call("bash", begin + 1, begin + 2, call=f"of_{name}").idle(begin + 3)


def origins(spans: list[Span]) -> dict[str, str]:
    """The session from which each one is said to be forked."""
    links = [(s, dict(link.attributes)) for s in spans if is_session(s) for link in s.links]
    of_forks = [(s, told) for s, told in links if told[sc.LINK_TYPE] == sc.LINK_FORK]
    return {str(attribute(s, sc.SESSION_ID)): str(told[sc.LINKED_SESSION]) for s, told in of_forks}


def both_ways(*sessions: ASession) -> dict[str, str]:
    """The origins that `build` finds, which are those that `run` finds."""
    stream = Stream(now=NOON)
    for session in sessions:
        stream.until(max(e.time for e in session.told if hasattr(e, "time"))).tell(RELAY, *session.told)
    offline = batch([(RELAY, event) for session in sessions for event in session.told]).spans
    found = origins(offline)
    assert origins(stream.drain().spans) == found
    return found


def test_a_fork_links_to_the_session_that_has_the_copied_calls():
    assert both_ways(an_origin(), a_fork("ses_f", 100)) == {"ses_f": "ses_o"}


def test_a_second_fork_is_not_the_origin_since_it_has_copies_only():
    found = both_ways(an_origin(), a_fork("ses_f", 100), a_fork("ses_g", 105))
    assert found == {"ses_f": "ses_o", "ses_g": "ses_o"}


def test_a_call_after_the_fork_began_was_not_copied():
    """Found by merging recordings of one agent that used the same call ids in each run."""
    assert both_ways(an_origin(), a_fork("ses_f", 100), an_origin("ses_z", 500)) == {"ses_f": "ses_o"}


def test_a_fork_has_no_origin_where_two_sessions_may_be_it():
    assert both_ways(an_origin(), an_origin("ses_p", 20), a_fork("ses_f", 100)) == {}
