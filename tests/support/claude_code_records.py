"""Claude Code's telemetry as OTLP requests: its log events and spans, for the tests of its dialect.

Shapes are from https://code.claude.com/docs/en/monitoring-usage and from recordings of version 2.1.289. Times are
seconds after NOON.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from receiver import model
from tests.support.factories import any_value, at, key_values, logs_request, spans_request

EVENTS, TRACING = "com.anthropic.claude_code.events", "com.anthropic.claude_code.tracing"
SESSION = "28a0697b-9057-47c4-a927-b53a9e80f139"
RESOURCE = {
    "service.name": "claude-code",
    "service.version": "2.1.289",
    "os.type": "darwin",
    "os.version": "25.3.0",
    "host.arch": "arm64",
}
STANDARD = {"user.id": "6f1c", "organization.id": "0b5e", "terminal.type": "WezTerm", "session.id": SESSION}


def iso(time: float) -> str:
    """A time as `event.timestamp` has it."""
    return datetime.fromtimestamp(at(time) / 1e9, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def as_texts(attributes: dict[str, Any]) -> dict[str, Any]:
    """The same with every number and boolean as text, as some of its events have them."""
    return {
        k: str(v).lower() if isinstance(v, bool) else str(v) if isinstance(v, (int, float)) else v
        for k, v in attributes.items()
    }


def event(name: str, time: float, attributes: dict[str, Any] | None = None, *, texts: bool = False) -> LogRecord:
    """One event. None as an attribute's value leaves it out."""
    held = {**STANDARD, "event.name": name, "event.timestamp": iso(time), "event.sequence": round(time * 1000)}
    held |= {"prompt.id": "7264f9c8-318e-4768-8af9-30241a033efd", **(attributes or {})}
    held = {k: v for k, v in held.items() if v is not None}
    record = LogRecord(time_unix_nano=at(time), observed_time_unix_nano=at(time))
    record.body.CopyFrom(any_value(f"claude_code.{name}"))
    record.attributes.extend(key_values(as_texts(held) if texts else held))
    return record


def result(tool: str, start: float, end: float, call: str | None, *, texts: bool = False, **more: Any) -> LogRecord:
    """A finished call. `parameters` are the tool's own; `tool_use_id` is left out if `call` is None."""
    attributes = {
        "tool_name": tool,
        "tool_use_id": call,
        "success": more.pop("success", True),
        "duration_ms": round((end - start) * 1000),
        "decision_type": "accept",
        "decision_source": "config",
        "tool_result_size_bytes": 10,
    }
    if (parameters := more.pop("parameters", None)) is not None:
        attributes["tool_parameters"] = json.dumps(parameters)
    return event("tool_result", end, {**attributes, **more}, texts=texts)


def decision(tool: str, time: float, call: str | None, answer: str, source: str, *, texts: bool = False) -> LogRecord:
    """A permission that was decided."""
    told = {"tool_name": tool, "tool_use_id": call, "decision": answer, "source": source, "tool_source": "builtin"}
    return event("tool_decision", time, told, texts=texts)


def request(start: float, end: float, id: str | None, *, texts: bool = False, **more: Any) -> LogRecord:
    """A model request that went well."""
    attributes = {
        "model": "claude-opus-4-8",
        "duration_ms": round((end - start) * 1000),
        "input_tokens": 4,
        "output_tokens": 120,
        "cache_read_tokens": 1000,
        "cache_creation_tokens": 30,
        "cost_usd": 0.25,
        "cost_usd_micros": 250_000,
        "request_id": id,
        "query_source": "repl_main_thread",
    }
    return event("api_request", end, {**attributes, **more}, texts=texts)


def span(name: str, start: float, end: float, id: int, parent: int = 0, status: int = 0, **more: Any) -> Span:
    """One span: `tool` is `claude_code.tool`. Dots in names of attributes are written `__`."""
    held = {**STANDARD, "span.type": name, "duration_ms": round((end - start) * 1000)}
    held |= {k.replace("__", "."): v for k, v in more.items()}
    made = Span(
        trace_id=(7).to_bytes(16),
        span_id=id.to_bytes(8),
        parent_span_id=parent.to_bytes(8) if parent else b"",
        name=f"claude_code.{name}",
        start_time_unix_nano=at(start),
        end_time_unix_nano=at(end),
    )
    made.status.code = status  # type: ignore[assignment]
    made.attributes.extend(key_values({k: v for k, v in held.items() if v is not None}))
    return made


def logs(*records: LogRecord) -> model.Request:
    """An Export request of events."""
    return logs_request(*records, scope=EVENTS, resource=RESOURCE)


def spans(*made: Span, scope: str = TRACING) -> model.Request:
    """An Export request of spans."""
    return spans_request(*made, scope=scope, resource=RESOURCE)
