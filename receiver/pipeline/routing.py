"""Which exporter's queue each signal goes to. Rows of a queue are made here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from receiver.codec.encode import pass_through, spans_request
from receiver.model import Request, Signal, Span
from receiver.pipeline.record_reader import ReadResult
from receiver.storage.interface import Outgoing

MAX_ROW_SPANS, MAX_ROW_BYTES = 512, 1 << 20  # of built spans in one row


@dataclass(frozen=True, slots=True)
class Routes:
    """`traces`: exporters of the built traces. `untouched`: exporters that get a signal's requests as they came.
    `connector`: the signals that the connector reads."""

    traces: tuple[str, ...] = ()
    untouched: dict[Signal, tuple[str, ...]] = field(default_factory=dict)
    connector: frozenset[Signal] = frozenset({"logs", "metrics", "traces"})
    adopt_spans: bool = True

    @property
    def exporters(self) -> set[str]:
        """Every exporter that something goes to."""
        return {*self.traces, *(name for names in self.untouched.values() for name in names)}

    def signals_to(self, exporter: str) -> set[Signal]:
        """The signals that an exporter gets."""
        built: set[Signal] = {"traces"} if exporter in self.traces else set()
        return built | {signal for signal, names in self.untouched.items() if exporter in names}

    def passed_through(self, request: Request) -> Iterator[Outgoing]:
        """A request, byte for byte, for each pipeline without the connector."""
        for name in self.untouched.get(request.signal, ()):
            yield Outgoing(name, request.signal, request.items, request.body)

    def handed_on(self, result: ReadResult) -> Iterator[Outgoing]:
        """Spans that are not rebuilt, for the exporters of the built traces, unless the whole request goes there."""
        spans = result.spans_to_hand_on(self.adopt_spans)
        names = [name for name in self.traces if name not in self.untouched.get("traces", ())]
        if spans and names:
            body = pass_through(spans)
            yield from (Outgoing(name, "traces", len(spans), body) for name in names)

    def built(self, spans: Iterable[Span]) -> Iterator[Outgoing]:
        """Built spans in rows of one trace each: a backend that refuses one trace does not refuse others with it."""
        traces: dict[bytes, list[Span]] = {}
        for span in spans:
            traces.setdefault(span.trace_id, []).append(span)
        for of_trace in traces.values():
            for i in range(0, len(of_trace), MAX_ROW_SPANS):
                for items, body in _requests(of_trace[i : i + MAX_ROW_SPANS]):
                    yield from (Outgoing(name, "traces", items, body) for name in self.traces)


def _requests(spans: list[Span]) -> Iterator[tuple[int, bytes]]:
    """Spans as serialized requests of at most MAX_ROW_BYTES, each with its number of spans. A larger span is alone."""
    body = spans_request(spans)
    if len(body) <= MAX_ROW_BYTES or len(spans) == 1:
        yield len(spans), body
    else:
        half = len(spans) // 2
        yield from _requests(spans[:half])
        yield from _requests(spans[half:])
