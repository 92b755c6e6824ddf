"""The table of all instruments: name, kind, unit, labels and help. Data only; tests compare it with docs/operations.md
and the dashboard.

A metric that the Collector has too has the Collector's name and labels, without unit or `_total` (as its settings
`without_units` and `without_type_suffix` give them). The others begin with `opencode_trace_receiver_`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

OWN = "opencode_trace_receiver_"

# seconds; a call's span waits for `settle` (2 s by default), a session's for its timeouts (60 s, 10 min)
LATENCY_BUCKETS = (0.5, 1, 2, 2.5, 3, 4, 5, 10, 30, 60, 90, 120, 300, 600, 900, 1800, 3600)

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Instrument:
    """One metric. `unit` is UCUM's, as OpenTelemetry writes it."""

    name: str
    kind: Kind
    unit: str
    labels: tuple[str, ...]
    help: str


_RECEIVER = ("receiver", "transport")
_EXPORTER = ("exporter",)

INSTRUMENTS = (
    # the Collector's
    Instrument("otelcol_receiver_accepted_log_records", "counter", "{record}", _RECEIVER, "log records acknowledged"),
    Instrument(
        "otelcol_receiver_accepted_metric_points", "counter", "{point}", _RECEIVER, "metric points acknowledged"
    ),
    Instrument("otelcol_receiver_accepted_spans", "counter", "{span}", _RECEIVER, "spans acknowledged"),
    Instrument("otelcol_receiver_refused_log_records", "counter", "{record}", _RECEIVER, "log records refused"),
    Instrument("otelcol_receiver_refused_metric_points", "counter", "{point}", _RECEIVER, "metric points refused"),
    Instrument("otelcol_receiver_refused_spans", "counter", "{span}", _RECEIVER, "spans refused"),
    Instrument("otelcol_receiver_failed_log_records", "counter", "{record}", _RECEIVER, "log records lost to a defect"),
    Instrument(
        "otelcol_receiver_failed_metric_points", "counter", "{point}", _RECEIVER, "metric points lost to a defect"
    ),
    Instrument("otelcol_receiver_failed_spans", "counter", "{span}", _RECEIVER, "spans lost to a defect"),
    Instrument(
        "otelcol_exporter_sent_log_records", "counter", "{record}", _EXPORTER, "log records that the backend took"
    ),
    Instrument(
        "otelcol_exporter_sent_metric_points", "counter", "{point}", _EXPORTER, "metric points that the backend took"
    ),
    Instrument("otelcol_exporter_sent_spans", "counter", "{span}", _EXPORTER, "spans that the backend took"),
    Instrument("otelcol_exporter_send_failed_log_records", "counter", "{record}", _EXPORTER, "log records set aside"),
    Instrument(
        "otelcol_exporter_send_failed_metric_points", "counter", "{point}", _EXPORTER, "metric points set aside"
    ),
    Instrument("otelcol_exporter_send_failed_spans", "counter", "{span}", _EXPORTER, "spans set aside"),
    Instrument("otelcol_exporter_queue_size", "gauge", "{item}", _EXPORTER, "items in the sending queue"),
    Instrument("otelcol_exporter_queue_capacity", "gauge", "{item}", _EXPORTER, "items at which building waits"),
    Instrument("otelcol_process_uptime", "counter", "s", (), "time since the start"),
    Instrument("otelcol_process_cpu_seconds", "counter", "s", (), "processor time used"),
    Instrument("otelcol_process_memory_rss", "gauge", "By", (), "resident memory; its peak where /proc is missing"),
    # records
    Instrument(
        f"{OWN}requests_refused",
        "counter",
        "{request}",
        ("transport", "reason"),
        "requests refused before they were decoded, by status code",
    ),
    Instrument(f"{OWN}records_used", "counter", "{record}", ("signal", "dialect"), "records that became events"),
    Instrument(f"{OWN}events", "counter", "{event}", ("dialect", "kind"), "events read from records"),
    Instrument(f"{OWN}records_discarded", "counter", "{record}", ("signal", "reason"), "records that became no event"),
    Instrument(f"{OWN}items_skipped", "counter", "{item}", ("reason",), "events and items that became no span"),
    Instrument(f"{OWN}backlog_items", "gauge", "{record}", (), "records acknowledged and not built yet"),
    Instrument(
        f"{OWN}records_set_aside", "gauge", "{record}", (), "records set aside because their request cannot be built"
    ),
    Instrument(
        f"{OWN}records_at_start",
        "gauge",
        "{record}",
        (),
        "records in the backlog or set aside when the process started",
    ),
    # spans and sessions
    Instrument(
        f"{OWN}spans_built", "counter", "{span}", ("kind",), "spans of sessions, calls, requests and permissions"
    ),
    Instrument(f"{OWN}spans_handed_on", "counter", "{span}", (), "spans that no dialect knows, sent on as they came"),
    Instrument(
        f"{OWN}facts_inferred", "counter", "{fact}", ("fact",), "facts that were inferred, not stated by a record"
    ),
    Instrument(
        f"{OWN}edges_inferred",
        "counter",
        "{edge}",
        ("kind", "confidence"),
        "inferred edges from a child session to its parent_session or task_call, decided or ambiguous",
    ),
    Instrument(f"{OWN}span_latency", "histogram", "s", ("kind",), "time from a span's end until it is queued"),
    Instrument(f"{OWN}sessions_closed", "counter", "{session}", (), "sessions whose last span was emitted"),
    Instrument(f"{OWN}sessions_open", "gauge", "{session}", (), "sessions with spans that are not emitted"),
    # sending
    Instrument(f"{OWN}items_queued", "counter", "{item}", ("exporter", "signal"), "items put into the sending queue"),
    Instrument(f"{OWN}items_retried", "counter", "{item}", ("exporter", "signal"), "items in failed attempts"),
    Instrument(
        f"{OWN}items_rejected",
        "counter",
        "{item}",
        ("exporter", "signal"),
        "items that a backend rejected from a batch that it took",
    ),
    Instrument(
        f"{OWN}items_set_aside", "gauge", "{item}", _EXPORTER, "items set aside because a backend refused them for good"
    ),
    Instrument(
        f"{OWN}items_at_start", "gauge", "{item}", _EXPORTER, "items in the queue or set aside when the process started"
    ),
    Instrument(f"{OWN}queue_age", "gauge", "s", _EXPORTER, "age of the oldest item in the queue"),
    Instrument(f"{OWN}store_size", "gauge", "By", (), "bytes of the store on disk"),
)

NAMES = {one.name: one for one in INSTRUMENTS}

# the items of each signal, in the Collector's names
ITEMS = {"logs": "log_records", "metrics": "metric_points", "traces": "spans"}
