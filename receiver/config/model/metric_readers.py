"""The readers of the program's own metrics (`service::telemetry::metrics::readers`).

The keys are the Collector's, which are those of OpenTelemetry's declarative configuration. A reader is pulled by
Prometheus or pushes over OTLP. Times are whole milliseconds.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias
from urllib.parse import urlsplit

from annotated_types import Ge, Le
from pydantic import AfterValidator, Field, Strict, model_validator

from receiver.config.model.exporters import Headers, OTLPGRPCExporter, grpc_target, http_url
from receiver.config.model.section import ALWAYS, Count, Flag, Section, Text, TypeName
from receiver.config.model.tls import TLSClient


def _always_true(value: bool) -> bool:
    if not value:
        raise ValueError("docs/operations.md lists the fixed names and labels; take the key out")
    return value


Without: TypeAlias = Annotated[bool, Strict(), AfterValidator(_always_true), ALWAYS, TypeName("`true`")]
Port: TypeAlias = Annotated[int, Strict(), Ge(0), Le(65535), TypeName("port")]


class OTLPMetricExporter(Section):
    """Pushes the program's own metrics over OTLP, cumulative and gzipped."""

    protocol: Literal["grpc", "http/protobuf"] = Field(description="protocol of the backend")
    endpoint: Text = Field(
        description="grpc: host:port, http://host:port (no TLS) or https://host:port; http/protobuf: URL, to which "
        "/v1/metrics is added where it has no path"
    )
    headers: Headers = Field(
        default={}, description="headers of every push, as a map or a list of `{name, value}`; values are never shown"
    )
    insecure: Flag = Field(default=False, description="grpc: no TLS where the endpoint has no scheme")
    timeout: Count = Field(default=10_000, description="abandon a push, with its retries, after this many milliseconds")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.protocol == "grpc":
            grpc_target(self.endpoint)
            return self
        http_url(self.endpoint)
        if self.insecure:
            raise ValueError("insecure is for grpc; for http/protobuf write http:// or https:// in the endpoint")
        return self

    @property
    def target(self) -> str:
        """The address for gRPC, or the URL for HTTP."""
        if self.protocol == "grpc":
            return self._grpc().target
        bare = not urlsplit(self.endpoint).path.strip("/")
        return f"{self.endpoint.rstrip('/')}/v1/metrics" if bare else self.endpoint

    @property
    def plaintext(self) -> bool:
        """Whether gRPC connects without TLS."""
        return self._grpc().plaintext

    def _grpc(self) -> OTLPGRPCExporter:
        return OTLPGRPCExporter(endpoint=self.endpoint, tls=TLSClient(insecure=self.insecure))


class MetricExporter(Section):
    """The destination of a reader's metrics."""

    otlp: OTLPMetricExporter = Field(description="an OTLP backend")


class Periodic(Section):
    """Pushes the metrics at an interval, and once more when the program stops."""

    interval: Count = Field(default=60_000, description="milliseconds between two pushes")
    timeout: Count = Field(
        default=30_000, description="longest time of a push in milliseconds, whatever the exporter's timeout"
    )
    exporter: MetricExporter = Field(description="where the metrics go")


class Prometheus(Section):
    """Metrics to be scraped at /metrics."""

    host: Text = Field(default="localhost", description="host to listen on")
    port: Port = Field(default=8888, description="port to listen on")
    without_scope_info: Without = Field(default=True, description="always true: all metrics have one scope")
    without_units: Without = Field(default=True, description="always true: names are like the Collector's own")
    without_type_suffix: Without = Field(default=True, description="always true: names are like the Collector's own")

    @property
    def address(self) -> str:
        """The same as the key `address`."""
        bare = ":" in self.host and not self.host.startswith("[")
        return f"[{self.host}]:{self.port}" if bare else f"{self.host}:{self.port}"


class PullExporter(Section):
    """The way to pull the metrics."""

    prometheus: Prometheus = Field(description="by Prometheus")


class Pull(Section):
    """Lets others pull the metrics."""

    exporter: PullExporter = Field(description="the way to pull them")


class MetricReader(Section):
    """A reader of the program's own metrics."""

    periodic: Periodic | None = Field(default=None, description="push the metrics")
    pull: Pull | None = Field(default=None, description="let others pull the metrics; the same as `address`")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.periodic is None) == (self.pull is None):
            raise ValueError("set either periodic or pull")
        return self
