"""`replay`: sends recorded requests to a running receiver, one after the other, as a client would.

A request that the receiver cannot take now is retried a few times; a refused one is counted and listed, and the next
one is sent. A receiver that cannot be reached ends the replay.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from receiver.errors import ConfigError, InputError, PermanentExportError, RetryableExportError
from receiver.exporters.error_hints import for_command_line
from receiver.exporters.otlp_grpc import GrpcExporter
from receiver.exporters.otlp_http import HttpExporter
from receiver.model import Signal
from receiver.net.address import split_url
from receiver.net.tls import TLSSettings
from receiver.recordings.files import Recording

ENDPOINT = "localhost:4317"
ATTEMPTS = 5
_FIRST_PAUSE = 0.2  # s; doubles with each attempt
_TIMEOUT = 10.0  # s; OTEL's default

Protocol: TypeAlias = Literal["grpc", "http/protobuf", "http/json"]
_SIGNAL_PATH = re.compile(r"/v1/(?:logs|metrics|traces)/?$")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A recording that the receiver refused, wholly or in part, and its reason."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """`sent` requests were taken, wholly or in part; `refused` lists what was not."""

    sent: int
    refused: tuple[Refusal, ...]

    def reasons(self) -> Iterator[tuple[str, str]]:
        """Each reason once, with its first recording and the number of others."""
        sources: dict[str, list[str]] = {}
        for refusal in self.refused:
            sources.setdefault(refusal.reason, []).append(refusal.source)
        for reason, (first, *others) in sources.items():
            yield reason, f"{first} and {len(others)} more" if others else first


def _no_progress(recording: Recording) -> None:
    """A `progress` that shows nothing."""


async def replay(
    recordings: Iterable[Recording],
    endpoint: str = ENDPOINT,
    rate: float | None = None,
    progress: Callable[[Recording], None] = _no_progress,
    *,
    protocol: Protocol | None = None,
    headers: Mapping[str, str] | None = None,
    tls: TLSSettings | None = None,
    attempts: int = ATTEMPTS,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> ReplayResult:
    """Send every recording; `rate` is in requests a second. `progress` is called after each one.

    Without a `protocol`, a URL with a path or with port 4318 (`http://localhost:4318`) means HTTP, any other endpoint
    gRPC. gRPC is plaintext unless the endpoint starts with `https://`.

    Raises ConfigError for an endpoint that cannot be used, InputError for a recording that cannot be read and
    RetryableExportError when the receiver does not take a request after the last attempt.
    """
    refusals: list[str] = []

    def on_rejected(signal: Signal, count: int, message: str) -> None:
        refusals.append(f"{count} {signal} records rejected: {message}")

    exporter = _exporter(endpoint, protocol, headers, tls, on_rejected)
    sent, refused = 0, list[Refusal]()
    await exporter.start()
    try:
        started = clock()
        for number, recording in enumerate(recordings):
            if rate:
                await _until(started + number / rate, clock, sleep)
            try:
                await _send(exporter, recording, attempts, sleep)
                sent += 1
            except PermanentExportError as error:
                refusals.append(for_command_line(str(error)))
            except RetryableExportError as error:
                # A receiver that says when to retry is running.
                hint = "" if error.retry_after else " (is a receiver running there?)"
                raise RetryableExportError(
                    f"{for_command_line(str(error))}; stopped at {recording.source} after {sent} requests{hint}"
                ) from None
            refused.extend(Refusal(recording.source, reason) for reason in refusals)
            refusals.clear()
            progress(recording)
    finally:
        await exporter.stop()
    return ReplayResult(sent, tuple(refused))


async def _send(
    exporter: GrpcExporter | HttpExporter,
    recording: Recording,
    attempts: int,
    sleep: Callable[[float], Awaitable[object]],
) -> None:
    pause = _FIRST_PAUSE
    for _ in range(attempts - 1):
        try:
            await exporter.export(recording.signal, recording.body, 0)
        except RetryableExportError as error:
            await sleep(max(pause, error.retry_after or 0.0))
            pause *= 2
        else:
            return
    await exporter.export(recording.signal, recording.body, 0)


async def _until(moment: float, clock: Callable[[], float], sleep: Callable[[float], Awaitable[object]]) -> None:
    pause = moment - clock()
    if pause > 0:
        await sleep(pause)


def _exporter(
    endpoint: str,
    protocol: Protocol | None,
    headers: Mapping[str, str] | None,
    tls: TLSSettings | None,
    on_rejected: Callable[[Signal, int, str], None],
) -> GrpcExporter | HttpExporter:
    if (protocol or default_protocol(endpoint)) == "grpc":
        # Plaintext, unlike an exporter: the receiver is usually on the same machine.
        tls = tls or TLSSettings(insecure=True)
        return GrpcExporter(
            "replay", endpoint, tls=tls, headers=headers, compression="none", timeout=_TIMEOUT, on_rejected=on_rejected
        )
    return HttpExporter(
        "replay",
        _SIGNAL_PATH.sub("", endpoint),
        encoding="json" if protocol == "http/json" else "proto",
        tls=tls,
        headers=headers,
        compression="none",
        timeout=_TIMEOUT,
        on_rejected=on_rejected,
    )


def parse_headers(pairs: Iterable[str]) -> dict[str, str]:
    """Headers from `NAME=VALUE` options. Raises InputError."""
    headers = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise InputError("--header: expected NAME=VALUE")  # the value may be a secret
        headers[name.strip().lower()] = value.strip()
    return headers


def default_protocol(endpoint: str) -> Protocol:
    """The protocol of an endpoint where none is given. Raises ConfigError."""
    if not endpoint.startswith(("http://", "https://")):
        return "grpc"
    try:
        parts = split_url(endpoint)
    except ValueError as error:
        raise ConfigError(f"endpoint: {endpoint!r} cannot be used: {error}") from None
    return "http/protobuf" if parts.path or parts.port == 4318 else "grpc"
