"""Checks an exporter's `endpoint` and `headers`, as the Collector and the OTEL variables write them. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult

from receiver import __version__
from receiver.errors import ConfigError
from receiver.net.address import is_loopback, join_host_port, split_url

USER_AGENT = f"opencode-trace-receiver/{__version__}"

_DEFAULT_PORTS = {"http": 4317, "https": 443}
_GRPC_SCHEMES = {"dns", "ipv4", "ipv6", "unix", "unix-abstract", "vsock", "xds"}  # gRPC's doc/naming.md
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # a token of RFC 9110, 5.6.2
_GRPC_HEADER_NAME = re.compile(r"[0-9a-z_.-]+")  # gRPC's metadata keys
_HEADER_VALUE = re.compile(r"[\x20-\x7e]*")


@dataclass(frozen=True, slots=True)
class GrpcTarget:
    """`target` in gRPC's syntax. `plaintext` None: the endpoint does not say, so `tls` decides."""

    target: str
    plaintext: bool | None
    loopback: bool


def grpc_target(endpoint: str) -> GrpcTarget:
    """`host:port`, `http://host:port` (plaintext), `https://host:port` (TLS) or a gRPC name (`dns:///…`).

    A path is ignored, as OpenTelemetry requires. Raises ConfigError.
    """
    if not endpoint:
        raise ConfigError("endpoint: must be given, for example localhost:4317")
    scheme, colon, _ = endpoint.partition("://")
    if not colon:
        return GrpcTarget(endpoint, None, is_loopback(_split(f"//{endpoint}", endpoint).hostname or ""))
    if scheme.lower() not in _DEFAULT_PORTS:
        if scheme.lower() not in _GRPC_SCHEMES:
            raise ConfigError(f"endpoint: {scheme}:// is not supported; write host:4317, http://… or https://…")
        return GrpcTarget(endpoint, None, False)
    url = _split(endpoint, endpoint)
    if not url.hostname:
        raise ConfigError(f"endpoint: {endpoint!r} has no host")
    port = url.port or _DEFAULT_PORTS[url.scheme]
    return GrpcTarget(join_host_port(url.hostname, port), url.scheme == "http", is_loopback(url.hostname))


def http_url(endpoint: str) -> str:
    """The endpoint, checked to be an http or https URL with a host. Raises ConfigError."""
    url = _split(endpoint, endpoint)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ConfigError(f"endpoint: {endpoint!r} is not a URL; write http://host:4318 or https://host")
    return endpoint


def grpc_metadata(headers: Mapping[str, str]) -> tuple[tuple[str, str | bytes], ...]:
    """Headers as gRPC metadata: names in lower case, values of `-bin` names as bytes. Raises ConfigError."""
    metadata = []
    for name, value in headers.items():
        key = name.lower()
        _check_header(_GRPC_HEADER_NAME, name, key, value)
        metadata.append((key, value.encode() if key.endswith("-bin") else value))
    return tuple(metadata)


def http_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers unchanged, after a check. Raises ConfigError."""
    for name, value in headers.items():
        _check_header(_HEADER_NAME, name, name, value)
    return dict(headers)


def _check_header(allowed: re.Pattern[str], name: str, key: str, value: str) -> None:
    # The value may be a secret: it is never part of the message.
    if not allowed.fullmatch(key):
        raise ConfigError(f"headers: {name!r} is not a header name")
    if not _HEADER_VALUE.fullmatch(value):
        raise ConfigError(f"headers::{name}: the value must be printable ASCII, without line breaks")


def _split(url: str, endpoint: str) -> SplitResult:
    try:
        return split_url(url)
    except ValueError as error:
        raise ConfigError(f"endpoint: {endpoint!r} cannot be used: {error}") from None
