"""The `otlp` receiver's settings: what is implemented of the Collector's otlpreceiver, configgrpc and confighttp."""

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


def _rooted(value: str) -> str:
    """As the Collector does, with a slash in front where that is missing."""
    return value if value.startswith("/") else f"/{value}"


URLPath = Annotated[str, Field(min_length=1), AfterValidator(_rooted), TypeName("path")]


class Basic(Section):
    """A user's name and password."""

    username: Text = Field(description="name that the client must give")
    password: Secret = Field(description="password that the client must give")


class ServerAuth(Section):
    """Who may send: exactly one way of showing it, in the `authorization` header."""

    bearer_token: Secret | None = Field(default=None, description="token that clients send as `Bearer <token>`")
    basic: Basic | None = Field(default=None, description="HTTP basic authentication")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.bearer_token is None) == (self.basic is None):
            raise ValueError("set either bearer_token or basic")
        return self


class KeepaliveServerParameters(Section):
    """When the server closes connections, and when it asks whether the other side is there."""

    max_connection_idle: Duration = duration_field(
        "0s", "close a connection without requests after this long; 0: never"
    )
    max_connection_age: Duration = duration_field("0s", "close any connection after this long; 0: never")
    max_connection_age_grace: Duration = duration_field(
        "0s", "let requests finish this long after that; 0: without limit"
    )
    time: Duration = duration_field("2h", "ping a client that was silent for this long")
    timeout: Duration = duration_field("20s", "close the connection when the ping is not answered in this time")


class KeepaliveEnforcementPolicy(Section):
    """What clients may ask of the server."""

    min_time: Duration = duration_field("5m", "a client that pings more often than this is disconnected")
    permit_without_stream: Flag = Field(default=False, description="let clients ping without a request under way")


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

    endpoint: Listen = Field(default="localhost:4317", description="address to listen on; port 0 draws a free one")
    transport: Transport = Field(default="tcp", description="always tcp")
    max_recv_msg_size_mib: MiB = Field(default=64, description="largest request in MiB, counted after decompression")
    max_concurrent_streams: Streams = Field(
        default=0, description="requests under way on one connection; 0: without limit"
    )
    keepalive: KeepaliveServer = Field(default=KeepaliveServer(), description="gRPC keepalive")
    tls: TLSServer | None = Field(default=None, description="serve TLS")
    auth: ServerAuth | None = Field(default=None, description="ask clients for credentials")


class CORS(Section):
    """Which web pages may send from a browser."""

    allowed_origins: tuple[Text, ...] = Field(
        default=(), description="origins such as https://example.com; `*` matches anything"
    )
    allowed_headers: tuple[Text, ...] = Field(
        default=(), description="headers beyond the usual ones that pages may send"
    )
    exposed_headers: tuple[Text, ...] = Field(default=(), description="headers of an answer that pages may read")
    max_age: Size = Field(default=0, description="seconds that a browser may remember the answer; 0: its default")


class HTTPServer(Section):
    """OTLP over HTTP, protobuf and JSON."""

    endpoint: Listen = Field(default="localhost:4318", description="address to listen on; port 0 draws a free one")
    transport: Transport = Field(default="tcp", description="always tcp")
    traces_url_path: URLPath = Field(default="/v1/traces", description="path that takes spans")
    metrics_url_path: URLPath = Field(default="/v1/metrics", description="path that takes metrics")
    logs_url_path: URLPath = Field(default="/v1/logs", description="path that takes log records")
    max_request_body_size: Count = Field(
        default=20_971_520, description="largest request in bytes, counted after decompression"
    )
    compression_algorithms: tuple[Algorithm, ...] = Field(
        default=("", "gzip", "zstd", "zlib", "snappy", "deflate", "lz4", "x-snappy-framed"),
        description="content encodings that are taken; the empty one is none",
    )
    cors: CORS | None = Field(default=None, description="let web pages send")
    tls: TLSServer | None = Field(default=None, description="serve TLS")
    auth: ServerAuth | None = Field(default=None, description="ask clients for credentials")

    @model_validator(mode="after")
    def _paths_differ(self) -> Self:
        if len({self.traces_url_path, self.metrics_url_path, self.logs_url_path}) < 3:
            raise ValueError("two signals have the same path; each needs its own")
        return self


class Protocols(Section):
    """The doors. As in the Collector, the ones that are named are open."""

    grpc: GRPCServer | None = Field(default=None, description="OTLP over gRPC")
    http: HTTPServer | None = Field(default=None, description="OTLP over HTTP")

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.grpc is None and self.http is None:
            raise ValueError("no protocol; name grpc, http or both")
        return self


class OTLPReceiver(Section):
    """Takes logs, metrics and spans over OTLP."""

    protocols: Protocols = Field(
        default=Protocols(grpc=GRPCServer(), http=HTTPServer()),
        description="the doors; without this key both are open, with it those that it names",
    )
