"""The `service` section: which components run, how signals flow between them, and the program's own telemetry."""

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
    """Where a signal comes from and where it goes."""

    receivers: tuple[Text, ...] = Field(default=(), description="receivers, or connectors that give the signal")
    exporters: tuple[Text, ...] = Field(default=(), description="exporters, or connectors that take the signal")


_SIGNAL: dict[str, JsonValue] = {"pattern": "^(logs|metrics|traces)(/.+)?$"}


class LogsTelemetry(Section):
    """The program's own log, on stderr."""

    level: Level = Field(default="info", description="least level that is written")
    encoding: Literal["console", "json"] = Field(default="console", description="form of a line")


class MetricsTelemetry(Section):
    """The program's own metrics, for Prometheus to scrape at /metrics, and pushed over OTLP."""

    level: MetricsLevel = Field(
        default="normal", description="none: do not count and do not listen; the other levels count the same"
    )
    address: Listen = Field(default="localhost:8888", description="address to listen on")
    readers: tuple[MetricReader, ...] = Field(
        default=(), description="push them too, or the address in the Collector's words; one is served in any case"
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
    """What the program tells about itself."""

    logs: LogsTelemetry = Field(default=LogsTelemetry(), description="its log")
    metrics: MetricsTelemetry = Field(default=MetricsTelemetry(), description="its metrics")


class Service(Section):
    """What runs."""

    extensions: tuple[Text, ...] = Field(
        default=(),
        description="extensions that run, besides the store",
        json_schema_extra={"default": "all that are defined"},
    )
    pipelines: Mapping[str, Pipeline] = Field(
        default={},
        description="by `logs`, `metrics` or `traces`, with a `/name` where there are several",
        json_schema_extra={
            "propertyNames": _SIGNAL,
            "default": "every receiver into the connector, and what it builds to every exporter",
        },
    )
    telemetry: Telemetry = Field(default=Telemetry(), description="the program's own log and metrics")
