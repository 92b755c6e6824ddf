"""Where signals go: what of them is put into which exporter's queue. Rows of a queue are made here, and only here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from receiver.codec.encode import pass_through, spans_request
from receiver.model import Request, Signal, Span
from receiver.pipeline.record_reader import ReadResult
from receiver.storage.interface import Outgoing

_ROW_SPANS, _ROW_BYTES = 512, 1 << 20  # most that a row of built spans holds


@dataclass(frozen=True, slots=True)
class Routes:
    """Exporters of the built traces, and of what passes through untouched; and the signals that the connector takes."""

    traces: tuple[str, ...] = ()
    untouched: dict[Signal, tuple[str, ...]] = field(default_factory=dict)
    connector: frozenset[Signal] = frozenset({"logs", "metrics", "traces"})
    adopt_spans: bool = True

    @property
    def exporters(self) -> set[str]:
        """All that something goes to."""
        return {*self.traces, *(name for names in self.untouched.values() for name in names)}

    def signals_to(self, exporter: str) -> set[Signal]:
        """What goes to an exporter."""
        built: set[Signal] = {"traces"} if exporter in self.traces else set()
        return built | {signal for signal, names in self.untouched.items() if exporter in names}

    def passed_through(self, request: Request) -> Iterator[Outgoing]:
        """A request, byte for byte, where a pipeline says so."""
        for name in self.untouched.get(request.signal, ()):
            yield Outgoing(name, request.signal, request.items, request.body)

    def handed_on(self, evidence: ReadResult) -> Iterator[Outgoing]:
        """Spans that are not ours to rebuild go on to where the built traces go, unless they went there already."""
        spans = evidence.to_hand_on(self.adopt_spans)
        names = [name for name in self.traces if name not in self.untouched.get("traces", ())]
        if spans and names:
            body = pass_through(spans)
            yield from (Outgoing(name, "traces", len(spans), body) for name in names)

    def built(self, spans: Iterable[Span]) -> Iterator[Outgoing]:
        """Built spans in rows of one trace each, so that a backend's refusal of one cannot take others with it."""
        traces: dict[bytes, list[Span]] = {}
        for span in spans:
            traces.setdefault(span.trace_id, []).append(span)
        for of_trace in traces.values():
            for i in range(0, len(of_trace), _ROW_SPANS):
                for items, body in _requests(of_trace[i : i + _ROW_SPANS]):
                    yield from (Outgoing(name, "traces", items, body) for name in self.traces)


def _requests(spans: list[Span]) -> Iterator[tuple[int, bytes]]:
    """Spans as serialized requests that are not too large for a backend, each with how many it holds."""
    body = spans_request(spans)
    if len(body) <= _ROW_BYTES or len(spans) == 1:
        yield len(spans), body
    else:
        half = len(spans) // 2
        yield from _requests(spans[:half])
        yield from _requests(spans[half:])
