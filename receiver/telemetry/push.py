"""Pushes the program's own metrics over OTLP, with OpenTelemetry's reader and exporters: at an interval, and once more
when the receiver stops. Each reader has its own thread, so that a slow or absent backend delays nothing else.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog
from grpc import Compression
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression as HttpCompression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpExporter
from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader

from receiver.errors import ConfigError, described
from receiver.telemetry.environment import without_variables

_log = structlog.get_logger(__name__)
# OpenTelemetry logs a failed export as an error, and every retry before it as a warning: the error is enough.
logging.getLogger("opentelemetry.exporter.otlp").setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True)
class PushTo:
    """Where to push. `endpoint` is host:port for gRPC, a URL for HTTP; `interval` and `timeout` are in ms."""

    endpoint: str
    grpc: bool
    interval: int = 60_000
    timeout: int = 10_000
    plaintext: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


class Push:
    """One reader. `refresh` updates the gauges before each push, so the interval is kept here and not by the reader.

    Raises ConfigError when the exporter cannot be made.
    """

    def __init__(self, to: PushTo, refresh: Callable[[], None]) -> None:
        self.reader = PeriodicExportingMetricReader(_exporter(to), math.inf, to.timeout)
        self._interval = to.interval / 1000
        self._refresh = refresh
        self._stopping = threading.Event()
        self._abandoned = False
        self._thread = threading.Thread(target=self._run, name="metrics-push", daemon=True)

    def start(self) -> None:
        """Start pushing. Metrics.add_reader() comes first."""
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.wait(self._interval):
            self._push()
        self._push()

    def _push(self) -> None:
        if self._abandoned:
            return
        try:
            self._refresh()
            self.reader.force_flush()
        except Exception as error:
            _log.warning("the program's own metrics could not be pushed", error=described(error))

    def ask_to_stop(self) -> None:
        """Request one last push."""
        self._stopping.set()

    def wait(self, timeout: float) -> bool:
        """Wait for the last push, at most `timeout` seconds; whether it is over. If not, it is abandoned."""
        self._thread.join(max(0.0, timeout))
        self._abandoned = self._thread.is_alive()
        return not self._abandoned


def stop_all(pushes: Sequence[Push], timeout: float) -> None:
    """Push one last time with all readers at once. Blocks for at most `timeout` seconds."""
    until = time.monotonic() + timeout
    for push in pushes:
        push.ask_to_stop()
    late = [push for push in pushes if not push.wait(until - time.monotonic())]
    if late:
        _log.warning("the program's own metrics could not be pushed at the end: the backend does not answer")


def _exporter(to: PushTo) -> MetricExporter:
    try:
        with without_variables():
            return _grpc_exporter(to) if to.grpc else _http_exporter(to)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _grpc_exporter(to: PushTo) -> MetricExporter:
    return GrpcExporter(
        endpoint=to.endpoint,
        insecure=to.plaintext,
        headers={name.lower(): value for name, value in to.headers.items()},
        timeout=to.timeout / 1000,
        compression=Compression.Gzip,
    )


def _http_exporter(to: PushTo) -> MetricExporter:
    return HttpExporter(
        endpoint=to.endpoint,
        headers=dict(to.headers),
        timeout=to.timeout / 1000,
        compression=HttpCompression.Gzip,
    )
