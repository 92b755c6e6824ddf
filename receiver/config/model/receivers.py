"""The `otlp` receiver's settings: the implemented part of the Collector's otlpreceiver, configgrpc and confighttp."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from annotated_types import Ge, Gt, Le
from pydantic import AfterValidator, Field, Strict, model_validator

from receiver.config.model.section import (
    Count,
    Duration,
    Flag,
    Listen,
    Secret,
    Section,
    Size,
    Text,
    TypeName,
    duration_field,
)
from receiver.config.model.tls import TLSServer

MiB = Annotated[int, Strict(), Gt(0), Le(2047), TypeName("integer, 1 to 2047")]  # gRPC counts bytes in 32 bits
Streams = Annotated[int, Strict(), Ge(0), Le(2**31 - 1), TypeName("integer, 0 or more")]
Transport = Literal["tcp"]
Algorithm = Literal["", "gzip", "zstd", "zlib", "snappy", "deflate", "lz4", "x-snappy-framed"]


def _with_slash(value: str) -> str:
    """The path with a leading slash, which the Collector adds too."""
    return value if value.startswith("/") else f"/{value}"


URLPath = Annotated[str, Field(min_length=1), AfterValidator(_with_slash), TypeName("path")]


class Basic(Section):
    """A user name and password."""

    username: Text = Field(description="user name that clients must send")
    password: Secret = Field(description="password that clients must send")


class ServerAuth(Section):
    """Credentials that clients must send in the `authorization` header: exactly one kind."""

    bearer_token: Secret | None = Field(default=None, description="token that clients send as `Bearer <token>`")
    basic: Basic | None = Field(default=None, description="HTTP basic authentication")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.bearer_token is None) == (self.basic is None):
            raise ValueError("set either bearer_token or basic")
        return self


class KeepaliveServerParameters(Section):
    """When the server closes connections and sends pings."""

    max_connection_idle: Duration = duration_field("0s", "close an idle connection after this long; 0: never")
    max_connection_age: Duration = duration_field("0s", "close any connection after this long; 0: never")
    max_connection_age_grace: Duration = duration_field("0s", "then let requests finish for this long; 0: no limit")
    time: Duration = duration_field("2h", "ping a client after this long without traffic")
    timeout: Duration = duration_field("20s", "close the connection if a ping is not answered within this time")


class KeepaliveEnforcementPolicy(Section):
    """Limits on clients' pings."""

    min_time: Duration = duration_field("5m", "disconnect a client that pings more often than this")
    permit_without_stream: Flag = Field(default=False, description="let clients ping without an active request")


class KeepaliveServer(Section):
    """gRPC keepalive."""

    server_parameters: KeepaliveServerParameters = Field(
        default=KeepaliveServerParameters(), description="the server's own pings and limits"
    )
    enforcement_policy: KeepaliveEnforcementPolicy = Field(
        default=KeepaliveEnforcementPolicy(), description="limits on clients' pings"
    )


class GRPCServer(Section):
    """OTLP over gRPC."""

    endpoint: Listen = Field(default="localhost:4317", description="address to listen on; port 0 picks a free one")
    transport: Transport = Field(default="tcp", description="always tcp")
    max_recv_msg_size_mib: MiB = Field(default=64, description="largest request in MiB, counted after decompression")
    max_concurrent_streams: Streams = Field(default=0, description="concurrent requests on one connection; 0: no limit")
    keepalive: KeepaliveServer = Field(default=KeepaliveServer(), description="gRPC keepalive")
    tls: TLSServer | None = Field(default=None, description="serve TLS")
    auth: ServerAuth | None = Field(default=None, description="require credentials from clients")


class CORS(Section):
    """Web pages that may send from a browser."""

    allowed_origins: tuple[Text, ...] = Field(
        default=(), description="origins such as https://example.com; `*` matches anything"
    )
    allowed_headers: tuple[Text, ...] = Field(
        default=(), description="headers, beyond the usual ones, that pages may send"
    )
    exposed_headers: tuple[Text, ...] = Field(default=(), description="response headers that pages may read")
    max_age: Size = Field(
        default=0, description="seconds for which a browser may cache the answer; 0: the browser's default"
    )


class HTTPServer(Section):
    """OTLP over HTTP, protobuf and JSON."""

    endpoint: Listen = Field(default="localhost:4318", description="address to listen on; port 0 picks a free one")
    transport: Transport = Field(default="tcp", description="always tcp")
    traces_url_path: URLPath = Field(default="/v1/traces", description="path for spans")
    metrics_url_path: URLPath = Field(default="/v1/metrics", description="path for metrics")
    logs_url_path: URLPath = Field(default="/v1/logs", description="path for log records")
    max_request_body_size: Count = Field(
        default=20_971_520, description="largest request in bytes, counted after decompression"
    )
    compression_algorithms: tuple[Algorithm, ...] = Field(
        default=("", "gzip", "zstd", "zlib", "snappy", "deflate", "lz4", "x-snappy-framed"),
        description="accepted content encodings; the empty one means none",
    )
    cors: CORS | None = Field(default=None, description="let web pages send from a browser")
    tls: TLSServer | None = Field(default=None, description="serve TLS")
    auth: ServerAuth | None = Field(default=None, description="require credentials from clients")

    @model_validator(mode="after")
    def _paths_differ(self) -> Self:
        if len({self.traces_url_path, self.metrics_url_path, self.logs_url_path}) < 3:
            raise ValueError("two signals have the same path; each needs its own")
        return self


class Protocols(Section):
    """The protocols. As in the Collector, the named ones are enabled."""

    grpc: GRPCServer | None = Field(default=None, description="OTLP over gRPC")
    http: HTTPServer | None = Field(default=None, description="OTLP over HTTP")

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.grpc is None and self.http is None:
            raise ValueError("has no protocol; name grpc, http or both")
        return self


class OTLPReceiver(Section):
    """Receives logs, metrics and spans over OTLP."""

    protocols: Protocols = Field(
        default=Protocols(grpc=GRPCServer(), http=HTTPServer()),
        description="protocols to listen for; without this key both are enabled, with it the named ones",
    )
