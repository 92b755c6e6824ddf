"""Events from the plugin's delta metrics and its extended form's JSON events."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from receiver.codec.decode import log_records, metric_points
from receiver.core.counting.call_counts import call_counts
from receiver.core.counting.series import add, key_of
from receiver.core.state.emitted import EmittedItems
from receiver.core.state.session import Session
from receiver.dialects.opencode.telemetry_plugin import logs, metrics
from receiver.events import (
    COUNTED,
    REPORTED,
    CallEvent,
    CallReportEvent,
    Discarded,
    LinesEvent,
    NoteEvent,
    PointEvent,
    ServerEvent,
    SessionEvent,
    StateEvent,
)
from tests.support.factories import any_value, at, key_values, logs_request, metrics_request

NOTHING: frozenset[str] = frozenset()
MS = 1_000_000
DELTA, CUMULATIVE = 1, 2
SESSION = {"session.id": "ses_a"}
TOOL = {**SESSION, "tool.name": "bash"}


def counter(name: str, value: float | None = 1, labels: dict[str, Any] | None = None, **point: Any) -> Metric:
    metric = Metric(name=name)
    metric.sum.is_monotonic = True
    metric.sum.aggregation_temporality = point.pop("temporality", DELTA)
    held = metric.sum.data_points.add(attributes=key_values(SESSION if labels is None else labels))
    held.start_time_unix_nano, held.time_unix_nano = point.pop("start", at(1)), point.pop("time", at(6))
    if value is not None:
        if isinstance(value, int):
            held.as_int = value
        else:
            held.as_double = value
    return metric


def histogram(name: str, count: int, labels: dict[str, Any] | None = None, **point: Any) -> Metric:
    metric = Metric(name=name)
    metric.histogram.aggregation_temporality = point.pop("temporality", DELTA)
    times = {"start_time_unix_nano": at(1), "time_unix_nano": at(6)}
    metric.histogram.data_points.add(
        attributes=key_values(TOOL if labels is None else labels), count=count, **{**times, **point}
    )
    return metric


def read(metric: Metric, *, scope: str = "opencode", resource: dict[str, Any] | None = None):
    """The events of one point, encoded and decoded."""
    (point,) = metric_points(metrics_request(metric, scope=scope, resource=resource).body)
    return metrics(point, NOTHING)


def one(metric: Metric, **more: Any):
    (event,) = read(metric, **more)
    return event


def durations(count: int, **point: Any) -> tuple[tuple[int, ...], int | None]:
    """The durations (ns) that one point makes certain, and the mean of the others."""
    event = one(histogram("opencode.tool.duration", count, **point))
    session = Session(id=event.session)
    add(session.series, key_of(event, ""), event, "")
    (found,) = call_counts(session, EmittedItems(), event.tool)
    return found.durations, found.rest


class TestWhoseMetricItIs:
    def test_the_resource_names_the_plugin_whatever_the_scope(self):
        metric = counter("opencode.tool.executions", labels=TOOL)
        assert read(metric, scope="other", resource={"opencode.plugin": "telemetry"}) is not None

    def test_the_scope_names_the_plugin_where_the_resource_does_not(self):
        metric = counter("opencode.tool.executions", labels=TOOL)
        assert read(metric, scope="opencode", resource={"service.name": "opencode"}) is not None
        assert read(metric, scope="other", resource={"service.name": "opencode"}) is None

    def test_a_metric_of_another_plugin_with_the_same_name_is_left_to_it(self):
        assert read(counter("opencode.tool.executions", labels=TOOL), resource={"opencode.plugin": "mine"}) is None

    def test_other_metrics_are_left_to_other_dialects(self):
        assert read(counter("http.server.duration")) is None


class TestPointsThatTellNothing:
    def test_a_cumulative_point_of_a_delta_only_metric_is_discarded(self):
        labels = {**SESSION, "command": "greet"}
        metric = counter("opencode.command.executions", labels=labels, temporality=CUMULATIVE)
        assert one(metric) == Discarded(reason="cumulative")

    def test_a_sum_that_is_not_monotonic_is_discarded(self):
        metric = counter("opencode.tool.executions", labels=TOOL)
        metric.sum.is_monotonic = False
        assert one(metric) == Discarded(reason="not_monotonic")

    def test_a_gauge_is_discarded(self):
        metric = Metric(name="opencode.tool.executions")
        metric.gauge.data_points.add(attributes=key_values(TOOL), time_unix_nano=at(6), as_int=1)
        assert one(metric) == Discarded(reason="malformed")

    def test_an_exponential_histogram_is_discarded(self):
        metric = Metric(name="opencode.tool.duration")
        metric.exponential_histogram.data_points.add(attributes=key_values(TOOL), time_unix_nano=at(6), count=1)
        assert one(metric) == Discarded(reason="malformed")

    def test_a_record_with_no_time_is_discarded(self, subtests):
        for time in [0, 1 << 62]:
            with subtests.test(time=time):
                assert one(counter("opencode.tool.executions", labels=TOOL, time=time)) == Discarded(reason="no_time")

    @pytest.mark.parametrize(
        "name",
        [
            "opencode.tool.executions",
            "opencode.tool.loc.added",
            "opencode.permission.requests",
            "opencode.command.executions",
            "opencode.skill.invocations",
            "opencode.agent.spawns",
            "opencode.skill.duration",
            "opencode.mcp.tool.duration",
            "opencode.agent.duration",
            "opencode.agent.tool_count",
        ],
    )
    def test_a_record_with_no_session_is_discarded(self, name):
        assert one(counter(name, labels={"tool.name": "bash"})) == Discarded(reason="no_session")

    def test_a_count_of_zero_is_discarded(self, subtests):
        for value in [0, 2_000_000]:
            with subtests.test(value=value):
                assert one(counter("opencode.tool.executions", value, TOOL)) == Discarded(reason="empty")

    def test_an_invalid_count_is_discarded(self, subtests):
        for value in [None, -1, float("nan"), float("inf")]:
            with subtests.test(value=value):
                assert one(counter("opencode.tool.executions", value, TOOL)) == Discarded(reason="inconsistent")

    def test_a_count_without_a_tool_is_discarded(self):
        assert one(counter("opencode.tool.executions", labels=SESSION)) == Discarded(reason="malformed")


class TestCounts:
    def test_a_count_of_a_tool(self):
        event = one(counter("opencode.tool.executions", 3, TOOL))
        assert event == PointEvent(
            session="ses_a",
            what="calls",
            form="delta",
            source="opencode.tool.executions",
            series=event.series,
            start=at(1),
            time=at(6),
            amount=3,
            tool="bash",
        )

    def test_a_cumulative_count_becomes_a_series_point(self):
        event = one(histogram("opencode.tool.duration", 2, sum=30, min=10, max=20, temporality=CUMULATIVE))
        assert (event.form, event.amount, event.start, event.time) == ("cumulative", 2, at(1), at(6))
        assert (event.total, event.low, event.high) == (30 * MS, 10 * MS, 20 * MS)

    def test_a_count_may_be_a_double(self):
        assert one(counter("opencode.tool.executions", 3.0, TOOL)).amount == 3

    def test_the_session_attribute_has_two_names(self):
        assert one(counter("opencode.tool.executions", labels={"sessionID": "ses_a", "tool.name": "x"})).tool == "x"

    def test_an_invalid_start_is_replaced_by_the_end(self, subtests):
        for start in [0, at(7)]:
            with subtests.test(start=start):
                assert one(counter("opencode.tool.executions", labels=TOOL, start=start)).start == at(6)

    def test_copies_of_a_point_are_equal_and_other_attributes_make_another_series(self):
        first = one(counter("opencode.tool.executions", labels=TOOL))
        assert one(counter("opencode.tool.executions", labels=dict(reversed(TOOL.items())))) == first
        other = one(counter("opencode.tool.executions", labels={**TOOL, "tool.name": "read"}))
        assert other.series != first.series

    def test_a_count_of_a_skill(self):
        event = one(counter("opencode.skill.invocations", labels={**SESSION, "skill": "notes"}))
        assert (event.tool, event.skill) == ("skill", "notes")

    def test_a_count_of_an_mcp_tool_joins_the_split_name(self):
        labels = {**SESSION, "server": "my", "tool": "db_run_query"}
        assert one(counter("opencode.mcp.tool.executions", labels=labels)).tool == "my_db_run_query"

    def test_a_count_of_an_mcp_tool_without_a_server_is_discarded(self):
        event = one(counter("opencode.mcp.tool.executions", labels={**SESSION, "tool": "ping"}))
        assert event == Discarded(reason="malformed")

    def test_the_agent_of_a_subagents_request(self):
        event = one(counter("opencode.agent.spawns", labels={**SESSION, "agent_type": "explore"}))
        assert (event.tool, event.agent) == ("task", "explore")


class TestDurations:
    def test_the_duration_of_one_call_is_exact(self):
        assert durations(1, sum=12.5, min=12.5, max=12.5) == ((12_500_000,), None)

    def test_the_duration_of_one_call_is_exact_without_min_and_max(self):
        assert durations(1, sum=7) == ((7 * MS,), None)

    def test_the_durations_of_two_calls_are_exact(self):
        assert durations(2, sum=30, min=10, max=20) == ((10 * MS, 20 * MS), None)

    def test_the_durations_of_three_calls_are_exact(self):
        assert durations(3, sum=45, min=10, max=20) == ((10 * MS, 15 * MS, 20 * MS), None)

    def test_of_more_calls_min_and_max_are_exact_and_the_rest_have_a_mean(self):
        assert durations(5, sum=60, min=10, max=20) == ((10 * MS, 20 * MS), 10 * MS)

    def test_without_min_and_max_there_is_only_a_mean(self):
        assert durations(4, sum=60) == ((), 15 * MS)

    def test_a_sum_within_min_and_max_is_used(self):
        assert durations(2, sum=35, min=10, max=20) == ((), 35 * MS // 2)

    def test_without_a_sum_there_are_no_durations(self):
        assert durations(2, min=10, max=20) == ((), None)

    def test_contradictory_numbers_are_discarded(self, subtests):
        for numbers in [
            {"sum": 30, "min": 20, "max": 10},
            {"sum": 30, "min": 10, "max": 12},
            {"sum": 30, "min": 16},
            {"sum": -5},
        ]:
            with subtests.test(numbers=numbers):
                assert one(histogram("opencode.tool.duration", 2, **numbers)) == Discarded(reason="inconsistent")

    def test_an_empty_histogram_is_discarded(self):
        assert one(histogram("opencode.tool.duration", 0, sum=0)) == Discarded(reason="empty")


class TestOtherMetrics:
    def test_lines_of_a_call(self, subtests):
        for name, lines in [("added", (4, 0)), ("deleted", (0, 4))]:
            with subtests.test(name=name, lines=lines):
                event = one(counter(f"opencode.tool.loc.{name}", 4, {**TOOL, "call.id": "call_1"}))
                assert event == LinesEvent(
                    session="ses_a", key=event.key, time=at(1), added=lines[0], removed=lines[1], call="call_1"
                )

    def test_lines_without_a_call_belong_to_the_session(self, subtests):
        for labels in [TOOL, {**TOOL, "call.id": "unknown"}, {**TOOL, "call.id": ""}]:
            with subtests.test(labels=labels):
                assert one(counter("opencode.tool.loc.added", 4, labels)).call is None

    def test_a_permission_belongs_to_its_call(self):
        labels = {**SESSION, "call.id": "call_1", "permission.name": "bash", "permission.reply": "once"}
        assert one(counter("opencode.permission.requests", labels=labels)) == CallEvent(
            session="ses_a", call="call_1", rank=COUNTED, permission_name="bash", permission_reply="once"
        )

    def test_a_permission_without_a_call_id_is_discarded(self, subtests):
        for call in [None, "unknown"]:
            with subtests.test(call=call):
                event = one(counter("opencode.permission.requests", labels={**SESSION, "call.id": call}))
                assert event == Discarded(reason="no_call")

    def test_a_command(self):
        event = one(counter("opencode.command.executions", labels={**SESSION, "command": "greet"}))
        assert (event.name, event.time, event.attributes[0]) == (
            "command.executed",
            at(1),
            ("opencode.command.name", "greet"),
        )

    def test_refreshed_tools_name_a_server(self):
        event = one(counter("opencode.mcp.tools.refreshed", labels={"server": "my_db"}))
        assert event == ServerEvent(server="my_db", time=at(6))
        assert one(counter("opencode.mcp.tools.refreshed", labels={})) == Discarded(reason="malformed")


def as_map_body(event: dict[str, Any]) -> Any:
    return event


def as_json_body(event: dict[str, Any]) -> Any:
    return json.dumps(event)


@pytest.fixture(params=[as_map_body, as_json_body], ids=["map body", "string body"])
def events_of(request):
    """Reads one JSON event, in either form of body."""

    def read(kind: str, data: Any, **more: Any):
        event = {"type": kind, "timestamp": "2025-10-09T08:53:21.000Z", "data": data, **more}
        record = LogRecord(time_unix_nano=at(50), observed_time_unix_nano=at(50))
        record.body.CopyFrom(any_value(request.param(event)))
        return logs(next(log_records(logs_request(record, scope="x").body)), NOTHING)

    return read


class TestEvents:
    """The timestamp of the body is one second after NOON."""

    def test_a_command_ends_the_turn(self, events_of):
        note, state = events_of(
            "command_execution", {"sessionID": "ses_a", "command": "greet", "arguments": "big world"}
        )
        assert note == NoteEvent(
            session="ses_a",
            time=at(1),
            name="command.executed",
            attributes=(("opencode.command.name", "greet"), ("opencode.command.argument_count", 2)),
            content=(("opencode.command.arguments", "big world", "arguments"),),
        )
        assert state == StateEvent(session="ses_a", time=at(1), state="idle")

    def test_a_subagent_is_a_task_call_without_its_id(self, events_of):
        data = {
            "parent_session": "ses_a",
            "child_session": "ses_b",
            "agent_type": "explore",
            "description": "look",
            "duration_ms": 400,
            "tool_count": 0,
        }
        call, child = events_of("agent_execution", data)
        assert call == CallReportEvent(
            session="ses_a",
            rank=REPORTED,
            tool="task",
            start=at(0.6),
            end=at(1),
            status="completed",
            child="ses_b",
            agent="explore",
            description="look",
        )
        assert child == SessionEvent(session="ses_b", rank=REPORTED, agent="explore")

    def test_a_subagent_event_without_a_session_is_discarded(self, events_of):
        assert events_of("agent_execution", {"child_session": "ses_b"}) == (Discarded(reason="no_session"),)

    def test_a_skill_call(self, events_of):
        data = {"sessionID": "ses_a", "skill": "notes", "directory": "/s", "duration_ms": "40", "status": "success"}
        assert events_of("skill_invocation", data) == (
            CallReportEvent(
                session="ses_a",
                rank=REPORTED,
                tool="skill",
                start=at(0.96),
                end=at(1),
                status="completed",
                skill="notes",
                skill_source="/s",
            ),
        )

    @pytest.mark.parametrize(
        ("said", "status"),
        [("error", "error"), ("failure", "error"), ("failed", "error"), ("success", "completed"), (None, "completed")],
    )
    def test_an_mcp_call_is_named_as_opencode_names_it(self, events_of, said, status):
        data = {"sessionID": "ses_a", "server": "my", "tool": "db_ping", "duration_ms": 10, "status": said}
        (call,) = events_of("mcp_tool_execution", data)
        assert (call.tool, call.status, call.end - call.start) == ("my_db_ping", status, 10 * MS)
        assert call.mcp_server is None

    @pytest.mark.parametrize("duration", [None, -5, "long", 1e13])
    def test_an_invalid_duration_counts_as_zero(self, events_of, duration):
        (call,) = events_of("skill_invocation", {"sessionID": "ses_a", "skill": "notes", "duration_ms": duration})
        assert call.start == call.end == at(1)

    def test_the_records_time_replaces_a_missing_timestamp(self, events_of):
        (call,) = events_of("skill_invocation", {"sessionID": "ses_a", "skill": "notes"}, timestamp=None)
        assert call.end == at(50)

    @pytest.mark.parametrize("kind", ["command_execution", "skill_invocation", "mcp_tool_execution"])
    def test_a_record_with_no_session_is_discarded(self, events_of, kind):
        assert events_of(kind, {"command": "x", "skill": "x", "server": "x"}) == (Discarded(reason="no_session"),)

    def test_other_events_are_left_to_other_dialects(self, events_of):
        assert events_of("user_feedback", {"sessionID": "ses_a"}) is None
        assert events_of("skill_invocation", "text") is None


def test_an_event_without_any_time_is_discarded():
    record = LogRecord()
    record.body.CopyFrom(any_value({"type": "skill_invocation", "data": {"sessionID": "ses_a"}}))
    assert logs(next(log_records(logs_request(record).body)), NOTHING) == (Discarded(reason="no_time"),)


def test_a_body_without_a_value_is_left_to_other_dialects():
    assert logs(next(log_records(logs_request(LogRecord(time_unix_nano=at(1))).body)), NOTHING) is None


class TestPointsOfAwkwardSeries:
    def test_copies_of_a_point_are_of_one_series_for_any_attributes(self):
        metric = histogram("opencode.tool.duration", 1, {**TOOL, "x": {"k": [1]}}, sum=5)
        assert one(metric) == one(metric)

    def test_points_with_different_long_attributes_are_of_two_series(self):
        one_label, other_label = ({**TOOL, "x": "y" * 5_000 + end} for end in "ab")
        event = one(histogram("opencode.tool.duration", 1, one_label, sum=5))
        other = one(histogram("opencode.tool.duration", 1, other_label, sum=5))
        assert event.series != other.series

    def test_inconsistent_min_and_max_give_only_the_mean(self, subtests: pytest.Subtests):
        for count, low, high in [(2, 1, 5), (3, 1, 9.5), (4, 1, 9.9)]:
            with subtests.test(count=count, low=low, high=high):
                assert durations(count, sum=10, min=low, max=high) == ((), int(10 * 1_000_000 / count))
