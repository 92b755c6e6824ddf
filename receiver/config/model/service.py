"""The `service` section: extensions that run, pipelines, and the program's own telemetry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, model_validator

from receiver.config.model.metric_readers import MetricReader
from receiver.config.model.section import Listen, Section, Text, TypeName, in_any_case

_LEVELS = ("debug", "info", "warn", "error")
Level = Annotated[
    Literal["debug", "info", "warn", "error"], *in_any_case(*_LEVELS), TypeName("`debug`, `info`, `warn` or `error`")
]

_METRICS_LEVELS = ("none", "basic", "normal", "detailed")
MetricsLevel = Annotated[Literal["none", "basic", "normal", "detailed"], *in_any_case(*_METRICS_LEVELS)]


class Pipeline(Section):
    """The sources and destinations of a signal."""

    receivers: tuple[Text, ...] = Field(default=(), description="receivers, or connectors that emit the signal")
    exporters: tuple[Text, ...] = Field(default=(), description="exporters, or connectors that consume the signal")


_SIGNAL: dict[str, JsonValue] = {"pattern": "^(logs|metrics|traces)(/.+)?$"}


class LogsTelemetry(Section):
    """The program's own log, on stderr."""

    level: Level = Field(default="info", description="lowest level to write")
    encoding: Literal["console", "json"] = Field(default="console", description="format of a line")


class MetricsTelemetry(Section):
    """The program's own metrics: Prometheus scrapes them at /metrics, and OTLP can push them."""

    level: MetricsLevel = Field(
        default="normal", description="none: no metrics and no endpoint; the other levels are the same"
    )
    address: Listen = Field(default="localhost:8888", description="address to listen on")
    readers: tuple[MetricReader, ...] = Field(
        default=(),
        description="push the metrics, or set the address as a Collector does; one address is always served",
    )

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        pulls = [reader.pull for reader in self.readers if reader.pull is not None]
        if not pulls:
            return self
        address = pulls[0].exporter.prometheus.address
        if len(pulls) > 1 or ("address" in self.model_fields_set and self.address != address):
            raise ValueError("metrics are served at one address; keep one pull reader, or address")
        return self.model_copy(update={"address": address})


class Telemetry(Section):
    """The program's own telemetry."""

    logs: LogsTelemetry = Field(default=LogsTelemetry(), description="the log")
    metrics: MetricsTelemetry = Field(default=MetricsTelemetry(), description="the metrics")


class Service(Section):
    """The extensions that run, the pipelines and the program's own telemetry."""

    extensions: tuple[Text, ...] = Field(
        default=(),
        description="extensions to run; the store always runs",
        json_schema_extra={"default": "all that are configured"},
    )
    pipelines: Mapping[str, Pipeline] = Field(
        default={},
        description="by id: `logs`, `metrics` or `traces`, with a `/name` where there are several",
        json_schema_extra={
            "propertyNames": _SIGNAL,
            "default": "every receiver to the connector, and the built traces to every exporter",
        },
    )
    telemetry: Telemetry = Field(default=Telemetry(), description="the program's own log and metrics")
