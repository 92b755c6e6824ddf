"""Every dialect of spans reads the error text in a span's status, and cuts it if it is long."""

from __future__ import annotations

from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from receiver.codec.decode import span_records
from receiver.dialects.table import DIALECTS
from receiver.events import CallEvent
from tests.support.factories import at, key_values, spans_request

NOTHING: frozenset[str] = frozenset()
FAILED = {
    "ai_sdk": ("ai", "ai.toolCall", {"ai.toolCall.id": "c1", "ai.toolCall.name": "read"}),
    "native": ("opencode", "Tool.execute", {"tool.call_id": "c1", "tool.name": "read"}),
    "plugin_otel": ("com.opencode", "opencode.tool.read", {"tool.id": "c1", "tool.name": "read"}),
    "claude_code": ("com.anthropic.claude_code.tracing", "claude_code.tool.execution", {"tool_use_id": "c1"}),
}


def errors(dialect: str, message: str) -> list[str | None]:
    """The error texts in the events of a failed call's span, encoded and decoded."""
    scope, name, attributes = FAILED[dialect]
    named: dict[str, Any] = {"session.id": "ses_a", **attributes}
    if dialect == "claude_code":
        named["session.id"] = "28a0697b-9057-47c4-a927-b53a9e80f139"
    sent = Span(name=name, start_time_unix_nano=at(1), end_time_unix_nano=at(2), attributes=key_values(named))
    sent.status.code, sent.status.message = Status.STATUS_CODE_ERROR, message
    request = spans_request(sent, scope=scope, resource={"service.name": "opencode", "opencode.client": "cli"})
    (record, _) = next(span_records(request.body))
    (read,) = (d.spans for d in DIALECTS if d.name == dialect)
    assert read is not None
    return [event.error for event in read(record, NOTHING) or () if isinstance(event, CallEvent)]


def test_the_status_message_has_the_error_text(subtests):
    for dialect in FAILED:
        with subtests.test(dialect=dialect):
            assert errors(dialect, "no such file") == ["no such file"]
            assert errors(dialect, "") == [None]


def test_a_long_status_message_is_cut(subtests):
    for dialect in FAILED:
        with subtests.test(dialect=dialect):
            assert errors(dialect, "e" * 1_000_000) == ["e" * 65_536]
