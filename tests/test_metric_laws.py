"""The laws where metrics tell: order and copies of points do not matter, nothing is counted twice, nothing is hung
where it does not belong, and what was told by events stays what it is.
"""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver import semconv as sc
from receiver.core.counting.series import MAX_SERIES
from receiver.core.state.settings import MILLISECOND, SECOND
from receiver.events import PointEvent
from receiver.model import Span
from tests.support.core_runs import Stream, batch
from tests.support.factories import NOON, SETTINGS
from tests.support.metric_producer import PLUGIN, Call, Run, from_plugin, ns
from tests.support.span_laws import attribute, canonical, in_short, inferred, is_session, violations

EVERY = 10_000  # ms between collections
LAGS = st.sampled_from([0, 30, 400])  # ms: usual are 30, a busy process takes longer
FORMS = st.sampled_from(["cumulative", "delta"])


@st.composite
def runs(draw: st.DrawFn) -> Run:
    """One or two root sessions with calls, some of them tasks with a child of their own, some at the same time."""
    run, at = Run(), draw(st.integers(0, 9_000))
    for _ in range(draw(st.integers(1, 2))):
        begin, at = at, at + 20
        root = run.session(begin, begin)
        ends = [begin + 1]
        for _ in range(draw(st.integers(0, 5))):
            at += draw(st.integers(30, 9_000))
            ends.append(_call(draw, run, root, at, depth=0))
            at = max(at, ends[-1] - draw(st.sampled_from([0, 0, 0, 400])))
        run.sessions[root] = (begin, max(ends) + 10)
        at = max(ends) + draw(st.integers(500, 20_000))
    return run


def _call(draw: st.DrawFn, run: Run, session: str, start: int, depth: int) -> int:
    tool = draw(st.sampled_from(["bash", "read", "task"] if depth < 2 else ["bash", "read"]))
    failed = draw(st.integers(0, 5)) == 0
    end = start + draw(st.integers(1, 4_000))
    if tool == "task":
        child = run.session(start + 5, start + 5, session)
        at = start + 20
        for _ in range(draw(st.integers(0, 2))):
            at = _call(draw, run, child, at + draw(st.integers(1, 900)), depth + 1)
        tokens = draw(st.integers(1, 99))
        run.requests.append((child, start + 10, at, tokens))
        end = at + draw(st.integers(4, 30))
        run.sessions[child] = (start + 5, end - 3)
    else:
        run.requests.append((session, start - 20, start - 10, draw(st.integers(1, 99))))
    run.calls.append(Call(session, tool, start, end, failed))
    return end


def length(run: Run) -> int:
    """How long points are sent (ms)."""
    return max(end for _, end in run.sessions.values()) + EVERY


def calls_in(spans: list[Span]) -> Counter[tuple[str, str, bool]]:
    """How many spans of calls there are of each kind."""
    tools = [s for s in spans if attribute(s, sc.OPERATION_NAME) == sc.EXECUTE_TOOL]
    names = [attribute(s, sc.OPENCODE_TOOL_NAME) or attribute(s, sc.TOOL_NAME) for s in tools]
    return Counter(
        (str(attribute(s, sc.SESSION_ID)), str(n), bool(s.status_code)) for s, n in zip(tools, names, strict=True)
    )


def wrong_edges(run: Run, spans: list[Span]) -> list[str]:
    """Children that hang below something that did not start them."""
    by_id = {s.span_id: s for s in spans}
    found = []
    for span in filter(is_session, spans):
        child = str(attribute(span, sc.SESSION_ID))
        up = by_id.get(span.parent_span_id)
        if up is None:
            continue
        if attribute(up, sc.SESSION_ID) != run.parents.get(child):
            found.append(in_short(span))
        elif not is_session(up):
            begin, end = run.sessions[child]
            if abs(up.start - ns(begin)) > SECOND or abs(up.end - ns(end)) > SECOND:
                found.append(in_short(span))
    return found


class TestOrder:
    @given(runs(), FORMS, st.randoms(use_true_random=False))
    def test_order_and_copies_of_points_do_not_matter(self, run, form, chance: random.Random):
        told = from_plugin(run.points(EVERY, length(run), form))
        again = told + chance.sample(told, len(told) // 2)
        chance.shuffle(again)
        assert canonical(batch(again).spans) == canonical(batch(told).spans)

    @given(st.data())
    def test_nor_do_those_of_points_without_sense(self, data):
        numbers = st.integers(0, 9)
        points = data.draw(
            st.lists(
                st.builds(
                    PointEvent,
                    session=st.sampled_from(["ses_a", "ses_b"]),
                    what=st.sampled_from(["calls", "output_tokens", "life", "cost", "lines_added"]),
                    form=st.sampled_from(["cumulative", "delta", "gauge"]),
                    source=st.sampled_from(["s", "t"]),
                    series=st.sampled_from(["x", "y"]),
                    start=st.sampled_from([0, ns(0), ns(1_000), ns(5_000)]),
                    time=st.integers(0, 9).map(lambda s: ns(s * 1_000 + 1)),
                    amount=numbers.map(float),
                    total=numbers.map(lambda n: n * MILLISECOND),
                    low=numbers,
                    high=numbers,
                    tool=st.sampled_from(["bash", "task"]),
                    status=st.sampled_from([None, "completed", "error"]),
                ),
                max_size=12,
            )
        )
        told = [(PLUGIN, p) for p in points]
        again = told + data.draw(st.permutations(told))
        spans = batch(told).spans
        assert violations(spans) == []
        assert canonical(batch(data.draw(st.permutations(again))).spans) == canonical(spans)


class TestMetricsAlone:
    @given(runs(), FORMS)
    def test_every_call_is_there_once(self, run, form):
        spans = batch(from_plugin(run.points(EVERY, length(run), form))).spans
        assert violations(spans) == []
        assert calls_in(spans) == run.counts()
        assert {attribute(s, sc.SESSION_ID) for s in spans if is_session(s)} == run.sessions.keys()
        assert all("identity" in inferred(s) for s in spans if not is_session(s))

    @given(runs(), FORMS, LAGS)
    def test_no_child_hangs_where_it_does_not_belong(self, run, form, lag):
        assert wrong_edges(run, batch(from_plugin(run.points(EVERY, length(run), form, lag))).spans) == []

    @given(runs())
    def test_a_duration_that_is_not_marked_is_right(self, run):
        spans = batch(from_plugin(run.points(EVERY, length(run)))).spans
        true = Counter((c.session, (c.end - c.start) * MILLISECOND) for c in run.calls)
        sure = [s for s in spans if not is_session(s) and "duration" not in inferred(s)]
        assert Counter((attribute(s, sc.SESSION_ID), s.end - s.start) for s in sure) <= true

    @given(runs())
    def test_a_time_that_is_not_marked_is_right(self, run):
        spans = batch(from_plugin(run.points(EVERY, length(run)))).spans
        true = {(c.session, ns(c.start), ns(c.end)) for c in run.calls}
        sure = [s for s in spans if not is_session(s) and "end" not in inferred(s)]
        assert {(attribute(s, sc.SESSION_ID), s.start, s.end) for s in sure} <= true

    @given(runs(), FORMS)
    def test_a_gap_loses_deltas_and_no_cumulative_calls(self, run, form):
        points = run.points(EVERY, length(run), form)
        told = [p for i, p in enumerate(points) if p[0] != EVERY * 2 or i % 2]
        found = calls_in(batch(from_plugin(told)).spans)
        assert found <= run.counts()
        last = max(at for at, _ in points)
        if form == "cumulative" and last != EVERY * 2:
            assert found == run.counts()


class TestBoth:
    @given(runs(), FORMS, LAGS)
    def test_complete_events_stay_what_they_are(self, run, form, lag):
        events, points = from_plugin(run.events()), from_plugin(run.points(EVERY, length(run), form, lag))
        assert canonical(batch(events + points).spans) == canonical(batch(events).spans)

    @given(runs(), LAGS, st.randoms(use_true_random=False))
    def test_what_no_event_told_is_added_and_nothing_twice(self, run, lag, chance: random.Random):
        lost = set(chance.sample(range(len(run.calls)), len(run.calls) // 2))
        kept = Run(run.sessions, run.parents, [c for i, c in enumerate(run.calls) if i not in lost], run.requests)
        told = from_plugin(kept.events()) + from_plugin(run.points(EVERY, length(run), lag=lag))
        spans = batch(told).spans
        assert violations(spans) == []
        assert calls_in(spans) == run.counts()

    @given(runs(), st.randoms(use_true_random=False))
    def test_totals_are_the_larger_ones(self, run, chance: random.Random):
        kept = Run(run.sessions, run.parents, run.calls, chance.sample(run.requests, len(run.requests) // 2))
        spans = batch(from_plugin(kept.events()) + from_plugin(run.points(EVERY, length(run)))).spans
        true: Counter[str] = Counter()
        for session, _, _, tokens in run.requests:
            true[session] += tokens
        for span in filter(is_session, spans):
            assert (attribute(span, sc.OUTPUT_TOKENS) or 0) == true[str(attribute(span, sc.SESSION_ID))]


class TestAsItRuns:
    @given(runs(), FORMS, st.booleans())
    def test_streaming_equals_batch_for_metrics_alone(self, run, form, stored):
        points = run.points(EVERY, length(run) + 2_000_000, form)
        stream = Stream(SETTINGS, now=NOON, stored=stored)
        for at, event in points:
            stream.until(ns(at)).tell(PLUGIN, event)
        spans = stream.drain().spans
        assert violations(spans) == []
        assert canonical(spans) == canonical(batch(from_plugin(points)).spans)

    @given(runs(), st.sampled_from([60_000, 90_000, 900_000]), LAGS)
    def test_a_call_that_is_counted_late_is_there_once(self, run, every, lag):
        told = sorted([*run.events(), *run.points(every, length(run) + every, lag=lag)], key=lambda t: t[0])
        stream = Stream(SETTINGS, now=NOON)
        for at, event in told:
            stream.until(ns(at)).tell(PLUGIN, event)
        spans = stream.drain().spans
        assert violations(spans) == []
        assert calls_in(spans) == run.counts()

    def test_a_missing_call_that_is_counted_late_is_late(self):
        run = Run()
        root = run.session(0, 5_000)
        run.calls.append(Call(root, "bash", 1_000, 2_000))
        stream = Stream(SETTINGS, now=NOON)
        for at, event in Run(run.sessions).events():
            stream.until(ns(at)).tell(PLUGIN, event)
        stream.until(ns(400_000))
        assert calls_in(stream.spans) == Counter()
        for at, event in run.points(400_000, 400_000):
            stream.until(ns(at)).tell(PLUGIN, event)
        (call,) = [s for s in stream.drain().spans if not is_session(s)]
        assert attribute(call, sc.LATE) is True
        assert violations(stream.spans) == []

    def test_a_delta_that_comes_after_the_session_closed_and_after_a_later_one_still_counts(self):
        run = Run()
        root = run.session(0, 25_000)
        run.calls += [Call(root, "bash", 1_000, 2_000), Call(root, "bash", 11_000, 12_000)]
        first, second = [p for p in run.points(EVERY, 2 * EVERY, "delta") if getattr(p[1], "what", "") == "calls"]
        stream = Stream(SETTINGS, now=NOON)
        for at, event in [*run.events()[:1], second]:
            stream.until(ns(at)).tell(PLUGIN, event)
        stream.until(ns(4_000_000))
        assert calls_in(stream.spans).total() == 1
        for _, event in (first, second, first):
            stream.tell(PLUGIN, event)
        assert calls_in(stream.drain().spans).total() == 2

    def test_what_is_sent_again_keeps_no_session_open(self):
        run = Run()
        run.calls.append(Call(run.session(0, 5_000), "bash", 1_000, 2_000))
        stream = Stream(SETTINGS, now=NOON)
        for at, event in run.points(60_000, 3_600_000):
            stream.until(ns(at)).tell(PLUGIN, event)
        assert len(stream.spans) == 2
        assert stream.drain().spans == stream.spans


class TestStartsAndFalls:
    def told(self, *points: tuple[int, int, int]) -> Counter[tuple[str, str, bool]]:
        """(start, time, count) of a series, in seconds."""
        events = [
            PointEvent(
                session="ses_a",
                what="calls",
                form="cumulative",
                source="tool.duration",
                series="x",
                start=NOON + start * SECOND if start else 0,
                time=NOON + time * SECOND,
                amount=float(count),
                tool="bash",
                status="completed",
            )
            for start, time, count in points
        ]
        return calls_in(batch([(PLUGIN, e) for e in events]).spans)

    @pytest.mark.parametrize(
        ("points", "count"),
        [
            ([(1, 10, 2), (1, 20, 2), (1, 30, 3)], 3),
            ([(1, 30, 3), (1, 10, 2), (1, 20, 2)], 3),
            ([(1, 10, 3), (25, 30, 2)], 5),
            ([(1, 10, 3), (1, 20, 1)], 4),
            ([(1, 10, 3), (1, 20, 1), (1, 30, 2)], 5),
            ([(0, 10, 3), (0, 20, 4)], 4),
            ([(1, 10, 3), (5, 12, 2)], 3),
            ([(1, 10, 0)], 0),
        ],
        ids=[
            "a rise",
            "in another order",
            "a new start: a restart",
            "a fall: a reset",
            "a reset that goes on",
            "an unknown start",
            "starts that overlap: the larger one",
            "nothing",
        ],
    )
    def test_it_counts(self, points, count):
        assert self.told(*points).total() == count

    def test_deltas_that_overlap_count_once(self):
        def point(start: int, time: int, count: int) -> PointEvent:
            return PointEvent(
                session="ses_a",
                what="calls",
                form="delta",
                source="s",
                series="x",
                start=NOON + start * SECOND,
                time=NOON + time * SECOND,
                amount=float(count),
                tool="bash",
            )

        told = [point(0, 5, 1), point(5, 10, 2), point(0, 10, 3), point(4, 10, 3)]
        assert calls_in(batch([(PLUGIN, e) for e in told]).spans).total() == 3


def test_a_hundred_thousand_series_are_bounded():
    stream = Stream(SETTINGS, now=NOON)
    for i in range(100_000):
        stream.builder.take(
            stream.forest,
            PLUGIN,
            PointEvent(
                session="ses_a",
                what="calls",
                form="cumulative",
                source="s",
                series=f"{i * 7_919 % 100_000:06}",
                start=ns(0),
                time=ns(10),
                amount=1.0,
                tool="bash",
                status=None,
            ),
        )
    assert sorted(stream.forest.sessions["ses_a"].series)[-1].startswith(f"{MAX_SERIES - 1:06}")
    assert len(stream.forest.sessions["ses_a"].series) == MAX_SERIES


def test_a_number_that_nobody_can_believe_is_bounded():
    told = PointEvent(
        session="ses_a",
        what="calls",
        form="cumulative",
        source="s",
        series="x",
        start=ns(0),
        time=ns(10),
        amount=9e15,
        tool="bash",
        status=None,
    )
    assert calls_in(batch([(PLUGIN, told)]).spans).total() == 10_000
