"""OTLP over gRPC to one backend: the queue's bytes go out as they are, never parsed again.

Why each address of a name failed. gRPC tells of one at a time, and `localhost` has two: that nobody listens at `::1`
would hide what is wrong at 127.0.0.1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import grpc

from receiver.codec.export_service import EXPORT_SERVICES
from receiver.exporters.endpoint import USER_AGENT, grpc_metadata, grpc_target
from receiver.exporters.partial_success import OnRejected, rejection, tell
from receiver.exporters.responses import grpc_failure
from receiver.model import SIGNALS, Signal
from receiver.net.tls import TLSSettings, channel_credentials

_COMPRESSIONS = {"gzip": grpc.Compression.Gzip, "none": grpc.Compression.NoCompression}
# The sending loop backs off by itself. gRPC's own pause (up to two minutes) would come on top: a backend that
# is back would go unnoticed for that long.
_MAX_RECONNECT_BACKOFF_MS = 5_000


@dataclass(frozen=True, slots=True)
class ClientKeepalive:
    """The Collector's `keepalive` of a client, in seconds."""

    time: float = 10.0
    timeout: float = 10.0
    permit_without_stream: bool = False


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """What else configgrpc lets a client say of its connections; empty texts for what gRPC does by itself."""

    balancer_name: str = "pick_first"
    authority: str = ""
    user_agent: str = ""
    keepalive: ClientKeepalive | None = None

    def options(self) -> list[tuple[str, Any]]:
        """In gRPC's terms."""
        options: list[tuple[str, Any]] = [("grpc.primary_user_agent", self.user_agent or USER_AGENT)]
        if self.balancer_name != "pick_first":
            options.append(("grpc.lb_policy_name", self.balancer_name))
        if self.authority:
            options.append(("grpc.default_authority", self.authority))
        if self.keepalive is not None:
            options += [
                ("grpc.keepalive_time_ms", _milliseconds(self.keepalive.time)),
                ("grpc.keepalive_timeout_ms", _milliseconds(self.keepalive.timeout)),
                ("grpc.keepalive_permit_without_calls", int(self.keepalive.permit_without_stream)),
                ("grpc.http2.max_pings_without_data", 0),  # or gRPC stops after two
            ]
        return options


def _milliseconds(seconds: float) -> int:
    return min(round(seconds * 1000), 2**31 - 1)  # more is never, in gRPC's 32 bits


class GrpcExporter:
    """One attempt for each export(). The Collector's keys: `endpoint`, `headers`, `compression`, `timeout`, `tls`,
    `wait_for_ready`, and those of ChannelSettings.

    `timeout` is in seconds. An `https://` endpoint means TLS and an `http://` one plaintext; otherwise it is TLS
    unless `tls.insecure`. `on_rejected` hears of partial successes. Raises ConfigError.
    """

    def __init__(
        self,
        name: str,
        endpoint: str,
        *,
        tls: TLSSettings | None = None,
        headers: Mapping[str, str] | None = None,
        compression: Literal["gzip", "none"] = "gzip",
        timeout: float = 5.0,
        wait_for_ready: bool = False,
        channel: ChannelSettings | None = None,
        on_rejected: OnRejected | None = None,
    ) -> None:
        tls = tls or TLSSettings()
        self.name = name
        self._target = grpc_target(endpoint)
        plaintext = tls.insecure if self._target.plaintext is None else self._target.plaintext
        self._credentials = None if plaintext else channel_credentials(tls)
        self._metadata = grpc_metadata(headers or {})
        self._compression = _COMPRESSIONS[compression]
        self._timeout = timeout
        self._on_rejected = on_rejected
        self._wait_for_ready = wait_for_ready
        self._options = [
            *(channel or ChannelSettings()).options(),
            *_options(self._target.loopback, tls.server_name_override),
        ]
        self._addresses = Addresses()
        self._channel: grpc.aio.Channel | None = None
        self._calls: dict[Signal, Any] = {}

    async def start(self) -> None:
        """Make the channel. It connects when there is something to send."""
        target = self._target.target
        if self._credentials is None:
            channel = grpc.aio.insecure_channel(target, self._options, self._compression)
        else:
            channel = grpc.aio.secure_channel(target, self._credentials, self._options, self._compression)
        self._channel = channel
        self._calls = {
            signal: channel.unary_unary(f"/{EXPORT_SERVICES[signal].name}/Export", None, None) for signal in SIGNALS
        }

    async def export(self, signal: Signal, body: bytes, items: int) -> None:
        """Send one serialized Export request. Raises PermanentExportError or RetryableExportError."""
        call = self._calls[signal]
        try:
            answer = await call(
                body, timeout=self._timeout, metadata=self._metadata, wait_for_ready=self._wait_for_ready
            )
        except grpc.aio.AioRpcError as error:
            raise grpc_failure(error, self._target.target, self._addresses.others(error.details() or "")) from None
        self._addresses = Addresses()
        tell(rejection(signal, answer), signal, self._on_rejected)

    async def stop(self) -> None:
        """Close the channel. Calls that are under way are cancelled."""
        if self._channel is not None:
            await self._channel.close(None)
            self._channel = None


def _options(loopback: bool, server_name: str) -> list[tuple[str, Any]]:
    options: list[tuple[str, Any]] = [
        ("grpc.initial_reconnect_backoff_ms", 1_000),
        ("grpc.max_reconnect_backoff_ms", _MAX_RECONNECT_BACKOFF_MS),
    ]
    if loopback:
        options.append(("grpc.enable_http_proxy", 0))  # a proxy cannot reach this machine's loopback
    if server_name:
        options.append(("grpc.ssl_target_name_override", server_name))
    return options


_ONE = re.compile(r"last error: [A-Z_]+: (ipv[46]:\S+): (.*)", re.DOTALL)
_MOST = 8  # a name may stand for many


class Addresses:
    """What was last said of each, since the last success."""

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {}

    def others(self, details: str) -> str:
        """Take in what a failed call says of one address; what is to be added of the others, where that differs."""
        found = _ONE.search(details)
        if found is None:
            return ""
        address, reason = found.groups()
        told = {one: why for one, why in self._reasons.items() if one != address and why != reason}
        if len(self._reasons) < _MOST or address in self._reasons:
            self._reasons[address] = reason
        return "".join(f"; before that {one}: {why}" for one, why in told.items())
