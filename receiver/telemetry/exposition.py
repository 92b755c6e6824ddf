"""OpenTelemetry's metrics in Prometheus's text format (version 0.0.4). Pure.

Not by the client library, which appends `_total` to every counter's name; the Collector's names have no suffix.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from opentelemetry.sdk.metrics.export import Histogram, HistogramDataPoint, Metric, MetricsData, NumberDataPoint, Sum

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(data: MetricsData | None) -> str:
    """The text of all metrics, ordered by name, after `target_info` with the resource's attributes."""
    metrics = [
        metric
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
    ]
    lines = [line for metric in sorted(metrics, key=lambda m: m.name) for line in _metric(metric)]
    about = data.resource_metrics[0].resource.attributes if data and data.resource_metrics else {}
    return "".join(f"{line}\n" for line in (*_target(about), *lines))


def _target(about: Mapping[str, Any]) -> Iterator[str]:
    if about:
        yield "# HELP target_info Target metadata"
        yield "# TYPE target_info gauge"
        yield _sample("target_info", sorted((key.replace(".", "_"), str(value)) for key, value in about.items()), 1)


def _metric(metric: Metric) -> Iterator[str]:
    kind = "histogram" if isinstance(metric.data, Histogram) else "gauge"
    if isinstance(metric.data, Sum) and metric.data.is_monotonic:
        kind = "counter"
    about = (metric.description or "").replace("\\", r"\\").replace("\n", r"\n")
    yield f"# HELP {metric.name} {about}"
    yield f"# TYPE {metric.name} {kind}"
    for point in metric.data.data_points:
        labels = {key: str(value) for key, value in sorted((point.attributes or {}).items())}
        if isinstance(point, HistogramDataPoint):
            yield from _histogram(metric.name, labels, point)
        elif isinstance(point, NumberDataPoint):
            yield _sample(metric.name, labels.items(), point.value)


def _histogram(name: str, labels: Mapping[str, str], point: HistogramDataPoint) -> Iterator[str]:
    total = 0
    for bound, count in zip([*point.explicit_bounds, math.inf], point.bucket_counts, strict=True):
        total += count
        yield _sample(f"{name}_bucket", [*labels.items(), ("le", _number(bound))], total)
    yield _sample(f"{name}_sum", labels.items(), point.sum)
    yield _sample(f"{name}_count", labels.items(), point.count)


def _sample(name: str, labels: Iterable[tuple[str, str]], value: float) -> str:
    pairs = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
    return f"{name}{{{pairs}}} {_number(value)}" if pairs else f"{name} {_number(value)}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) else repr(float(value))
