"""Contract 6.3 where nothing but metrics tells, of several sessions at once: never a wrong link, and the same whenever
it is decided.
"""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from receiver.core.builder import Builder
from receiver.core.linking import task_links
from receiver.core.state.forest import Forest
from tests.support.core_runs import Stream, batch
from tests.support.factories import NOON, SETTINGS
from tests.support.metric_producer import PLUGIN, Call, Run, from_plugin, ns
from tests.support.random_metric_runs import judge, play
from tests.support.seeds import seeds
from tests.support.span_laws import canonical, violations

EVERY = 10_000  # ms between collections
LATER = 2_000_000  # ms that points are sent for after the last thing happened


def points(run: Run, form: str, lag: int = 0, every: int = EVERY):
    return run.points(every, max(end for _, end in run.sessions.values()) + every + LATER, form, lag)


def streamed(told, stored: bool):
    stream = Stream(SETTINGS, now=NOON, stored=stored)
    for at, event in told:
        stream.until(ns(at)).tell(PLUGIN, event)
    return stream.drain().spans


@pytest.mark.parametrize("form", ["cumulative", "delta"])
@pytest.mark.parametrize(("lag", "found"), [(0, 0.4), (30, 0.4), (400, 0)])
def test_no_link_is_wrong_and_many_are_found(form, lag, found):
    """Counted up to `lag` ms late: usual are 30, a busy process takes longer."""
    judged: Counter[str] = Counter()
    for seed in seeds(10):
        run = play(Random(seed), roots=4, spread=4_000)
        judged += judge(run, batch(from_plugin(points(run, form, lag))).spans)
    assert judged["wrong"] == 0, judged
    assert judged["right"] >= found * judged.total(), judged


@pytest.mark.parametrize("seed", seeds(6))
def test_streaming_and_order_make_no_difference(seed):
    random = Random(seed)
    run = play(random, roots=4, spread=4_000)
    told = points(
        run, random.choice(("cumulative", "delta")), random.choice((0, 30, 400)), random.choice((5_000, EVERY))
    )
    offline = batch(from_plugin(told)).spans
    assert violations(offline) == []
    again = from_plugin(told) * 2
    random.shuffle(again)
    assert canonical(batch(again).spans) == canonical(offline)
    assert canonical(streamed(told, stored=bool(seed % 2))) == canonical(offline)


def test_tasks_that_end_in_different_collections_are_decided_alike():
    """Of two tasks side by side one is counted before a collection, and the other one, which failed, after it; what was
    counted earlier, and has no times, waits for its child too."""
    run = Run()
    first = run.session(853, 20_074)
    for start, end in ((11_503, 11_547), (12_400, 12_434), (20_034, 20_064)):
        run.session(start + 5, end - 3, first)
        run.calls.append(Call(first, "task", start, end))
    second = run.session(28_200, 30_182)
    for start, end, failed in ((29_649, 29_691, False), (30_138, 30_172, True)):
        run.session(start + 5, end - 3, second)
        run.calls.append(Call(second, "task", start, end, failed))
    told = points(run, "delta")
    assert canonical(streamed(told, stored=True)) == canonical(batch(from_plugin(told)).spans)


def test_many_sessions_are_compared_with_what_is_near(monkeypatch):
    compared, cost = [], task_links.cost
    monkeypatch.setattr(task_links, "cost", lambda child, call: compared.append(1) or cost(child, call))
    random, run = Random(1), play(Random(0), roots=1, spread=0)
    while len(run.sessions) < 200:
        more = play(random, roots=1, spread=0)
        _add(run, more, max(end for _, end in run.sessions.values()) + 5_000)
    forest, builder = Forest(), Builder(SETTINGS)
    for source, event in from_plugin(run.points(EVERY, max(end for _, end in run.sessions.values()) + EVERY)):
        builder.take(forest, source, event)
    builder.advance(forest, sorted(forest.sessions), None)
    assert len(compared) <= 200 * len(run.sessions)


def _add(run: Run, more: Run, later: int) -> None:
    names = {old: run.session(start + later, end + later) for old, (start, end) in more.sessions.items()}
    run.parents.update({names[child]: names[parent] for child, parent in more.parents.items()})
    run.calls += [Call(names[c.session], c.tool, c.start + later, c.end + later, c.failed) for c in more.calls]


def test_what_is_counted_after_a_pause_is_missing_once():
    """What was counted before the pause is not sent again as news, and is not taken for what came after it."""
    run = Run()
    root = run.session(0, 706_450)
    run.calls += [Call(root, "bash", 600, 1_500), Call(root, "bash", 1_700, 3_000)]
    run.calls.append(Call(root, "bash", 705_010, 705_060, failed=True))
    spans = streamed(points(run, "cumulative"), stored=True)
    assert violations(spans) == []
    assert sum(s.name == "execute_tool bash" for s in spans) == len(run.calls)
