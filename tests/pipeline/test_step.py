"""One step of building over any state: a loop over dictionaries, as a stream engine has them, gives the spans of
`build`. The cache is dropped after each step, as when an engine restarts from its state.
"""

from __future__ import annotations

import pytest

from receiver.core.state.settings import BuilderSettings
from receiver.model import Request, Span
from receiver.pipeline.offline import build
from receiver.pipeline.step import Step
from receiver.recordings.files import read_recordings
from tests.support.dict_trees import DictTrees
from tests.support.factories import NOON
from tests.support.paths import ROOT

SETTINGS = BuilderSettings()
RECORDINGS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "tests/golden").glob("*/*/otlp"))


def requests_of(folder: str) -> list[Request]:
    return [Request(one.signal, one.body, 1) for one in read_recordings([ROOT / folder])]


def over_dictionaries(requests: list[Request]) -> list[Span]:
    """The spans of an engine: one request in each step, then a step at each deadline."""
    trees, spans = DictTrees(), []
    for request in requests:
        step = Step(trees, SETTINGS)
        step.read(request, NOON)
        trees.put(step.changes(NOON))
    while (now := trees.next_deadline()) is not None:
        step = Step(trees, SETTINGS)
        spans += step.advance(trees.due(now), now).spans
        trees.put(step.changes(now))
    return spans


def ordered(spans: list[Span]) -> list[Span]:
    return sorted(spans, key=lambda span: (span.trace_id, span.start, span.end, span.span_id))


@pytest.mark.parametrize("recording", RECORDINGS)
def test_steps_over_dictionaries_give_the_spans_of_build(recording: str) -> None:
    requests = requests_of(recording)
    built = build(requests, SETTINGS).spans
    assert built
    assert ordered(over_dictionaries(requests)) == built


def test_a_step_that_is_rolled_back_leaves_no_change() -> None:
    trees = DictTrees()
    step = Step(trees, SETTINGS)
    for request in requests_of(RECORDINGS[0]):
        step.read(request, NOON)
    step.advance(sorted(step.cache.forest.sessions), None)
    assert not step.changes(NOON).is_empty
    step.roll_back()
    assert step.changes(NOON).is_empty


def test_a_committed_step_leaves_no_change() -> None:
    step = Step(DictTrees(), SETTINGS)
    for request in requests_of(RECORDINGS[0]):
        step.read(request, NOON)
    step.advance(sorted(step.cache.forest.sessions), None)
    step.committed(step.changes(NOON))
    assert step.changes(NOON).is_empty
