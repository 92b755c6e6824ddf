"""Events from data points of opencode-plugin-otel and its forks."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from receiver.codec.decode import metric_points
from receiver.dialects.opencode.plugin_otel_metrics import metrics
from receiver.events import COUNTED, Discarded, PointEvent, SessionEvent
from tests.support.factories import at, key_values, metrics_request

MS = 1_000_000
DELTA, CUMULATIVE = 1, 2
SESSION = {"session.id": "ses_a", "project.id": "p"}
TOOL = {**SESSION, "tool_name": "bash", "success": True}
TIMES = {"start_time_unix_nano": at(1), "time_unix_nano": at(6)}


def counter(name: str, value: float = 1.0, temporality: int = CUMULATIVE, **labels: Any) -> Metric:
    metric = Metric(name=name)
    metric.sum.is_monotonic = True
    metric.sum.aggregation_temporality = temporality
    metric.sum.data_points.add(attributes=key_values({**SESSION, **labels}), as_double=value, **TIMES)
    return metric


def histogram(
    count: int, temporality: int = CUMULATIVE, name: str = "opencode.tool.duration", labels: Any = None, **point: Any
) -> Metric:
    metric = Metric(name=name)
    metric.histogram.aggregation_temporality = temporality
    attributes = key_values(TOOL if labels is None else labels)
    metric.histogram.data_points.add(attributes=attributes, count=count, **{**TIMES, **point})
    return metric


def gauge(name: str, value: float, **labels: Any) -> Metric:
    metric = Metric(name=name)
    metric.gauge.data_points.add(attributes=key_values({**SESSION, **labels}), as_double=value, **TIMES)
    return metric


def read(metric: Metric, scope: str = "com.opencode") -> list[Any]:
    """The events of one point, encoded and decoded."""
    (point,) = metric_points(metrics_request(metric, scope=scope).body)
    events = metrics(point, frozenset())
    assert events is not None
    return list(events)


class TestCalls:
    def test_a_cumulative_histogram_of_a_tool(self):
        (event,) = read(histogram(2, sum=30, min=10, max=20))
        assert event == PointEvent(
            session="ses_a",
            what="calls",
            form="cumulative",
            source="tool.duration",
            series=event.series,
            start=at(1),
            time=at(6),
            amount=2,
            total=30 * MS,
            low=10 * MS,
            high=20 * MS,
            tool="bash",
            status="completed",
        )

    def test_a_delta_histogram(self):
        (event,) = read(histogram(2, DELTA, sum=30, min=10, max=20))
        assert (event.what, event.form, event.amount, event.status) == ("calls", "delta", 2, "completed")
        assert (event.total, event.low, event.high) == (30 * MS, 10 * MS, 20 * MS)

    def test_failed_calls_are_counted_separately(self):
        (event,) = read(histogram(1, sum=3, labels={**TOOL, "success": False}))
        (other,) = read(histogram(1, sum=3))
        assert event.status == "error"
        assert event.series != other.series

    def test_repeated_points_are_of_one_series(self):
        (event,) = read(histogram(1, sum=3))
        (later,) = read(histogram(2, sum=9, time_unix_nano=at(66)))
        assert event.series == later.series

    def test_a_point_without_a_tool_is_discarded(self):
        assert read(histogram(1, sum=3, labels=SESSION)) == [Discarded(reason="malformed")]

    def test_a_subtask_names_its_agent(self):
        (event,) = read(counter("opencode.subtask.count", agent="explore"))
        assert (event.what, event.agent) == ("begun", "explore")


class TestSessions:
    @pytest.mark.parametrize("subagent", [True, False])
    def test_session_count_says_whether_a_session_is_a_child(self, subagent):
        life, said = read(counter("opencode.session.count", is_subagent=subagent))
        assert life.what == "life"
        assert said == SessionEvent(session="ses_a", rank=COUNTED, root=not subagent, subagent=subagent)

    def test_session_count_without_is_subagent(self):
        (life,) = read(counter("opencode.session.count"), scope="com.opencode.telemetry")
        assert life.start == at(1)

    def test_model_usage_names_the_model(self):
        _, said = read(counter("opencode.model.usage", model="m", provider="p", agent="build"))
        assert (said.model, said.provider) == ("m", "p")

    def test_session_duration_shows_activity(self):
        (event,) = read(histogram(2, sum=9, name="opencode.session.duration", labels=SESSION))
        assert (event.what, event.amount) == ("life", 2)


class TestTotals:
    @pytest.mark.parametrize(
        ("kind", "what"),
        [
            ("input", "fresh_tokens"),
            ("output", "output_tokens"),
            ("reasoning", "reasoning_tokens"),
            ("cacheRead", "cache_read_tokens"),
            ("cacheCreation", "cache_creation_tokens"),
        ],
    )
    def test_tokens(self, kind, what):
        (event,) = read(counter("opencode.token.usage", 170.0, type=kind, model="m", agent="unknown"))
        assert (event.what, event.amount, event.form) == (what, 170, "cumulative")

    def test_token_usage_names_the_agent(self):
        _, said = read(counter("opencode.token.usage", type="input", agent="explore"))
        assert said == SessionEvent(session="ses_a", rank=COUNTED, agent="explore")

    def test_unknown_token_types_are_discarded(self):
        assert read(counter("opencode.token.usage", type="audio")) == [Discarded(reason="not_of_the_tree")]

    def test_cost_as_deltas(self):
        (event,) = read(counter("claude_code.cost.usage", 0.5, DELTA), scope="com.opencode.claude_code_compat")
        assert (event.what, event.amount, event.form, event.start) == ("cost", 0.5, "delta", at(1))

    def test_lines(self):
        (added,) = read(counter("opencode.lines_of_code.count", 4.0, type="added"))
        (removed,) = read(gauge("opencode.lines_of_code.total", 3, type="removed"))
        assert (added.what, added.form) == ("lines_added", "cumulative")
        assert (removed.what, removed.form, removed.amount) == ("lines_removed", "gauge", 3)

    def test_a_total_of_zero_is_discarded(self):
        assert read(counter("opencode.cost.usage", 0.0)) == [Discarded(reason="empty")]

    @pytest.mark.parametrize("prefix", ["", "acme.", "acme_oc.", "x"])
    def test_metric_names_may_have_any_prefix(self, prefix):
        assert read(counter(f"{prefix}cost.usage", 0.5))[0].what == "cost"


class TestRefused:
    @pytest.mark.parametrize("name", ["opencode.session.token.total", "opencode.retry.count", "opencode.cache.count"])
    def test_metrics_of_no_use_are_discarded(self, name):
        assert read(counter(name)) == [Discarded(reason="not_of_the_tree")]

    def test_another_scope_is_left_to_other_dialects(self):
        (point,) = metric_points(metrics_request(counter("opencode.cost.usage"), scope="other").body)
        assert metrics(point, frozenset()) is None

    @pytest.mark.parametrize("session", [None, "unknown"])
    def test_a_record_without_a_session_is_discarded(self, session):
        metric = counter("opencode.cost.usage", **{"session.id": session})
        assert read(metric) == [Discarded(reason="no_session")]

    @pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), 1e300])
    def test_points_without_a_count_are_discarded(self, value):
        assert read(counter("opencode.cost.usage", value)) == [Discarded(reason="inconsistent")]
        assert read(gauge("opencode.lines_of_code.total", value, type="added")) == [Discarded(reason="inconsistent")]

    def test_a_sum_that_is_not_monotonic_is_discarded(self):
        metric = counter("opencode.cost.usage")
        metric.sum.is_monotonic = False
        assert read(metric) == [Discarded(reason="not_monotonic")]

    @pytest.mark.parametrize(
        "point",
        [
            {"sum": -3},
            {"sum": float("nan")},
            {"sum": 30, "min": 20, "max": 10},
            {"sum": 90, "min": 10, "max": 20},
            {"sum": 3, "min": 10},
            {"sum": 30, "bucket_counts": [1, 0, 0], "explicit_bounds": [5, 10]},
            {"sum": 3, "min": float("inf")},
        ],
        ids=["negative", "no number", "extremes", "too much", "too little", "buckets", "infinite"],
    )
    def test_a_contradictory_histogram_is_discarded(self, point):
        assert read(histogram(2, **point)) == [Discarded(reason="inconsistent")]

    def test_a_consistent_histogram_is_read(self):
        point = {"sum": 30, "bucket_counts": [1, 0, 1], "explicit_bounds": [5, 10]}
        assert read(histogram(2, **point))[0].amount == 2

    def test_a_point_without_a_recorded_value_is_discarded(self):
        assert read(histogram(1, sum=3, flags=1)) == [Discarded(reason="empty")]

    def test_an_unspecified_temporality_is_discarded(self):
        assert read(histogram(1, 0, sum=3)) == [Discarded(reason="malformed")]

    def test_a_record_with_no_time_is_discarded(self):
        assert read(histogram(1, sum=3, time_unix_nano=0)) == [Discarded(reason="no_time")]
