"""Calls that only a metric tells of: what one point makes certain, and what it does not."""

from __future__ import annotations

import pytest

from receiver.core.counting.missing_calls import SAME_MOMENT, missing_calls
from receiver.core.counting.series import add, key_of
from receiver.core.state.emitted import EmittedItems
from receiver.core.state.items import EmittedRecord, Item
from receiver.core.state.session import Series, Session
from receiver.core.state.settings import MILLISECOND
from receiver.events import EXACT, PointEvent
from tests.support.factories import NOON

COUNTER, HISTOGRAM = "opencode.tool.executions", "opencode.tool.duration"


def ms(time: int) -> int:
    return NOON + time * MILLISECOND


def point(start: int, time: int, count: int = 1, durations=(), rest=None, source=HISTOGRAM, **more) -> PointEvent:
    """`durations` are the extremes (of up to three calls: all), `rest` the mean of the others, in ms."""
    total = sum(durations) + (rest or 0) * (count - len(durations)) if durations or rest else None
    low, high = (min(durations), max(durations)) if durations else (None, None)
    numbers = {"total": total, "low": low, "high": high}
    return PointEvent(
        session="ses_a",
        what="calls",
        form="delta",
        source=source,
        series=source,
        start=ms(start),
        time=ms(time),
        amount=float(count),
        tool=more.pop("tool", "bash"),
        **{name: -1 if n is None else n * MILLISECOND for name, n in numbers.items()},
        **more,
    )


def call(start: int, end: int, tool: str = "bash", status: str = "completed") -> Item:
    facts = {"start": ms(start), "end": ms(end), "tool": tool, "status": status}
    return Item(id=f"call@{start}", facts={field: (EXACT, value) for field, value in facts.items()})


def session(*points: PointEvent, calls: tuple[Item, ...] = ()) -> Session:
    held: dict[str, Series] = {}
    for p in points:
        add(held, key_of(p, ""), p, "")
    return Session(id="ses_a", series=held, calls={c.id: c for c in calls})


def found(*points: PointEvent, calls: tuple[Item, ...] = (), emitted: EmittedItems | None = None):
    """The missing calls as (start, end, what is inferred), in ms after NOON."""
    items = missing_calls(session(*points, calls=calls), emitted or EmittedItems())
    return [((i.start - NOON) // MILLISECOND, (i.end - NOON) // MILLISECOND, set(i.inferred)) for i in items]


SURE = {"identity"}
PLACED = {"identity", "start", "end"}
GUESSED = {"identity", "start", "end", "duration"}


class TestWhatOnePointTells:
    def test_one_call_of_a_fresh_series_is_certain(self):
        assert found(point(500, 5000, durations=[200])) == [(300, 500, SURE)]

    def test_a_counter_alone_knows_no_duration(self):
        assert found(point(500, 5000, source=COUNTER)) == [(500, 500, {"identity", "duration"})]

    def test_two_calls_have_durations_and_guessed_places(self):
        (_, first_end, inferred), (_, _, _) = told = found(point(500, 5000, 2, [100, 300]))
        assert first_end == 500
        assert inferred == PLACED
        assert sorted(end - start for start, end, _ in told) == [100, 300]

    def test_beyond_three_the_rest_have_a_mean(self):
        told = found(point(500, 5000, 5, [100, 300], rest=150))
        assert sorted(end - start for start, end, _ in told) == [100, 150, 150, 150, 300]
        assert all(inferred == GUESSED for _, _, inferred in told)

    def test_none_ends_after_the_point(self):
        told = found(point(500, 1000, 5, rest=400))
        assert max(end for _, end, _ in told) <= 1000

    def test_a_series_that_goes_on_tells_no_end(self):
        """A point that starts when the one before it was taken: its start is that collection's time."""
        told = found(point(500, 5000, durations=[200]), point(5000, 10_000, durations=[300]))
        assert told[0] == (300, 500, SURE)
        assert told[1][2] == PLACED
        assert 5000 <= told[1][1] <= 10_000

    def test_the_ids_do_not_depend_on_chance(self):
        points = (point(500, 5000, 2, [100, 300]), point(5000, 10_000, 2, [100, 300]))
        keys = [i.id for i in missing_calls(session(*points), EmittedItems())]
        assert keys == [i.id for i in missing_calls(session(*points), EmittedItems())]
        assert len(set(keys)) == 4


class TestWhatIsKnownAlready:
    def test_a_known_call_is_not_made_again(self):
        assert found(point(500, 5000, durations=[200]), calls=(call(300, 500),)) == []

    def test_nor_one_that_has_left(self):
        emitted = EmittedItems.of([("call:call_1", EmittedRecord(ms(300), ms(500), "bash"))])
        assert found(point(500, 5000, durations=[200]), emitted=emitted) == []

    @pytest.mark.parametrize(
        "other",
        [call(300, 500, "read"), call(300, 500, status="error"), call(9000, 9500)],
        ids=["another tool's", "a failed one", "a later one"],
    )
    def test_other_calls_are_not_the_counted_one(self, other):
        assert found(point(500, 5000, durations=[200]), calls=(other,)) == [(300, 500, SURE)]

    def test_of_two_the_missing_one_has_the_duration_that_is_left(self):
        ((start, end, inferred),) = found(point(500, 5000, 2, [100, 300]), calls=(call(200, 500),))
        assert end - start == 100
        assert inferred == PLACED

    def test_a_counter_and_its_histogram_end_a_few_ms_apart(self):
        assert found(point(500 + SAME_MOMENT // MILLISECOND, 5000, durations=[200]), calls=(call(300, 500),)) == []

    def test_a_call_that_ends_while_a_collection_runs_may_fall_on_either_side(self):
        assert found(point(500, 5000, 2, [200, 100]), calls=(call(300, 500), call(4930, 5030))) == []


class TestSeveralInstruments:
    def test_that_count_the_same_calls_are_not_added_up(self):
        assert len(found(point(500, 5000, source=COUNTER), point(500, 5000, durations=[200]))) == 1

    def test_the_one_that_counted_most_is_taken(self):
        assert len(found(point(500, 5000, 3, source=COUNTER), point(500, 5000, durations=[200]))) == 3

    def test_of_equals_the_one_that_knows_durations(self):
        assert found(point(501, 5000, source=COUNTER), point(500, 5000, durations=[200])) == [(300, 500, SURE)]

    def test_a_label_of_another_instrument_names_the_very_call(self):
        points = (
            point(500, 5000, durations=[200], tool="skill"),
            point(502, 5000, source="opencode.skill.invocations", tool="skill", skill="notes"),
        )
        (item,) = missing_calls(session(*points), EmittedItems())
        assert item.get("skill") == "notes"

    def test_only_the_tools_that_are_asked_for(self):
        held = session(point(500, 5000), point(600, 5000, tool="read"))
        assert [i.get("tool") for i in missing_calls(held, EmittedItems(), ["read"])] == ["read"]
        assert {i.get("tool") for i in missing_calls(held, EmittedItems())} == {"bash", "read"}


def test_nothing_counted():
    assert missing_calls(session(), EmittedItems()) == []


class TestWhatIsOneMomentAndWhatIsNot:
    """Two instruments count one call up to 3 ms apart."""

    def labelled(self, apart: int) -> list[str | None]:
        """The skills of the missing calls, where another instrument counted a skill so many ms after the call ended."""
        label = point(500 + apart, 5000, source="opencode.skill.invocations", tool="skill", skill="notes")
        counted = (point(500, 5000, durations=[200], tool="skill"), label)
        return [item.get("skill") for item in missing_calls(session(*counted), EmittedItems())]

    def test_a_label_that_is_counted_a_little_later_is_the_calls(self):
        assert self.labelled(3) == ["notes"]

    def test_a_label_that_is_counted_much_later_is_another_calls(self):
        for apart in (10, 20, 45):
            assert self.labelled(apart) == [None], apart

    def test_a_known_call_that_ends_with_the_series_start_is_its_first(self):
        ((_, end, _),) = found(point(500, 5000, 2, [100, 300]), calls=(call(200, 503),))
        assert end > 503

    def test_a_known_call_that_ends_well_after_the_series_start_is_not_its_first(self):
        for later in (10, 30, 45):
            ((_, end, _),) = found(point(500, 5000, 2, [100, 300]), calls=(call(200 + later, 500 + later),))
            assert end == 500, later
