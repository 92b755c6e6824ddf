"""Offline: recorded requests in, finished traces out, through the same reading and the same core as `run`. Everything
is known before anything leaves, so that nothing is late.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from receiver.codec.encode import pass_through, spans_request
from receiver.core.builder import Builder
from receiver.core.state.forest import Forest
from receiver.core.state.settings import BuilderSettings
from receiver.model import Request, Span
from receiver.pipeline.record_reader import RecordReader


@dataclass(slots=True)
class Built:
    """Finished spans in the order of traces, spans that were handed on untouched, and what became of the records."""

    spans: list[Span] = field(default_factory=list)
    untouched: list[bytes] = field(default_factory=list)
    used: Counter[str] = field(default_factory=Counter)
    discarded: Counter[str] = field(default_factory=Counter)

    def requests(self) -> Iterable[bytes]:
        """Serialized ExportTraceServiceRequests: one for each trace that was built, then the untouched spans."""
        traces: dict[bytes, list[Span]] = {}
        for span in self.spans:
            traces.setdefault(span.trace_id, []).append(span)
        for spans in traces.values():
            yield spans_request(spans)
        yield from self.untouched


def build(requests: Iterable[Request], settings: BuilderSettings, *, adopt_spans: bool = True) -> Built:
    """Build everything that the requests tell of. Spans that are known are evidence in any case; those that are not
    adopted are handed on too, as `run` does it (Routes.handed_on)."""
    built, forest, builder = Built(), Forest(), Builder(settings)
    reading = RecordReader(settings.capture_content)
    for request in requests:
        evidence = reading.read(request, arrival=0)
        built.used.update(evidence.used)
        built.discarded.update(evidence.discarded)
        if spans := evidence.to_hand_on(adopt_spans):
            built.untouched.append(pass_through(spans))
        for source, event in forest.lineage.expand(evidence.told):
            reason = builder.take(forest, source, event)
            if reason:
                built.discarded[reason] += 1
    outcome = builder.advance(forest, sorted(forest.sessions), None)
    built.discarded.update(outcome.discards)
    built.spans = sorted(outcome.spans, key=lambda s: (s.trace_id, s.start, s.end, s.span_id))
    return built
