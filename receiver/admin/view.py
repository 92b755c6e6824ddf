"""The admin service's answers for people: `rich` tables and trees. Pure; nothing is asked or printed here."""

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

_REASONS = 10  # of an exporter
_STATES = {pb.Session.STATE_OPEN: "open", pb.Session.STATE_IDLE: "idle"}


def sessions_table(answer: pb.ListSessionsResponse, now: int) -> Table:
    """Open sessions, one a line. `now` is in ns."""
    table = Table("session", "agent", "state", "started", "last activity", "open", "left", "parent", "root", box=None)
    for one in answer.sessions:
        table.add_row(
            _said(one.id),
            _said(one.agent),
            _STATES.get(one.state, ""),
            _clock(one.start_time_unix_nano),
            _ago(one.last_activity_time_unix_nano, now),
            str(one.open_calls),
            str(one.spans_left),
            _said(one.parent_id),
            _said(one.root_id) if one.root_id != one.id else "",
        )
    return table


def session_trees(answer: pb.GetTreeResponse) -> list[Tree]:
    """The trace that a session would be now; several where it rolled over."""
    return trace_trees([ExportTraceServiceRequest(resource_spans=answer.traces.resource_spans)])


def queues_table(answer: pb.QueueStateResponse, now: int) -> Table:
    """What waits for each exporter, and what was set aside."""
    table = Table("exporter", "rows", "items", "oldest", "set aside", box=None)
    for queue in answer.queues:
        table.add_row(
            _said(queue.exporter) or "(not built)",
            str(queue.rows),
            str(queue.items),
            _ago(queue.oldest_time_unix_nano, now),
            f"{queue.set_aside_rows} rows, {queue.set_aside_items} items" if queue.set_aside_rows else "",
        )
    return table


def failures_table(answer: pb.QueueStateResponse, now: int) -> Table | None:
    """Why what waits was not taken; None where nothing fails."""
    table = Table("exporter", "failing since", "attempts", "reason", box=None)
    for queue in answer.queues:
        if queue.failure:
            since = _ago(queue.failing_since_unix_nano, now)
            table.add_row(_said(queue.exporter), since, str(queue.failed_attempts), _said(queue.failure))
    return table if table.row_count else None


def reasons_table(answer: pb.QueueStateResponse) -> Table:
    """Why rows were set aside, and how many for the same reason; the commonest reasons of each exporter."""
    table = Table("exporter", "rows", "reason", box=None)
    for queue in answer.queues:
        reasons = sorted(queue.set_aside_reasons.items(), key=lambda item: (-item[1], item[0]))
        for reason, rows in reasons[:_REASONS]:
            table.add_row(_said(queue.exporter) or "(not built)", str(rows), _said(reason))
        if others := reasons[_REASONS:]:
            table.add_row("", str(sum(rows for _, rows in others)), f"{len(others)} other reasons")
    return table


def set_aside_table(rows: Sequence[pb.SetAside], now: int) -> Table:
    """What was set aside, row by row."""
    table = Table("id", "exporter", "signal", "items", "bytes", "since", "reason", box=None)
    for row in rows:
        since = _ago(row.time_unix_nano, now)
        table.add_row(
            str(row.id),
            _said(row.exporter) or "(not built)",
            _said(row.signal),
            str(row.items),
            str(row.size),
            since,
            _said(row.reason),
        )
    return table


def _said(text: str) -> str:
    """What others wrote, in one line, and neither commands to the terminal nor markup."""
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
