"""What is said of a call without naming it is added where it can mean no other call."""

from __future__ import annotations

from receiver.core.emission.changes import HintMatched
from receiver.core.linking.report_matching import END_SKEW, HINT_MARGIN, hinted_facts, matched_hints
from receiver.core.state.emitted import EmittedItems
from receiver.core.state.items import EmittedRecord, Inferred, Item
from receiver.core.state.session import CallHint, Session
from receiver.core.state.settings import MILLISECOND
from receiver.events import REPORTED
from tests.support.changes import apply
from tests.support.factories import NOON


def ms(time: int) -> int:
    return NOON + time * MILLISECOND


def call(key: str, start: int, end: int, **facts) -> Item:
    told = {"start": ms(start), "end": ms(end), "tool": "task", **facts}
    return Item(id=key, facts={field: (REPORTED, value) for field, value in told.items()})


def hint(start: int, end: int, agent: str = "explore", tool: str = "task", tool_count: int | None = None) -> CallHint:
    return CallHint(tool, ms(start), ms(end), agent, "", tool_count)


def agents(
    calls: list[Item],
    *told: CallHint,
    emitted: EmittedItems | None = None,
    leaving: tuple[str, ...] | None = None,
) -> dict[str, str | None]:
    """The agents of calls that are all about to leave, unless it is said which."""
    held = Session(id="ses_a", calls={c.id: c for c in calls}, hints={repr(h): h for h in told})
    emitted = emitted or EmittedItems()
    for found, of in matched_hints(held, emitted, held.calls if leaving is None else leaving).items():
        apply(held, emitted, HintMatched(held, found, of, hinted_facts(held.calls[of], held.hints[found])))
    return {c.id: c.get("agent") for c in calls}


def test_adds_what_nothing_else_said_and_says_so():
    told = call("c1", 0, 1000)
    assert agents([told], hint(5, 990, tool_count=3)) == {"c1": "explore"}
    assert (told.get("tool_count"), told.inferred) == (3, (Inferred.IDENTITY,))


def test_changes_nothing_that_is_known():
    told = call("c1", 0, 1000, agent="stated")
    assert agents([told], hint(5, 990)) == {"c1": "stated"}
    assert (told.start, told.end, told.inferred) == (ms(0), ms(1000), ())


def test_parallel_calls_have_each_its_own():
    told = agents([call("c1", 0, 1000), call("c2", 0, 1200)], hint(1, 1190, "plan"), hint(1, 990))
    assert told == {"c1": "explore", "c2": "plan"}


def test_that_may_mean_two_calls_means_none():
    near = HINT_MARGIN // MILLISECOND
    assert agents([call("c1", 0, 1000), call("c2", 0, 1000 + near)], hint(0, 1000)) == {"c1": None, "c2": None}
    clear = agents([call("c1", 0, 1000), call("c2", 0, 1001 + near)], hint(0, 1000))
    assert clear == {"c1": "explore", "c2": None}


def test_others_are_not_meant():
    far = END_SKEW // MILLISECOND + 1
    for other in (hint(0, 1000 + far), hint(-far, 1000), hint(0, 1000, tool="skill")):
        assert agents([call("c1", 0, 1000)], other) == {"c1": None}


def test_a_call_that_has_left_keeps_what_was_said_of_it_from_others():
    emitted = EmittedItems.of([("call:c0", EmittedRecord(ms(0), ms(1000), "task"))])
    assert agents([call("c1", 0, 1100)], hint(0, 1000), emitted=emitted) == {"c1": None}


def test_waits_for_its_call_to_leave():
    assert agents([call("c1", 0, 1000)], hint(0, 1000), leaving=()) == {"c1": None}
