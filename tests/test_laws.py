"""The laws of the contract as properties, in virtual time.

1 well-formed, 2 order does not matter, 4 nothing unsaid, 5 conservation and 7 streaming equals batch are here.
3 (crash does not matter) needs processes and 6 (bounded) needs queues: they have test modules of their own.
"""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from receiver.core.settings import SECOND, BuilderSettings
from tests.factories import NOON, SETTINGS
from tests.laws import canonical, inferred, is_late, violations
from tests.strategies import CHAOS, CHAOTIC
from tests.virtual import Stream, batch

STATED = BuilderSettings(infer=False)
SMALL = BuilderSettings(max_spans_per_trace=5)
YOUNG = BuilderSettings(max_trace_age=45 * SECOND)
EACH = {"usual": SETTINGS, "stated": STATED, "small": SMALL, "young": YOUNG}


class TestWhateverIsTold:
    """Chaos: no sense, no order, no truth."""

    @given(CHAOS, st.sampled_from(sorted(EACH)))
    def test_what_leaves_is_well_formed(self, told, settings):
        spans = batch(told, EACH[settings]).spans
        assert violations(spans) == []
        assert not any(is_late(s) for s in spans)

    @given(CHAOS, st.sampled_from(["usual", "stated", "young"]), st.randoms(use_true_random=False))
    def test_order_and_repetition_do_not_matter(self, told, settings, chance: random.Random):
        again = told + chance.sample(told, len(told) // 2)
        chance.shuffle(again)
        assert canonical(batch(again, EACH[settings]).spans) == canonical(batch(told, EACH[settings]).spans)

    @given(CHAOS)
    def test_nothing_is_inferred_if_nothing_may_be(self, told):
        assert [s for s in batch(told, STATED).spans if inferred(s)] == []

    @given(st.lists(st.tuples(st.integers(0, 900), CHAOTIC), max_size=25), st.sampled_from(sorted(EACH)), st.booleans())
    def test_what_leaves_bit_by_bit_is_well_formed(self, told, settings, stored):
        stream = Stream(EACH[settings], now=NOON, stored=stored)
        for pause, (source, event) in told:
            stream.until(stream.now + pause * SECOND // 4).tell(source, event)
        assert violations(stream.drain().spans) == []
