"""Every instrument in one table: name, kind, unit, labels and help. Only data; docs/operations.md says the same, and so
does the dashboard (tests see to it).

Where the Collector has a metric, the name and the labels are the Collector's, without unit or `_total` behind them (its
`without_units` and `without_type_suffix`). What only this program knows begins with `opencode_trace_receiver_`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

OWN = "opencode_trace_receiver_"

# seconds; a call's span waits for `settle` (2s by default), a session's for its timeouts (60s, 10m)
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


_DOOR = ("receiver", "transport")
_OUT = ("exporter",)

INSTRUMENTS = (
    # the Collector's
    Instrument("otelcol_receiver_accepted_log_records", "counter", "{record}", _DOOR, "log records acknowledged"),
    Instrument("otelcol_receiver_accepted_metric_points", "counter", "{point}", _DOOR, "metric points acknowledged"),
    Instrument("otelcol_receiver_accepted_spans", "counter", "{span}", _DOOR, "spans acknowledged"),
    Instrument("otelcol_receiver_refused_log_records", "counter", "{record}", _DOOR, "log records turned away"),
    Instrument("otelcol_receiver_refused_metric_points", "counter", "{point}", _DOOR, "metric points turned away"),
    Instrument("otelcol_receiver_refused_spans", "counter", "{span}", _DOOR, "spans turned away"),
    Instrument("otelcol_receiver_failed_log_records", "counter", "{record}", _DOOR, "log records lost to a defect"),
    Instrument("otelcol_receiver_failed_metric_points", "counter", "{point}", _DOOR, "metric points lost to a defect"),
    Instrument("otelcol_receiver_failed_spans", "counter", "{span}", _DOOR, "spans lost to a defect"),
    Instrument("otelcol_exporter_sent_log_records", "counter", "{record}", _OUT, "log records that the backend took"),
    Instrument(
        "otelcol_exporter_sent_metric_points", "counter", "{point}", _OUT, "metric points that the backend took"
    ),
    Instrument("otelcol_exporter_sent_spans", "counter", "{span}", _OUT, "spans that the backend took"),
    Instrument("otelcol_exporter_send_failed_log_records", "counter", "{record}", _OUT, "log records set aside"),
    Instrument("otelcol_exporter_send_failed_metric_points", "counter", "{point}", _OUT, "metric points set aside"),
    Instrument("otelcol_exporter_send_failed_spans", "counter", "{span}", _OUT, "spans set aside"),
    Instrument("otelcol_exporter_queue_size", "gauge", "{item}", _OUT, "items in the sending queue"),
    Instrument("otelcol_exporter_queue_capacity", "gauge", "{item}", _OUT, "items at which building waits"),
    Instrument("otelcol_process_uptime", "counter", "s", (), "time since the start"),
    Instrument("otelcol_process_cpu_seconds", "counter", "s", (), "processor time used"),
    Instrument("otelcol_process_memory_rss", "gauge", "By", (), "resident memory; its peak where /proc is missing"),
    # what becomes of records
    Instrument(
        f"{OWN}requests_refused",
        "counter",
        "{request}",
        ("transport", "reason"),
        "requests refused before their records were known, by the answer's code",
    ),
    Instrument(f"{OWN}records_used", "counter", "{record}", ("signal", "dialect"), "records that told something"),
    Instrument(f"{OWN}events", "counter", "{event}", ("dialect", "kind"), "what the records told, by what it is"),
    Instrument(f"{OWN}records_discarded", "counter", "{record}", ("signal", "reason"), "records that became nothing"),
    Instrument(
        f"{OWN}items_skipped", "counter", "{item}", ("reason",), "events, or parts of a tree, that became nothing"
    ),
    Instrument(f"{OWN}backlog_items", "gauge", "{record}", (), "records acknowledged and not built yet"),
    Instrument(f"{OWN}records_set_aside", "gauge", "{record}", (), "records kept of requests that cannot be built"),
    Instrument(f"{OWN}records_at_start", "gauge", "{record}", (), "records in these two when the process started"),
    # what is built
    Instrument(f"{OWN}spans_built", "counter", "{span}", ("kind",), "spans: session, call, request or permission"),
    Instrument(f"{OWN}spans_handed_on", "counter", "{span}", (), "spans of others that no dialect knows"),
    Instrument(
        f"{OWN}facts_inferred", "counter", "{fact}", ("fact",), "facts that were reconstructed, by what they are"
    ),
    Instrument(
        f"{OWN}edges_inferred",
        "counter",
        "{edge}",
        ("kind", "confidence"),
        "children that nobody states: to a parent_session or task_call, decided or ambiguous",
    ),
    Instrument(f"{OWN}span_latency", "histogram", "s", ("kind",), "from a span's end to its being queued"),
    Instrument(f"{OWN}sessions_closed", "counter", "{session}", (), "sessions whose span has left"),
    Instrument(f"{OWN}sessions_open", "gauge", "{session}", (), "sessions that have something still to leave"),
    # what goes out
    Instrument(f"{OWN}items_queued", "counter", "{item}", ("exporter", "signal"), "items put into the sending queue"),
    Instrument(f"{OWN}items_retried", "counter", "{item}", ("exporter", "signal"), "items in attempts that failed"),
    Instrument(f"{OWN}items_rejected", "counter", "{item}", ("exporter", "signal"), "items that a backend dropped"),
    Instrument(f"{OWN}items_set_aside", "gauge", "{item}", _OUT, "items kept that a backend refused for good"),
    Instrument(
        f"{OWN}items_at_start", "gauge", "{item}", _OUT, "items in the queue or set aside when the process started"
    ),
    Instrument(f"{OWN}queue_age", "gauge", "s", _OUT, "how long the oldest of the queue has waited"),
    Instrument(f"{OWN}store_size", "gauge", "By", (), "bytes of the store on disk"),
)

NAMES = {one.name: one for one in INSTRUMENTS}

# a signal's items, in the Collector's names
ITEMS = {"logs": "log_records", "metrics": "metric_points", "traces": "spans"}
