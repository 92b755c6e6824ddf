"""The doors for operators: metrics, health and the admin service, made and opened in one place.

A Collector on the same machine has 8888 and 13133: a default address that is taken is warned of and passed over, since
the receiver's own work does not need it. An address that was configured is wanted, and an error.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack

import structlog

from receiver import config
from receiver.admin.answers import Answers
from receiver.admin.server import AdminServer
from receiver.app.health import HealthServer
from receiver.config.model.section import Section
from receiver.core.state.settings import BuilderSettings
from receiver.errors import ConfigError, ReceiverError
from receiver.exporters.sender import Failure
from receiver.otlp.listen import bind
from receiver.pipeline.pipeline import Pipeline
from receiver.telemetry.metrics import Metrics
from receiver.telemetry.server import MetricsServer
from receiver.telemetry.state import State, state_of

_log = structlog.get_logger(__name__)


class OperatorEndpoints:
    """Those that the settings ask for. `metrics` is None where nothing is counted; `capacity` gives the bound of an
    exporter's queue, in items; `failures` tell by exporter what fails now.
    """

    def __init__(
        self,
        settings: config.Settings,
        builder: BuilderSettings,
        pipeline: Pipeline,
        metrics: Metrics | None,
        capacity: Callable[[str], int],
        failures: Mapping[str, Callable[[], Failure | None]],
    ) -> None:
        self._settings = settings
        self._pipeline = pipeline
        self._exporters = tuple(settings.graph.exporters)
        self._metrics = MetricsServer(metrics, self._look, capacity) if metrics is not None else None
        health = settings.health_check
        self._health = HealthServer(pipeline.check, health.path) if health is not None else None
        self._answers = Answers(pipeline, builder, self._exporters, failures)
        self._stack = AsyncExitStack()

    async def begin(self) -> None:
        """Note what is there before anything is received, built or sent."""
        if self._metrics is not None:
            await self._metrics.begin()

    async def start(self) -> None:
        """Open them. Raises ConfigError for a configured address that cannot be had."""
        await self._open_metrics()
        await self._open_health()
        await self._open_admin()

    async def refresh_metrics(self) -> None:
        """Bring up to date those metrics that are not counted but looked at."""
        if self._metrics is not None:
            await self._metrics.refresh()

    def stopping(self) -> None:
        """Tell whoever asks that no new request should come."""
        if self._health is not None:
            self._health.stopping()

    async def stop(self) -> None:
        """Close them."""
        await self._stack.aclose()

    async def _open_metrics(self) -> None:
        section = self._settings.service.telemetry.metrics
        if self._metrics is None:
            return
        self._stack.push_async_callback(self._metrics.stop)
        sockets = _bind("service::telemetry::metrics", "address", section)
        if sockets:
            await self._metrics.start(sockets)
            _log.info("listening", protocol="metrics", endpoint=_name(sockets))

    async def _open_health(self) -> None:
        section = self._settings.health_check
        if self._health is None or section is None:
            return
        sockets = _bind(self._key(section), "endpoint", section)
        if sockets:
            self._stack.push_async_callback(self._health.stop)
            await self._health.start(sockets)
            _log.info("listening", protocol="health", endpoint=_name(sockets))

    async def _open_admin(self) -> None:
        section = self._settings.admin
        if section is None:
            return
        sockets = _bind(self._key(section), "endpoint", section)
        if not sockets:
            return
        # gRPC binds by itself; what it would not say, that one of the addresses is taken, was found out above
        addresses = [_join(one) for one in sockets]
        for one in sockets:
            one.close()
        if section.endpoint.rpartition(":")[0] in ("", "0.0.0.0", "[::]"):  # noqa: S104 - compared with, not bound
            addresses = addresses[:1]  # gRPC makes any wildcard stand for both families
        server = AdminServer(self._answers)
        self._stack.push_async_callback(server.stop)
        await server.start(addresses)
        _log.info("listening", protocol="admin", endpoint=addresses[0])

    def _key(self, section: Section) -> str:
        names = self._settings.service.extensions
        return f"extensions::{next(name for name in names if self._settings.extensions[name] is section)}"

    async def _look(self) -> State:
        return await self._pipeline.ask(lambda _, store: state_of(store, self._exporters, time.time_ns()))


def _bind(path: str, key: str, section: Section) -> Sequence[socket.socket]:
    """The address's listening sockets; none where it is a default that is taken."""
    try:
        return bind(getattr(section, key))
    except ReceiverError as error:
        if key in section.model_fields_set:
            raise ConfigError(f"{path}::{key}: {error}") from error
        _log.warning(f"{path}::{key}: {error}; the receiver goes on without it")
        return ()


def _join(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _name(sockets: Sequence[socket.socket]) -> str:
    return _join(sockets[0])
