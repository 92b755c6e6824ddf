"""The readers of the program's own metrics, in the Collector's keys (`service::telemetry::metrics::readers`), which are
those of OpenTelemetry's declarative configuration. Of these, Prometheus and OTLP push; times are whole milliseconds.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias
from urllib.parse import urlsplit

from annotated_types import Ge, Le
from pydantic import AfterValidator, Field, Strict, model_validator

from receiver.config.model.exporters import Headers, OTLPGRPCExporter, grpc_target, http_url
from receiver.config.model.section import ALWAYS, Count, Flag, Section, Text, TypeName
from receiver.config.model.tls import TLSClient


def _bare(value: bool) -> bool:
    if not value:
        raise ValueError("names and labels are those that docs/operations.md lists; take the key out")
    return value


Without: TypeAlias = Annotated[bool, Strict(), AfterValidator(_bare), ALWAYS, TypeName("`true`")]
Port: TypeAlias = Annotated[int, Strict(), Ge(0), Le(65535), TypeName("port")]


class OTLPMetricExporter(Section):
    """Pushes the program's own metrics over OTLP, cumulative and gzipped."""

    protocol: Literal["grpc", "http/protobuf"] = Field(description="how to speak to the backend")
    endpoint: Text = Field(
        description="grpc: host:port, http://host:port (no TLS) or https://host:port; http/protobuf: URL, to which "
        "/v1/metrics is added where it has no path"
    )
    headers: Headers = Field(
        default={}, description="sent with every push, as a map or a list of `{name, value}`; values are never shown"
    )
    insecure: Flag = Field(default=False, description="grpc: no TLS where the endpoint has no scheme")
    timeout: Count = Field(default=10_000, description="give a push up after so many milliseconds, with its retries")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.protocol == "grpc":
            grpc_target(self.endpoint)
            return self
        http_url(self.endpoint)
        if self.insecure:
            raise ValueError("insecure is for grpc; with http/protobuf the endpoint's http:// or https:// says it")
        return self

    @property
    def target(self) -> str:
        """What is dialled or posted to."""
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
    """Where a reader's metrics go."""

    otlp: OTLPMetricExporter = Field(description="an OTLP backend")


class Periodic(Section):
    """Reads the metrics at an interval, and once more when the program stops."""

    interval: Count = Field(default=60_000, description="milliseconds between two pushes")
    timeout: Count = Field(
        default=30_000, description="most milliseconds that a push may take, whatever its exporter says"
    )
    exporter: MetricExporter = Field(description="where they go")


class Prometheus(Section):
    """Metrics to be scraped at /metrics."""

    host: Text = Field(default="localhost", description="host to listen on")
    port: Port = Field(default=8888, description="port to listen on")
    without_scope_info: Without = Field(default=True, description="always true: one scope gives them all")
    without_units: Without = Field(default=True, description="always true: as the Collector names its own")
    without_type_suffix: Without = Field(default=True, description="always true: as the Collector names its own")

    @property
    def address(self) -> str:
        """What `address` would say."""
        bare = ":" in self.host and not self.host.startswith("[")
        return f"[{self.host}]:{self.port}" if bare else f"{self.host}:{self.port}"


class PullExporter(Section):
    """How they are fetched."""

    prometheus: Prometheus = Field(description="by Prometheus")


class Pull(Section):
    """Lets others fetch the metrics."""

    exporter: PullExporter = Field(description="how they are fetched")


class MetricReader(Section):
    """A reader of the program's own metrics."""

    periodic: Periodic | None = Field(default=None, description="pushes them")
    pull: Pull | None = Field(default=None, description="lets others fetch them; says the same as `address`")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.periodic is None) == (self.pull is None):
            raise ValueError("set either periodic or pull")
        return self
