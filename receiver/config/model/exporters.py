"""The exporters' settings: the Collector's otlp_grpc, otlp_http, debug and file, with exporterhelper's retry and queue.

They differ from the Collector's because the queue is on disk: it is always on, and retries never end.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Literal, Self, TypeAlias

from annotated_types import Gt, Le
from pydantic import AfterValidator, BeforeValidator, Field, Strict, WithJsonSchema, model_validator

from receiver.config.model.section import (
    ALWAYS,
    Count,
    Duration,
    Expanded,
    Factor,
    Flag,
    PositiveDuration,
    Secret,
    Section,
    Share,
    Text,
    TypeName,
    duration_field,
    in_any_case,
)
from receiver.config.model.tls import TLSClient
from receiver.net.address import join_host_port, split_authority, split_url

_PORTS = {"http": 80, "https": 443}
_GRPC_SCHEMES = ("dns:", "unix:")  # that gRPC resolves itself (its doc/naming.md)


def _no_credentials(value: str) -> None:
    # The message leaves the value out, since it may contain a password.
    if "@" in value.partition("//")[2].partition("/")[0] or ("//" not in value and "@" in value):
        raise ValueError("has credentials in the endpoint; set them in headers instead")


def grpc_target(value: str) -> str:
    """The value, if gRPC can connect to it. Raises ValueError."""
    _no_credentials(value)
    if value.startswith(_GRPC_SCHEMES):
        if not value.partition(":")[2].strip("/"):
            raise ValueError(f"{value!r} names no host; write for example dns:///host:4317 or unix:///run/backend.sock")
        return value
    scheme, separator, rest = value.rpartition("://")
    if separator and scheme not in _PORTS:
        raise ValueError(f"{value!r} has an unknown scheme; write host:port, http://host:port or https://host:port")
    if "/" in rest.rstrip("/"):
        raise ValueError(f"{value!r} has a path, which gRPC does not use; for OTLP over HTTP use otlp_http")
    with suppress(ValueError):  # the error below has an example for an exporter
        host, port = split_authority(rest.rstrip("/"))
        if host and (separator or port is not None):
            return value
    raise ValueError(f"{value!r} is not host:port; write for example localhost:4317 or https://host:4317")


def http_url(value: str) -> str:
    """The value, if it is an HTTP URL. Raises ValueError."""
    _no_credentials(value)
    try:
        parts = split_url(value)
    except ValueError as error:
        raise ValueError(f"{value!r} is not a URL: {error}") from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"{value!r} is not a URL; write for example http://{value.rpartition('//')[2] or 'host:4318'}")
    return value


def _valid_headers(headers: Mapping[str, Secret]) -> Mapping[str, Secret]:
    for name, value in headers.items():
        if not name.isascii() or not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
            raise ValueError(f"{name!r} is not a header name; use letters, digits, hyphens, dots and underscores")
        text = value.get_secret_value()
        if not (text.isascii() and text.isprintable()):
            raise ValueError(f"the value of {name} must be printable ASCII, without line breaks")
    return headers


Target: TypeAlias = Annotated[str, AfterValidator(grpc_target), TypeName("host:port or URL")]
URL: TypeAlias = Annotated[
    str, AfterValidator(http_url), WithJsonSchema({"type": "string", "pattern": "^https?://"}), TypeName("URL")
]
_TEXTS = {"type": "string", "minLength": 1}
_HEADERS_SCHEMA = {
    "anyOf": [
        {"type": "object", "additionalProperties": {"type": "string"}},
        {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "properties": {"name": _TEXTS, "value": _TEXTS},
                "required": ["name", "value"],
            },
        },
    ]
}


def _pairs(value: object) -> object:
    """A list of names and values, which the Collector accepts too and prints, as a map."""
    if not isinstance(value, list | tuple):
        return value
    found: dict[object, object] = {}
    for pair in value:
        if not isinstance(pair, Mapping) or set(pair) != {"name", "value"}:
            raise ValueError("must be a map of names and values, or a list of {name: …, value: …}")
        name, text = (one.text if isinstance(one, Expanded) else one for one in (pair["name"], pair["value"]))
        found[name] = text
    return found


Headers: TypeAlias = Annotated[
    Mapping[str, Secret],
    BeforeValidator(_pairs),
    AfterValidator(_valid_headers),
    WithJsonSchema(_HEADERS_SCHEMA),
    TypeName("map of secret text"),
]


def _queued(value: bool) -> bool:
    if not value:
        raise ValueError("the queue is part of the store and cannot be disabled; take the key out")
    return value


Queued: TypeAlias = Annotated[bool, Strict(), AfterValidator(_queued), ALWAYS, TypeName("`true`")]


class Retry(Section):
    """Retries of batches that a backend does not take now. A batch that it refuses for good is set aside instead."""

    enabled: Flag = Field(default=True, description="retry; false: set a batch aside after its first failure")
    initial_interval: PositiveDuration = duration_field("5s", "wait after the first failure")
    max_interval: PositiveDuration = duration_field("30s", "longest wait between two attempts")
    multiplier: Factor = Field(default=1.5, description="factor of each wait to the one before")
    randomization_factor: Share = Field(default=0.5, description="random part of a wait, as a share of it")
    max_elapsed_time: Duration = duration_field(
        "0s", "set a batch aside after this long; 0: never, since it is stored on disk"
    )

    @model_validator(mode="after")
    def _longer_than_a_wait(self) -> Self:
        if self.enabled and 0 < self.max_elapsed_time < max(self.initial_interval, self.max_interval):
            raise ValueError(
                "max_elapsed_time is less than a wait (initial_interval, max_interval); raise it, or set 0"
            )
        return self


class Batch(Section):
    """Limits of a request that joins queued items."""

    sizer: Literal["items"] = Field(default="items", description="unit of max_size")
    max_size: Count = Field(default=8192, description="most spans, log records or data points in a request")
    max_bytes: Count = Field(default=4_000_000, description="most bytes in a request, before compression")


def _waits(value: bool) -> bool:
    if not value:
        raise ValueError("items that do not fit wait on disk and are never dropped; take the key out")
    return value


Waiting: TypeAlias = Annotated[bool, Strict(), AfterValidator(_waits), ALWAYS, TypeName("`true`")]


Consumers: TypeAlias = Annotated[int, Strict(), Gt(0), Le(1000), TypeName("integer, 1 to 1000")]


class SendingQueue(Section):
    """The persistent queue of an exporter. It is part of the store (`file_storage`)."""

    enabled: Queued = Field(default=True, description="always true: items are stored until the backend has taken them")
    storage: Text | None = Field(default=None, description="id of the file_storage extension, used in any case")
    sizer: Literal["items"] = Field(default="items", description="unit of queue_size")
    queue_size: Count = Field(
        default=100_000,
        description="most spans, log records or data points that may wait (items, not requests); then building waits",
    )
    block_on_overflow: Waiting = Field(default=True, description="always true: building waits and nothing is dropped")
    num_consumers: Consumers = Field(default=1, description="concurrent requests; 1 keeps the order")
    batch: Batch = Field(default=Batch(), description="limits of one request")


class Sending(Section):
    """The settings that both OTLP exporters share."""

    headers: Headers = Field(
        default={},
        description="headers of requests, as a map or a list of `{name, value}`; values are never shown",
    )
    compression: Literal["gzip", "none"] = Field(default="gzip", description="compression of requests")
    tls: TLSClient = Field(default=TLSClient(), description="TLS to the backend")
    retry_on_failure: Retry = Field(default=Retry(), description="retries")
    sending_queue: SendingQueue = Field(default=SendingQueue(), description="the queue on disk")


class KeepaliveClient(Section):
    """The client's gRPC keepalive."""

    time: PositiveDuration = duration_field("10s", "ping a server after this long without traffic")
    timeout: PositiveDuration = duration_field("10s", "close the connection if a ping is not answered within this time")
    permit_without_stream: Flag = Field(default=False, description="ping even without an active request")


class OTLPGRPCExporter(Sending):
    """Exports over OTLP/gRPC. Old name: `otlp`."""

    endpoint: Target = Field(
        description="the backend: host:port (TLS unless tls::insecure), http://host:port (no TLS), https://host:port, "
        "dns:///host:port or unix:///path"
    )
    timeout: PositiveDuration = duration_field("5s", "abandon a request after this long")
    keepalive: KeepaliveClient | None = Field(default=None, description="ping the server to keep a connection open")
    wait_for_ready: Flag = Field(
        default=False, description="wait for a connection until the timeout instead of failing at once"
    )
    balancer_name: Literal["pick_first", "round_robin"] = Field(
        default="pick_first", description="use one address of the endpoint's name, or all in turn"
    )
    authority: Text | None = Field(default=None, description="authority, instead of the endpoint's host")
    user_agent: Text | None = Field(default=None, description="user agent, instead of the program's name and version")

    @property
    def target(self) -> str:
        """The address that gRPC connects to: the endpoint without scheme, with a port."""
        if self.endpoint.startswith(_GRPC_SCHEMES):
            return self.endpoint
        scheme, _, rest = self.endpoint.rpartition("://")
        host, port = split_authority(rest.rstrip("/"))
        return join_host_port(host, port if port is not None else _PORTS[scheme])

    @property
    def plaintext(self) -> bool:
        """Whether to connect without TLS: by the scheme, or by `tls::insecure` where there is none."""
        if "://" in self.endpoint and not self.endpoint.startswith(_GRPC_SCHEMES):
            return self.endpoint.startswith("http://")
        return self.tls.insecure


class OTLPHTTPExporter(Sending):
    """Exports over OTLP/HTTP. Old name: `otlphttp`."""

    endpoint: URL | None = Field(
        default=None, description="base URL of the backend; /v1/traces, /v1/logs or /v1/metrics is added"
    )
    traces_endpoint: URL | None = Field(default=None, description="URL for spans, used as it is")
    logs_endpoint: URL | None = Field(default=None, description="URL for log records, used as it is")
    metrics_endpoint: URL | None = Field(default=None, description="URL for metrics, used as it is")
    encoding: Literal["proto", "json"] = Field(default="proto", description="encoding of requests")
    timeout: PositiveDuration = duration_field("30s", "abandon a request after this long")
    proxy_url: URL | None = Field(default=None, description="proxy between this program and the backend")

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if not (self.endpoint or self.traces_endpoint or self.logs_endpoint or self.metrics_endpoint):
            raise ValueError("endpoint is missing; set it to the backend's URL, such as http://localhost:4318")
        return self

    def url(self, signal: str) -> str | None:
        """The URL for `logs`, `metrics` or `traces`; None where no endpoint is set for the signal."""
        own: str | None = getattr(self, f"{signal}_endpoint")
        if own or not self.endpoint:
            return own
        return f"{self.endpoint.rstrip('/')}/v1/{signal}"


Verbosity: TypeAlias = Annotated[Literal["basic", "normal", "detailed"], *in_any_case("basic", "normal", "detailed")]


class DebugExporter(Section):
    """Prints built traces to the terminal."""

    verbosity: Verbosity = Field(
        default="basic",
        description="basic: a line for each batch; normal: trees (the default exporter's value); detailed: with all "
        "attributes",
    )


def _appended(value: bool) -> bool:
    if not value:
        raise ValueError("the file's content is never deleted; take the key out")
    return value


Appending: TypeAlias = Annotated[bool, Strict(), AfterValidator(_appended), ALWAYS, TypeName("`true`")]


class FileExporter(Section):
    """Appends to a file: a line of OTLP/JSON for each batch, or length-prefixed protobuf."""

    path: Text = Field(description="file to append to")
    append: Appending = Field(default=True, description="always true: a file's content is kept")
    format: Literal["json", "proto"] = Field(
        default="json", description="encoding, as in the Collector's file exporter"
    )


Exporter: TypeAlias = OTLPGRPCExporter | OTLPHTTPExporter | DebugExporter | FileExporter
