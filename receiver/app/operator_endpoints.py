"""The endpoints for operators: metrics, health and the admin service.

A Collector on the same machine listens on 8888 and 13133 too. If a default address is taken, the receiver logs a
warning and works without the endpoint; if a configured address is taken, that is an error.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack

import structlog

from receiver import config
from receiver.admin.server import AdminServer
from receiver.admin.servicer import AdminServicer
from receiver.app.health import HealthServer
from receiver.config.model.section import Section
from receiver.core.state.settings import BuilderSettings
from receiver.errors import ConfigError, ReceiverError
from receiver.exporters.sender import Failure
from receiver.net.address import join_host_port
from receiver.otlp.listen import bind, release_for_grpc
from receiver.pipeline.pipeline import Pipeline
from receiver.telemetry.metrics import Metrics
from receiver.telemetry.server import MetricsServer
from receiver.telemetry.state import State, read_state

_log = structlog.get_logger(__name__)


class OperatorEndpoints:
    """The endpoints that the settings ask for. `metrics` is None if they are switched off; `capacity` gives the bound
    of an exporter's queue, in items; `failures` give the present failure of each exporter.
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
        self._metrics = MetricsServer(metrics, self._read_state, capacity) if metrics is not None else None
        health = settings.health_check
        self._health = HealthServer(pipeline.check, health.path) if health is not None else None
        self._servicer = AdminServicer(pipeline, builder, self._exporters, failures)
        self._stack = AsyncExitStack()

    async def count_initial(self) -> None:
        """Set the metrics of the initial contents of the store. Call it before anything is received, built or sent."""
        if self._metrics is not None:
            await self._metrics.count_initial()

    async def start(self) -> None:
        """Start serving. Raises ConfigError for a configured address that cannot be bound."""
        await self._start_metrics()
        await self._start_health()
        await self._start_admin()

    async def refresh_metrics(self) -> None:
        """Update the gauges."""
        if self._metrics is not None:
            await self._metrics.refresh()

    def stopping(self) -> None:
        """Report over health that the receiver stops."""
        if self._health is not None:
            self._health.stopping()

    async def stop(self) -> None:
        """Stop serving."""
        await self._stack.aclose()

    async def _start_metrics(self) -> None:
        section = self._settings.service.telemetry.metrics
        if self._metrics is None:
            return
        self._stack.push_async_callback(self._metrics.stop)
        sockets = _bind("service::telemetry::metrics", "address", section)
        if sockets:
            await self._metrics.start(sockets)
            _log.info("listening", protocol="metrics", endpoint=_address(sockets[0]))

    async def _start_health(self) -> None:
        section = self._settings.health_check
        if self._health is None or section is None:
            return
        sockets = _bind(self._key(section), "endpoint", section)
        if sockets:
            self._stack.push_async_callback(self._health.stop)
            await self._health.start(sockets)
            _log.info("listening", protocol="health", endpoint=_address(sockets[0]))

    async def _start_admin(self) -> None:
        section = self._settings.admin
        if section is None:
            return
        sockets = _bind(self._key(section), "endpoint", section)
        if not sockets:
            return
        addresses = release_for_grpc(sockets)
        server = AdminServer(self._servicer)
        self._stack.push_async_callback(server.stop)
        await server.start(addresses)
        _log.info("listening", protocol="admin", endpoint=addresses[0])

    def _key(self, section: Section) -> str:
        names = self._settings.service.extensions
        return f"extensions::{next(name for name in names if self._settings.extensions[name] is section)}"

    async def _read_state(self) -> State:
        return await self._pipeline.ask(lambda _, store: read_state(store, self._exporters, time.time_ns()))


def _bind(path: str, key: str, section: Section) -> Sequence[socket.socket]:
    """The listening sockets of an address; none if it is a default and cannot be bound."""
    try:
        return bind(getattr(section, key))
    except ReceiverError as error:
        if key in section.model_fields_set:
            raise ConfigError(f"{path}::{key}: {error}") from error
        _log.warning(f"{path}::{key}: {error}; the receiver works without it")
        return ()


def _address(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return join_host_port(host, port)
