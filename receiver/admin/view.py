"""The admin service's responses as `rich` tables and trees. Pure: makes no call and prints nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from receiver.admin import admin_pb2 as pb
from receiver.diagnostics.escape import printable
from receiver.terminal.tree import trace_trees

_MAX_REASONS = 10  # shown for each exporter
_STATES = {pb.Session.STATE_OPEN: "open", pb.Session.STATE_IDLE: "idle"}


def sessions_table(response: pb.ListSessionsResponse, now: int) -> Table:
    """Open sessions, one in each line. `now` is in ns."""
    table = Table(
        "session", "agent", "state", "started", "last activity", "open", "emitted", "parent", "root", box=None
    )
    for one in response.sessions:
        table.add_row(
            _safe(one.id),
            _safe(one.agent),
            _STATES.get(one.state, ""),
            _clock(one.start_time_unix_nano),
            _ago(one.last_activity_time_unix_nano, now),
            str(one.open_calls),
            str(one.spans_left),
            _safe(one.parent_id),
            _safe(one.root_id) if one.root_id != one.id else "",
        )
    return table


def session_trees(response: pb.GetTreeResponse) -> list[Tree]:
    """The trace of a session as it would be built now; several traces if it rolled over."""
    return trace_trees([ExportTraceServiceRequest(resource_spans=response.traces.resource_spans)])


def queues_table(response: pb.QueueStateResponse, now: int) -> Table:
    """The size of each exporter's queue, and how much was set aside."""
    table = Table("exporter", "rows", "items", "oldest", "set aside", box=None)
    for queue in response.queues:
        table.add_row(
            _safe(queue.exporter) or "(not built)",
            str(queue.rows),
            str(queue.items),
            _ago(queue.oldest_time_unix_nano, now),
            f"{queue.set_aside_rows} rows, {queue.set_aside_items} items" if queue.set_aside_rows else "",
        )
    return table


def failures_table(response: pb.QueueStateResponse, now: int) -> Table | None:
    """The present failure of each exporter; None if none fails."""
    table = Table("exporter", "failing since", "attempts", "reason", box=None)
    for queue in response.queues:
        if queue.failure:
            since = _ago(queue.failing_since_unix_nano, now)
            table.add_row(_safe(queue.exporter), since, str(queue.failed_attempts), _safe(queue.failure))
    return table if table.row_count else None


def reasons_table(response: pb.QueueStateResponse) -> Table:
    """Each exporter's most common reasons for rows set aside, with their numbers of rows."""
    table = Table("exporter", "rows", "reason", box=None)
    for queue in response.queues:
        reasons = sorted(queue.set_aside_reasons.items(), key=lambda item: (-item[1], item[0]))
        for reason, rows in reasons[:_MAX_REASONS]:
            table.add_row(_safe(queue.exporter) or "(not built)", str(rows), _safe(reason))
        if others := reasons[_MAX_REASONS:]:
            table.add_row("", str(sum(rows for _, rows in others)), f"{len(others)} other reasons")
    return table


def set_aside_table(rows: Sequence[pb.SetAside], now: int) -> Table:
    """The rows set aside, one in each line."""
    table = Table("id", "exporter", "signal", "items", "bytes", "since", "reason", box=None)
    for row in rows:
        since = _ago(row.time_unix_nano, now)
        table.add_row(
            str(row.id),
            _safe(row.exporter) or "(not built)",
            _safe(row.signal),
            str(row.items),
            str(row.size),
            since,
            _safe(row.reason),
        )
    return table


def _safe(text: str) -> str:
    """Text of other programs in one line, without control characters or markup."""
    return escape(printable(text))


def _clock(time: int) -> str:
    return datetime.fromtimestamp(time / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if time else ""


def _ago(time: int, now: int) -> str:
    if not time:
        return ""
    seconds = max(0, now - time) // 10**9
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit} ago"
    return f"{seconds}s ago"
