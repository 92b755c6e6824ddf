"""Builds finished traces from recorded requests, with the same reader and core as `run`. All requests are read before
the first span is built, so no span is late.
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
    """The result of build(): finished `spans` ordered by trace and start, spans handed on as they came (`untouched`,
    serialized requests), and how many records were used or discarded."""

    spans: list[Span] = field(default_factory=list)
    untouched: list[bytes] = field(default_factory=list)
    used: Counter[str] = field(default_factory=Counter)
    discarded: Counter[str] = field(default_factory=Counter)

    def requests(self) -> Iterable[bytes]:
        """Serialized ExportTraceServiceRequests: one for each built trace, then the spans handed on as they came."""
        traces: dict[bytes, list[Span]] = {}
        for span in self.spans:
            traces.setdefault(span.trace_id, []).append(span)
        for spans in traces.values():
            yield spans_request(spans)
        yield from self.untouched


def build(requests: Iterable[Request], settings: BuilderSettings, *, adopt_spans: bool = True) -> Built:
    """Build the traces of all sessions in the requests. Spans of known agents always give events; without
    `adopt_spans` they are also handed on, as `run` does it (Routes.handed_on)."""
    built, forest, builder = Built(), Forest(), Builder(settings)
    reader = RecordReader(settings.capture_content)
    for request in requests:
        result = reader.read(request, arrival=0)
        built.used.update(result.used)
        built.discarded.update(result.discarded)
        if spans := result.spans_to_hand_on(adopt_spans):
            built.untouched.append(pass_through(spans))
        for source, event in forest.lineage.expand(result.events):
            reason = builder.take(forest, source, event)
            if reason:
                built.discarded[reason] += 1
    outcome = builder.advance(forest, sorted(forest.sessions), None)
    built.discarded.update(outcome.discards)
    built.spans = sorted(outcome.spans, key=lambda s: (s.trace_id, s.start, s.end, s.span_id))
    return built
