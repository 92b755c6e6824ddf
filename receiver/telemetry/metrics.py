"""Counts on the instruments of the table: hooks for the OTLP servers, the pipeline and the senders.

Called from the event loop's thread and the pipeline's; OpenTelemetry's instruments are thread-safe.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricReader, MetricsData
from opentelemetry.sdk.resources import Resource

from receiver import __version__, semconv
from receiver.core.state.settings import SECOND
from receiver.events import (
    AttemptEvent,
    CallEvent,
    CallHintEvent,
    CallPartEvent,
    CallReportEvent,
    ChildEvent,
    CopyEvent,
    Discarded,
    EndEvent,
    ForkEvent,
    LineageEvent,
    LinesEvent,
    NoteEvent,
    PermissionEvent,
    PointEvent,
    RemoteParentEvent,
    RequestEvent,
    ServerEvent,
    SessionEvent,
    StateEvent,
)
from receiver.model import Span
from receiver.outcome import Outcome
from receiver.pipeline.record_reader import ReadResult
from receiver.storage.interface import Outgoing
from receiver.telemetry.environment import without_variables
from receiver.telemetry.instruments import INSTRUMENTS, ITEMS, LATENCY_BUCKETS, OWN, Instrument

SERVICE_NAME = "opencode-trace-receiver"


class Metrics:
    """All instruments. Implements pipeline.Observer; `clock` is in ns."""

    def __init__(self, clock: Callable[[], int] = time.time_ns) -> None:
        self._reader = InMemoryMetricReader()
        # as in the Collector: a new id for each process, so that two receivers never write to one series
        about = {"service.name": SERVICE_NAME, "service.version": __version__, "service.instance.id": str(uuid.uuid4())}
        with without_variables():
            self._provider = MeterProvider([self._reader], resource=Resource(about), shutdown_on_exit=False)
            self._meter = self._provider.get_meter(semconv.SCOPE_NAME, __version__)
        self._instruments = {one.name: self._make(one) for one in INSTRUMENTS}
        self._clock = clock
        for name in (f"{OWN}spans_handed_on", f"{OWN}sessions_closed"):
            self.add(name, 0)

    def _make(self, one: Instrument) -> Any:
        if one.kind == "counter":
            return self._meter.create_counter(one.name, one.unit, one.help)
        if one.kind == "gauge":
            return self._meter.create_gauge(one.name, one.unit, one.help)
        return self._meter.create_histogram(
            one.name, one.unit, one.help, explicit_bucket_boundaries_advisory=LATENCY_BUCKETS
        )

    def add(self, name: str, number: float, **labels: str) -> None:
        """Add to a counter."""
        self._instruments[name].add(number, labels)

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        self._instruments[name].set(value, labels)

    def collect(self) -> MetricsData | None:
        """All metrics with their present values."""
        return self._reader.get_metrics_data()

    def add_reader(self, reader: MetricReader) -> None:
        """Let another reader read the metrics too, until stop()."""
        self._provider.add_metric_reader(reader)

    def stop(self) -> None:
        """Shut OpenTelemetry's provider down."""
        self._provider.shutdown()

    # the OTLP servers

    def receiver_observer(self, receiver: str, transports: Iterable[str] = ()) -> Callable[[str, str, str, int], None]:
        """The `observe` of one receiver's servers: event (accepted, refused, failed), signal, transport, count.

        Sets each counter of these transports to 0: Prometheus does not see a counter's first increase otherwise.
        """

        def observe(event: str, signal: str, transport: str, count: int) -> None:
            name = f"otelcol_receiver_{event}_{ITEMS[signal]}"
            self.add(name, count, receiver=receiver, transport=transport)

        for transport in transports:
            for signal in ITEMS:
                for event in ("accepted", "refused", "failed"):
                    observe(event, signal, transport, 0)
        return observe

    def refused(self, transport: str, reason: str) -> None:
        """A request was refused before it was decoded."""
        self.add(f"{OWN}requests_refused", 1, transport=transport, reason=reason)

    # the pipeline

    def request_read(self, result: ReadResult) -> None:
        """One request's records were read: used and discarded add up to them."""
        for dialect, count in result.used.items():
            self.add(f"{OWN}records_used", count, signal=result.signal, dialect=dialect)
        for reason, count in result.discarded.items():
            self.add(f"{OWN}records_discarded", count, signal=result.signal, reason=reason)
        for (dialect, event), count in result.event_counts.items():
            self.add(f"{OWN}events", count, dialect=dialect, kind=event_kind(event))
        if result.foreign_spans:
            self.add(f"{OWN}spans_handed_on", len(result.foreign_spans))

    def items_skipped(self, reasons: Counter[str]) -> None:
        """Events added nothing, or items became no span; how many for each reason."""
        for reason, count in reasons.items():
            self.add(f"{OWN}items_skipped", count, reason=reason)

    def spans_built(self, outcome: Outcome) -> None:
        """The builder emitted spans."""
        now = self._clock()
        kinds: Counter[str] = Counter()
        inferred: Counter[str] = Counter()
        for span in outcome.spans:
            kind = span_kind(span)
            kinds[kind] += 1
            inferred.update(inferred_facts(span))
            # the end is by the producer's clock, which may be ahead of this one
            self._instruments[f"{OWN}span_latency"].record(max(0, now - span.end) / SECOND, {"kind": kind})
        for kind, count in kinds.items():
            self.add(f"{OWN}spans_built", count, kind=kind)
        for fact, count in inferred.items():
            self.add(f"{OWN}facts_inferred", count, fact=fact)
        for (kind, confidence), count in outcome.edges.items():
            self.add(f"{OWN}edges_inferred", count, kind=kind, confidence=confidence)
        if outcome.closed:
            self.add(f"{OWN}sessions_closed", len(outcome.closed))

    def requests_queued(self, outgoing: Sequence[Outgoing]) -> None:
        """Requests were put into the sending queues."""
        for one in outgoing:
            self.add(f"{OWN}items_queued", one.items, exporter=one.exporter, signal=one.signal)

    # the senders

    def start_exporter_counters(self, exporter: str, signals: Iterable[str]) -> None:
        """Set each counter of an exporter's signals to 0: Prometheus does not see the first increase otherwise."""
        for signal in signals:
            for event in ("sent", "send_failed", "retried"):
                self.sending(event, signal, exporter, 0)
            self.rejected(exporter, signal, 0)
            self.add(f"{OWN}items_queued", 0, exporter=exporter, signal=signal)

    def sending(self, event: str, signal: str, exporter: str, items: int) -> None:
        """The `observe` of every sender: event (sent, retried, send_failed), signal, exporter, items."""
        if event == "retried":
            self.add(f"{OWN}items_retried", items, exporter=exporter, signal=signal)
        else:
            self.add(f"otelcol_exporter_{event}_{ITEMS[signal]}", items, exporter=exporter)

    def rejected(self, exporter: str, signal: str, items: int) -> None:
        """A backend took a batch but rejected these items of it."""
        self.add(f"{OWN}items_rejected", items, exporter=exporter, signal=signal)


EVENT_KINDS: dict[type, str] = {
    AttemptEvent: "attempt",
    CallEvent: "call",
    CallHintEvent: "call_hinted",
    CallPartEvent: "call_part",
    CallReportEvent: "unnamed_call",
    ChildEvent: "child",
    CopyEvent: "copy",
    Discarded: "discarded",
    EndEvent: "end",
    ForkEvent: "fork",
    LineageEvent: "span",
    LinesEvent: "lines",
    NoteEvent: "note",
    PermissionEvent: "permission",
    PointEvent: "point",
    RemoteParentEvent: "remote_parent",
    RequestEvent: "request",
    ServerEvent: "server",
    SessionEvent: "session",
    StateEvent: "state",
}  # the `kind` label of each class; dashboards use these values, so they stay when a class is renamed


def event_kind(event: type) -> str:
    """The `kind` label of an event's class."""
    return EVENT_KINDS[event]


def span_kind(span: Span) -> str:
    """The `kind` label of a span: `session`, `call`, `request` or `permission`."""
    for key, value in span.attributes:
        if key == semconv.OPERATION_NAME:
            return {semconv.INVOKE_AGENT: "session", semconv.CHAT: "request"}.get(str(value), "call")
    return "permission"


def inferred_facts(span: Span) -> tuple[str, ...]:
    """A span's inferred facts, from its attribute."""
    return next((value for key, value in span.attributes if key == semconv.INFERRED and isinstance(value, tuple)), ())
