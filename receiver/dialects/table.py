"""The table of dialects. They are asked in this order; the first that recognizes a record reads it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from receiver.dialects.claude_code import log_events, spans
from receiver.dialects.codex import log_events as codex
from receiver.dialects.copilot import spans as copilot
from receiver.dialects.opencode import (
    ai_sdk,
    event_relay,
    native,
    plugin_otel,
    plugin_otel_metrics,
    plugin_otel_spans,
    telemetry_plugin,
)
from receiver.dialects.qwen import log_events as qwen_log_events
from receiver.dialects.qwen import spans as qwen_spans
from receiver.dialects.shared.fields import MS, Captured
from receiver.events import AnyEvent
from receiver.model import LogRecord, MetricPoint, SpanRecord

MAX_SIGNAL_DELAY = 6_000 * MS  # logs, metrics and spans are exported every 5 s by default, each by its own clock


@dataclass(frozen=True, slots=True)
class Dialect:
    """One producer's records. Each reader returns events, or None for a record that is not of this dialect.

    `wait` (ns) is how much later another signal of the producer may describe the same thing. `agent` names an agent
    other than OpenCode, so that its sessions stay apart from OpenCode's even if the resource is the same.
    `adopts` says that every span that `spans` recognizes is evidence, also one that tells nothing: with `adopt_spans`
    the agent's own traces are replaced as a whole and never in part.
    """

    name: str
    wait: int = 0
    agent: str = ""
    adopts: bool = False
    logs: Callable[[LogRecord, Captured], Sequence[AnyEvent] | None] | None = None
    metrics: Callable[[MetricPoint, Captured], Sequence[AnyEvent] | None] | None = None
    spans: Callable[[SpanRecord, Captured], Sequence[AnyEvent] | None] | None = None


DIALECTS: tuple[Dialect, ...] = (
    Dialect("event_relay", logs=event_relay.logs),
    Dialect("telemetry_plugin", MAX_SIGNAL_DELAY, logs=telemetry_plugin.logs, metrics=telemetry_plugin.metrics),
    Dialect(
        "claude_code",
        MAX_SIGNAL_DELAY,
        agent="claude-code",
        logs=log_events.logs,
        metrics=log_events.metrics,
        spans=spans.spans,
    ),
    Dialect(
        "qwen",
        MAX_SIGNAL_DELAY,
        agent="qwen-code",
        adopts=True,
        logs=qwen_log_events.logs,
        metrics=qwen_log_events.metrics,
        spans=qwen_spans.spans,
    ),
    Dialect(
        "plugin_otel",
        MAX_SIGNAL_DELAY,
        logs=plugin_otel.logs,
        metrics=plugin_otel_metrics.metrics,
        spans=plugin_otel_spans.spans,
    ),
    Dialect("native", MAX_SIGNAL_DELAY, logs=native.logs, spans=native.spans),
    Dialect("codex", MAX_SIGNAL_DELAY, agent="codex", adopts=True, logs=codex.logs, spans=codex.spans),
    Dialect("copilot", agent="copilot", adopts=True, spans=copilot.spans),
    Dialect("ai_sdk", MAX_SIGNAL_DELAY, spans=ai_sdk.spans),
)
