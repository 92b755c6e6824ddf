"""The tables of the admin service's responses."""

import io

from rich.console import Console

from receiver.admin import admin_pb2 as pb
from receiver.admin.view import failures_table, queues_table, reasons_table, sessions_table, set_aside_table

SECOND = 10**9
NOW = 1_760_000_000 * SECOND


def text(shown):
    """The printed lines, with runs of spaces as one."""
    console = Console(file=io.StringIO(), width=240)
    console.print(shown)
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]


def test_a_session_is_shown_in_one_line():
    one = pb.Session(
        id="ses_b",
        parent_id="ses_a",
        root_id="ses_a",
        state=pb.Session.STATE_IDLE,
        start_time_unix_nano=NOW - 7200 * SECOND,
        last_activity_time_unix_nano=NOW - 61 * SECOND,
        open_calls=3,
        spans_left=12,
        agent="explore[x]",
    )
    lines = text(sessions_table(pb.ListSessionsResponse(sessions=[one]), NOW))
    assert lines[1] == "ses_b explore[x] idle 2025-10-09T06:53:20Z 1m ago 3 12 ses_a ses_a"


def test_an_unknown_time_is_left_out():
    one = pb.Session(id="ses_a", root_id="ses_a", state=pb.Session.STATE_OPEN)
    assert text(sessions_table(pb.ListSessionsResponse(sessions=[one]), NOW))[1] == "ses_a open 0 0"


def test_queues_are_shown_with_their_age_and_the_rows_set_aside():
    queues = [
        pb.ExporterQueue(exporter="otlp_grpc", rows=2, items=30, oldest_time_unix_nano=NOW - 90_000 * SECOND),
        pb.ExporterQueue(exporter="", set_aside_rows=1, set_aside_items=4),
    ]
    lines = text(queues_table(pb.QueueStateResponse(queues=queues), NOW))
    assert lines[1:] == ["otlp_grpc 2 30 1d ago", "(not built) 0 0 1 rows, 4 items"]


def test_rows_set_aside_are_shown_one_a_line():
    rows = [pb.SetAside(id=7, exporter="", signal="logs", items=4, size=99, reason="a [defect]", time_unix_nano=NOW)]
    assert text(set_aside_table(rows, NOW))[1] == "7 (not built) logs 4 99 0s ago a [defect]"


def test_failures_are_shown_with_the_reason_and_no_table_without_failures():
    failing = pb.ExporterQueue(
        exporter="otlp_grpc", rows=2, failure="a [reason]", failing_since_unix_nano=NOW - 61 * SECOND, failed_attempts=7
    )
    answer = pb.QueueStateResponse(queues=[pb.ExporterQueue(exporter="debug"), failing])
    assert text(failures_table(answer, NOW))[1:] == ["otlp_grpc 1m ago 7 a [reason]"]
    assert failures_table(pb.QueueStateResponse(queues=[pb.ExporterQueue(exporter="debug")]), NOW) is None


def test_reasons_are_sorted_by_count_and_the_rest_is_summed_up():
    many = pb.ExporterQueue(exporter="x", set_aside_reasons={f"reason {n:02}": n for n in range(1, 13)})
    lines = text(reasons_table(pb.QueueStateResponse(queues=[many, pb.ExporterQueue(set_aside_reasons={"odd": 5})])))
    assert lines[1] == "x 12 reason 12"
    assert lines[10:] == ["x 3 reason 03", "3 2 other reasons", "(not built) 5 odd"]


AWKWARD = "a\nforged \x1b]0;title\x07\x1b[31m[bold]b\u202e\r\x85"


def test_text_of_other_programs_makes_no_new_line_and_no_control_sequence():
    sessions = [pb.Session(id=AWKWARD, agent=AWKWARD, parent_id=AWKWARD, root_id=AWKWARD + "x")]
    rows = [pb.SetAside(id=1, exporter=AWKWARD, signal=AWKWARD, reason=AWKWARD)]
    queues = [pb.ExporterQueue(exporter=AWKWARD, failure=AWKWARD, set_aside_reasons={AWKWARD: 1})]
    for table in (
        sessions_table(pb.ListSessionsResponse(sessions=sessions), NOW),
        set_aside_table(rows, NOW),
        queues_table(pb.QueueStateResponse(queues=queues), NOW),
        failures_table(pb.QueueStateResponse(queues=queues), NOW),
        reasons_table(pb.QueueStateResponse(queues=queues)),
    ):
        console = Console(file=io.StringIO(), width=1000)
        console.print(table)
        lines = console.file.getvalue().split("\n")[:-1]
        assert len(lines) == 2
        assert all(line.isprintable() for line in lines)
        assert "[bold]b" in lines[1]
