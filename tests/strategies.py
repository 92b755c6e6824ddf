"""Sessions that Hypothesis makes up.

`stories` are what a well-behaved agent does, told by a well-behaved producer: each comes with the truth, and with how
late each record arrives. `chaos` are events without sense: contradictory, absurd, incomplete.
Times are whole milliseconds, as OpenCode's are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from hypothesis import strategies as st

from receiver import events as ev
from receiver.core.settings import MILLISECOND, SECOND
from receiver.core.taking import Source
from receiver.events import Told
from tests.factories import NOON, session_id

WAIT = 6 * SECOND  # what a producer that exports every 5 s is given

# chaos

_IDS = st.sampled_from(["ses_a", "ses_b", "ses_c", "ses_d", session_id(0, 1), session_id(100, 2), session_id(700, 3)])
_KEYS = st.sampled_from(["c1", "c2", "c3"])
_TOOLS = st.sampled_from(["task", "bash", "skill", "my_db_run"])
_AT = st.one_of(
    st.sampled_from([0, 1, 10, 50, 61, 100, 130, 200, 601, 700, 1400, 100_000]),
    st.integers(0, 3000),
).map(lambda s: NOON + s * SECOND)
_MAYBE_AT = st.none() | _AT
_RANKS = st.sampled_from([ev.EXACT, ev.REPORTED, ev.SPAN, ev.HOOK, ev.PARTIAL, ev.COUNTED, ev.GUESSED])
_STATUS = st.sampled_from([None, "completed", "error"])
_AGENTS = st.sampled_from([None, "build", "explore"])
_PRODUCERS = st.sampled_from(["p1", "p2"])


def _sources(waits: tuple[int, ...] = (0, WAIT)) -> st.SearchStrategy[Source]:
    return st.builds(
        lambda p, wait: Source(p, p + "-key", b"", wait, 0),
        _PRODUCERS,
        st.sampled_from(waits),
    )


@st.composite
def _unnamed(draw: st.DrawFn) -> Told:
    start = draw(_AT)
    return ev.UnnamedCallTold(
        session=draw(_IDS),
        rank=ev.REPORTED,
        tool=draw(_TOOLS),
        start=start,
        end=start + draw(st.integers(0, 90)) * SECOND,
        status=draw(_STATUS),
        child=draw(st.none() | _IDS),
        agent=draw(_AGENTS),
    )


@st.composite
def _counted(draw: st.DrawFn) -> Told:
    start = draw(_AT)
    time = start + draw(st.integers(0, 5000)) * MILLISECOND
    count = draw(st.integers(1, 4))
    tool = draw(_TOOLS)
    durations = tuple(draw(st.lists(st.integers(0, 9_000), max_size=count)))
    return ev.CallsCounted(
        session=draw(_IDS),
        source=draw(st.sampled_from(["executions", "duration"])),
        key=f"{tool}{start}{time}{count}{durations}",
        tool=tool,
        count=count,
        time=time,
        start=start,
        durations=tuple(d * MILLISECOND for d in durations),
        rest=draw(st.sampled_from([None, SECOND])),
    )


@st.composite
def _lines(draw: st.DrawFn) -> Told:
    time, added = draw(_AT), draw(st.integers(0, 9))
    session, call = draw(_IDS), draw(st.none() | _KEYS)
    return ev.LinesTold(session=session, key=f"{call}{time}{added}", time=time, added=added, call=call)


CHAOTIC_EVENTS: st.SearchStrategy[Told] = st.one_of(
    st.builds(
        ev.SessionTold,
        session=_IDS,
        time=st.just(0) | _AT,
        rank=_RANKS,
        parent=st.none() | _IDS,
        root=st.booleans(),
        created=_MAYBE_AT,
        agent=_AGENTS,
        model=st.sampled_from([None, "m1", "m2"]),
    ),
    st.builds(ev.StateTold, session=_IDS, time=_AT, state=st.sampled_from(["busy", "idle"])),
    st.builds(ev.StateTold, session=_IDS, time=_AT, state=st.sampled_from(["busy", "idle"])),
    st.builds(ev.EndTold, session=_IDS, time=_AT, reason=st.sampled_from(["deleted", "archived"])),
    st.builds(ev.ForkTold, session=_IDS, origin=_IDS),
    st.builds(
        ev.NoteTold,
        session=_IDS,
        time=_AT,
        name=st.sampled_from(["session.error", "user_prompt"]),
        key=st.sampled_from(["", "k"]),
        attributes=st.sampled_from([(), (("error.type", "x"),), (("error.type", 1),)]),
    ),
    *[
        st.builds(
            ev.CallTold,
            session=_IDS,
            call=_KEYS,
            rank=_RANKS,
            start=_MAYBE_AT,
            end=_MAYBE_AT,
            tool=st.none() | _TOOLS,
            status=_STATUS,
            child=st.none() | _IDS,
            agent=_AGENTS,
        )
    ]
    * 3,
    _unnamed(),
    _counted(),
    _lines(),
    st.builds(
        ev.RequestTold,
        session=_IDS,
        request=_KEYS,
        rank=_RANKS,
        start=_MAYBE_AT,
        end=_MAYBE_AT,
        model=st.sampled_from([None, "m1"]),
        input_tokens=st.sampled_from([None, 3]),
        error_type=st.sampled_from([None, "x"]),
    ),
    st.builds(
        ev.PermissionTold,
        session=_IDS,
        permission=_KEYS,
        name=st.sampled_from([None, "edit"]),
        call=st.none() | _KEYS,
        asked=_MAYBE_AT,
        replied=_MAYBE_AT,
    ),
    st.builds(ev.ServerTold, server=st.sampled_from(["my_db", "my"])),
)
CHAOTIC = st.tuples(_sources(), CHAOTIC_EVENTS)
CHAOS = st.lists(CHAOTIC, min_size=1, max_size=25)
