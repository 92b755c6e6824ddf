"""The `otlp_grpc` exporter: sends the queue's bytes as they are to one backend over OTLP/gRPC.

gRPC reports the error of one address only, and a name such as `localhost` has two: that nobody listens at ::1 would
hide what is wrong at 127.0.0.1. So the last error of each address is kept, and a failed export reports all of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import grpc

from receiver.codec.export_service import EXPORT_SERVICES
from receiver.exporters.endpoint import USER_AGENT, grpc_metadata, grpc_target
from receiver.exporters.partial_success import OnRejected, parse_partial_success
from receiver.exporters.responses import grpc_failure
from receiver.model import SIGNALS, Signal
from receiver.net.tls import TLSSettings, channel_credentials

_COMPRESSIONS = {"gzip": grpc.Compression.Gzip, "none": grpc.Compression.NoCompression}
# The sender backs off by itself. gRPC's own backoff (up to two minutes) would come on top: a backend that is back
# would stay unnoticed for that long.
_INITIAL_RECONNECT_BACKOFF_MS, _MAX_RECONNECT_BACKOFF_MS = 1_000, 5_000
_MAX_MILLISECONDS = 2**31 - 1  # gRPC's 32 bits, which it takes as never
_ADDRESS_ERROR = re.compile(r"last error: [A-Z_]+: (ipv[46]:\S+): (.*)", re.DOTALL)
_MAX_ADDRESSES = 8  # remembered with their errors; a name may have many


@dataclass(frozen=True, slots=True)
class ClientKeepalive:
    """The Collector's `keepalive` of a client, in seconds."""

    time: float = 10.0
    timeout: float = 10.0
    permit_without_stream: bool = False


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """configgrpc's other client settings; an empty text keeps gRPC's default."""

    balancer_name: str = "pick_first"
    authority: str = ""
    user_agent: str = ""
    keepalive: ClientKeepalive | None = None

    def options(self) -> list[tuple[str, Any]]:
        """The same as gRPC channel arguments."""
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
                ("grpc.http2.max_pings_without_data", 0),  # no limit; gRPC's default is two
            ]
        return options


def _milliseconds(seconds: float) -> int:
    return min(round(seconds * 1000), _MAX_MILLISECONDS)


class GrpcExporter:
    """Makes one attempt for each export(). Takes the Collector's keys `endpoint`, `headers`, `compression`, `timeout`,
    `tls`, `wait_for_ready`, and those of ChannelSettings.

    `timeout` is in seconds. An `https://` endpoint means TLS and an `http://` one plaintext; any other is TLS unless
    `tls.insecure`. Calls `on_rejected` for a partial success. Raises ConfigError.
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
        self._address_errors = AddressErrors()
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
            response = await call(
                body, timeout=self._timeout, metadata=self._metadata, wait_for_ready=self._wait_for_ready
            )
        except grpc.aio.AioRpcError as error:
            others = self._address_errors.of_others(error.details() or "")
            raise grpc_failure(error, self._target.target, others) from None
        self._address_errors = AddressErrors()
        rejection = parse_partial_success(signal, response)
        if rejection is not None and self._on_rejected is not None:
            self._on_rejected(signal, rejection.count, rejection.message)

    async def stop(self) -> None:
        """Close the channel and cancel its calls."""
        if self._channel is not None:
            await self._channel.close(None)
            self._channel = None


def _options(loopback: bool, server_name: str) -> list[tuple[str, Any]]:
    options: list[tuple[str, Any]] = [
        ("grpc.initial_reconnect_backoff_ms", _INITIAL_RECONNECT_BACKOFF_MS),
        ("grpc.max_reconnect_backoff_ms", _MAX_RECONNECT_BACKOFF_MS),
    ]
    if loopback:
        options.append(("grpc.enable_http_proxy", 0))  # a proxy cannot reach this machine's loopback
    if server_name:
        options.append(("grpc.ssl_target_name_override", server_name))
    return options


class AddressErrors:
    """The last error of each address of a name since the last success."""

    def __init__(self) -> None:
        self._errors: dict[str, str] = {}

    def of_others(self, details: str) -> str:
        """Remember the address and error in a failed call's details; return what to add to them: the other addresses
        whose error differs, each with it."""
        found = _ADDRESS_ERROR.search(details)
        if found is None:
            return ""
        address, error = found.groups()
        others = {other: its for other, its in self._errors.items() if other != address and its != error}
        if len(self._errors) < _MAX_ADDRESSES or address in self._errors:
            self._errors[address] = error
        return "".join(f"; before that {other}: {its}" for other, its in others.items())
