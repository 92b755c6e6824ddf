"""Events from opencode-plugin-otel's log records that its recordings (tests/golden/D) do not show."""

from __future__ import annotations

import pytest

from receiver.codec.decode import log_records
from receiver.dialects.opencode.plugin_otel import logs
from receiver.events import SessionEvent
from tests.support.factories import logs_request, relay_record

NOTHING: frozenset[str] = frozenset()


@pytest.mark.parametrize(("trace", "context"), [(b"t" * 16, "74" * 16), (b"", None), (b"t" * 1_000_000, None)])
def test_a_valid_trace_id_of_a_record_is_its_context(trace, context):
    record = relay_record("session.idle", 1, session_id="ses_a")
    record.trace_id = trace
    (held,) = log_records(logs_request(record, scope="com.opencode").body)
    membership, *_ = logs(held, NOTHING) or ()
    assert isinstance(membership, SessionEvent)
    assert membership.context == context
