"""The running receiver: its parts, and the order in which they start and stop. Downstream parts start first (store,
exporters, pipeline, OTLP servers) and stop last, so that every accepted request can be processed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial

import structlog
from rich.console import Console

from receiver import __version__, config
from receiver.app import factory
from receiver.app.builder_settings import builder_settings
from receiver.app.operator_endpoints import OperatorEndpoints
from receiver.errors import ReceiverError
from receiver.exporters.sender import Sender
from receiver.model import Signal
from receiver.net.address import join_host_port, split_host_port
from receiver.otlp.grpc_server import GrpcReceiver
from receiver.otlp.http_server import HttpReceiver
from receiver.otlp.socket_dir import private_socket_dir, remove_stale_socket_dirs
from receiver.pipeline.observer import NoObserver, Observer
from receiver.pipeline.pipeline import Pipeline
from receiver.telemetry.metrics import Metrics
from receiver.telemetry.push import Push, stop_all

_log = structlog.get_logger(__name__)

STOP_GRACE = 5.0  # s that requests in progress have to finish
LAST_PUSH_TIMEOUT = 3.0  # s for the last push of the program's own metrics


class Service:
    """A receiver for one configuration."""

    def __init__(self, settings: config.Settings, console: Console, observer: Observer | None = None) -> None:
        """Open the store and make the parts. Raises ConfigError."""
        builder = builder_settings(settings.connector)
        self._settings = settings
        self._metrics = Metrics() if settings.service.telemetry.metrics.level != "none" else None
        self._exporters = {
            name: factory.exporter(name, settings.exporters[name], console, partial(self._rejected, name))
            for name in settings.graph.exporters
        }
        limits, routes = factory.limits(settings), factory.routes(settings)
        self.pipeline = Pipeline(
            factory.store(settings),
            builder,
            routes,
            limits=limits,
            observer=observer or self._metrics or NoObserver(),
        )
        if self._metrics is not None:
            for name in routes.exporters:
                self._metrics.start_exporter_counters(name, routes.signals_to(name))
        self._senders = self._make_senders()
        failures = {name: sender.failure for name, sender in self._senders.items()}
        self._operator_endpoints = OperatorEndpoints(
            settings, builder, self.pipeline, self._metrics, limits.queue, failures
        )
        self._pushes: list[Push] = []
        self._servers: list[GrpcReceiver | HttpReceiver] = []
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        """Start the parts. On an error, stops the started ones and raises ConfigError or another ReceiverError."""
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise

    async def _start(self) -> None:
        self._stack.push_async_callback(self.pipeline.close)
        self._stack.push_async_callback(self._stop_metrics)  # when everything is counted and the store is still open
        await self._operator_endpoints.count_initial()
        for exporter, sender in self._senders.items():
            self._stack.push_async_callback(sender.stop)
            with factory.under(f"exporters::{exporter}"):
                await sender.start()
        self._stack.push_async_callback(self.pipeline.stop)
        await self.pipeline.start()
        self._stack.push_async_callback(self._operator_endpoints.stop)
        await self._operator_endpoints.start()
        self._stack.push_async_callback(self._stop_servers)
        for name, receiver in self._settings.receivers.items():
            if name in self._settings.graph.receivers:
                await self._start_servers(name, receiver.protocols)
        self._push_metrics()
        for notice in self._settings.notices:
            _log.warning(notice)
        _log.info("ready", version=__version__, exporters=list(self._exporters))

    def _make_senders(self) -> dict[str, Sender]:
        senders = {}
        for name, exporter in self._exporters.items():
            section = self._settings.exporters[name]
            queue = getattr(section, "sending_queue", None) or config.SendingQueue()
            senders[name] = Sender(
                self.pipeline.sending_queue,
                exporter,
                retry=factory.retry(section),
                max_items=queue.batch.max_size,
                max_bytes=queue.batch.max_bytes,
                num_consumers=queue.num_consumers,
                observe=self._metrics.sending if self._metrics else _ignore,
            )
        return senders

    async def _start_servers(self, name: str, protocols: config.Protocols) -> None:
        transports = [one for one in ("grpc", "http") if getattr(protocols, one) is not None]
        observe = self._metrics.receiver_observer(name, transports) if self._metrics else _ignore
        refused = self._metrics.refused if self._metrics else None
        socket_dir = self._socket_dir(name, protocols)
        grpc = http = None
        if protocols.grpc is not None:
            grpc = factory.grpc_receiver(protocols.grpc, self.pipeline.accept, observe, socket_dir, refused)
            self._servers.append(grpc)
            with factory.under(f"receivers::{name}::protocols::grpc"):
                port = await grpc.start()
            _log.info("listening", protocol="grpc", endpoint=_with_port(protocols.grpc.endpoint, port))
        if protocols.http is not None:
            grpc_backend = grpc if socket_dir else None
            http = factory.http_receiver(
                protocols.http, self.pipeline.accept, observe, grpc_backend, socket_dir, refused
            )
            self._servers.append(http)
            with factory.under(f"receivers::{name}::protocols::http"):
                port = await http.start()
            _log.info("listening", protocol="http", endpoint=_with_port(protocols.http.endpoint, port))
        if socket_dir and grpc is not None and http is not None:
            await grpc.serve_shared_port(http.connection_handler())

    def _socket_dir(self, name: str, protocols: config.Protocols) -> str:
        """The directory of the private sockets of ports that take both protocols; empty if each takes only its own."""
        conflict = factory.port_conflict(protocols)
        if conflict in ("auth", "tls"):
            _log.warning(f"receivers::{name}: each port takes its own protocol only, because their {conflict} differs")
        if conflict:
            return ""
        remove_stale_socket_dirs()
        try:
            return self._stack.enter_context(private_socket_dir())
        except ReceiverError as error:
            _log.warning(f"receivers::{name}: each port takes its own protocol only: {error}")
            return ""

    def _rejected(self, exporter: str, signal: Signal, count: int, message: str) -> None:
        if self._metrics is not None:
            self._metrics.rejected(exporter, signal, count)
        event = "the backend took a batch only in part" if count else "the backend took a batch with a warning"
        _log.warning(event, exporter=exporter, signal=signal, rejected=count, message=message, limit_key=exporter)

    def _push_metrics(self) -> None:
        loop = asyncio.get_running_loop()

        def refresh() -> None:
            asyncio.run_coroutine_threadsafe(self._operator_endpoints.refresh_metrics(), loop).result()

        for number, reader in enumerate(self._settings.service.telemetry.metrics.readers):
            if self._metrics is not None and reader.periodic is not None:
                with factory.under(f"service::telemetry::metrics::readers::{number}::periodic::exporter::otlp"):
                    push = factory.push(reader.periodic, refresh)
                self._metrics.add_reader(push.reader)
                self._pushes.append(push)
                push.start()

    async def _stop_metrics(self) -> None:
        if self._metrics is not None:
            await asyncio.to_thread(stop_all, self._pushes, LAST_PUSH_TIMEOUT)
            await asyncio.to_thread(self._metrics.stop)

    async def _stop_servers(self) -> None:
        self._operator_endpoints.stopping()
        await asyncio.gather(*(server.stop(STOP_GRACE) for server in self._servers))

    async def stop(self) -> None:
        """Stop the parts. Open sessions stay in the store and continue after the next start."""
        await self._stack.aclose()
        _log.info("stopped")

    async def serve(self, until: Callable[[], asyncio.Future[None]]) -> None:
        """Run until the future that `until` returns is done. It is called before the start, so that a signal during the
        start counts."""
        stopped = until()
        await self.start()
        try:
            await stopped
        finally:
            await self.stop()


def _with_port(endpoint: str, port: int) -> str:
    return join_host_port(split_host_port(endpoint)[0], port)


def _ignore(event: str, signal: str, where: str, count: int) -> None:
    """Metrics are switched off."""
