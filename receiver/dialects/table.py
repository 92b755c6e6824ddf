"""The table of dialects, in order of asking: the first that knows a record reads it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from receiver.dialects.claude_code import log_events, spans
from receiver.dialects.opencode import (
    ai_sdk,
    event_relay,
    native,
    plugin_otel,
    plugin_otel_metrics,
    plugin_otel_spans,
    telemetry_plugin,
)
from receiver.dialects.shared.fields import Wanted
from receiver.events import AnyEvent
from receiver.model import LogRecord, MetricPoint, SpanRecord


@dataclass(frozen=True, slots=True)
class Dialect:
    """One producer's way to tell. Each reader gives events, or None for a record that is not of this dialect. `wait`
    (ns) is how much later another signal of the same producer may tell of the same thing. `agent` is set where it is
    another agent that tells, whose sessions have nothing to do with OpenCode's though the resource be the same."""

    name: str
    wait: int = 0
    agent: str = ""
    logs: Callable[[LogRecord, Wanted], Sequence[AnyEvent] | None] | None = None
    metrics: Callable[[MetricPoint, Wanted], Sequence[AnyEvent] | None] | None = None
    spans: Callable[[SpanRecord, Wanted], Sequence[AnyEvent] | None] | None = None


DIALECTS: tuple[Dialect, ...] = (
    Dialect("event_relay", logs=event_relay.logs),
    Dialect("telemetry_plugin", telemetry_plugin.FLUSH, logs=telemetry_plugin.logs, metrics=telemetry_plugin.metrics),
    Dialect(
        "claude_code",
        log_events.FLUSH,
        agent="claude-code",
        logs=log_events.logs,
        metrics=log_events.metrics,
        spans=spans.spans,
    ),
    Dialect(
        "plugin_otel",
        plugin_otel.FLUSH,
        logs=plugin_otel.logs,
        metrics=plugin_otel_metrics.metrics,
        spans=plugin_otel_spans.spans,
    ),
    Dialect("native", native.FLUSH, logs=native.logs, spans=native.spans),
    Dialect("ai_sdk", telemetry_plugin.FLUSH, spans=ai_sdk.spans),
)
