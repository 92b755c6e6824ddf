"""A running receiver: its parts and their order. Downstream first when starting (store, exporters, pipeline, doors),
upstream first when stopping, so that nothing is accepted that has nowhere to go.
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
from receiver.app.operator_endpoints import OperatorEndpoints
from receiver.errors import ReceiverError
from receiver.exporters.sender import Sender
from receiver.model import Signal
from receiver.otlp.grpc_server import GrpcReceiver
from receiver.otlp.http_server import HttpReceiver
from receiver.otlp.socket_dir import private_socket_dir, remove_stale_socket_dirs
from receiver.pipeline.observer import NoObserver, Observer
from receiver.pipeline.pipeline import Pipeline
from receiver.telemetry.metrics import Metrics
from receiver.telemetry.push import Push, stop_all

_log = structlog.get_logger(__name__)

GRACE = 5.0  # s that requests under way have to finish
LAST_PUSH = 3.0  # s that the program's own metrics have to go out at the end


class Service:
    """Everything that one configuration asks for."""

    def __init__(self, settings: config.Settings, console: Console, observer: Observer | None = None) -> None:
        """Open the store and make the parts. Raises ConfigError."""
        builder = factory.builder_settings(settings.connector)
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
                self._metrics.at_exporter(name, routes.signals_to(name))
        self._senders = self._made_senders()
        failures = {name: sender.failure for name, sender in self._senders.items()}
        self._side_doors = OperatorEndpoints(settings, builder, self.pipeline, self._metrics, limits.queue, failures)
        self._pushes: list[Push] = []
        self._doors: list[GrpcReceiver | HttpReceiver] = []
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        """Start the parts. Raises ConfigError or another ReceiverError, with what was started stopped again."""
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise

    async def _start(self) -> None:
        self._stack.push_async_callback(self.pipeline.close)
        self._stack.push_async_callback(self._stop_metrics)  # when all is counted, and the store can still be asked
        await self._side_doors.begin()
        for exporter, sender in self._senders.items():
            self._stack.push_async_callback(sender.stop)
            with factory.under(f"exporters::{exporter}"):
                await sender.start()
        self._stack.push_async_callback(self.pipeline.stop)
        await self.pipeline.start()
        self._stack.push_async_callback(self._side_doors.stop)
        await self._side_doors.start()
        self._stack.push_async_callback(self._close_doors)
        for name, receiver in self._settings.receivers.items():
            if name in self._settings.graph.receivers:
                await self._open_doors(name, receiver.protocols)
        self._push_metrics()
        for notice in self._settings.notices:
            _log.warning(notice)
        _log.info("ready", version=__version__, exporters=list(self._exporters))

    def _made_senders(self) -> dict[str, Sender]:
        senders = {}
        for name, exporter in self._exporters.items():
            section = self._settings.exporters[name]
            queue = getattr(section, "sending_queue", None) or config.SendingQueue()
            senders[name] = Sender(
                self.pipeline.outbox,
                exporter,
                retry=factory.retry(section),
                max_items=queue.batch.max_size,
                max_bytes=queue.batch.max_bytes,
                num_consumers=queue.num_consumers,
                observe=self._metrics.sending if self._metrics else _ignore,
            )
        return senders

    async def _open_doors(self, name: str, protocols: config.Protocols) -> None:
        transports = [one for one in ("grpc", "http") if getattr(protocols, one) is not None]
        observe = self._metrics.at_door(name, transports) if self._metrics else _ignore
        refused = self._metrics.refused if self._metrics else None
        folder = self._folder(name, protocols)
        grpc = http = None
        if protocols.grpc is not None:
            grpc = factory.grpc_receiver(protocols.grpc, self.pipeline.accept, observe, folder, refused)
            self._doors.append(grpc)
            with factory.under(f"receivers::{name}::protocols::grpc"):
                port = await grpc.start()
            _log.info("listening", protocol="grpc", endpoint=_with_port(protocols.grpc.endpoint, port))
        if protocols.http is not None:
            behind = grpc if folder else None
            http = factory.http_receiver(protocols.http, self.pipeline.accept, observe, behind, folder, refused)
            self._doors.append(http)
            with factory.under(f"receivers::{name}::protocols::http"):
                port = await http.start()
            _log.info("listening", protocol="http", endpoint=_with_port(protocols.http.endpoint, port))
        if folder and grpc is not None and http is not None:
            await grpc.serve_shared_port(http.connection_handler())

    def _folder(self, name: str, protocols: config.Protocols) -> str:
        """A private folder for the sockets behind ports that take either protocol; empty where each takes its own."""
        apart = factory.apart(protocols)
        if apart in ("auth", "tls"):
            _log.warning(f"receivers::{name}: each port takes its own protocol only, since their {apart} differs")
        if apart:
            return ""
        remove_stale_socket_dirs()
        try:
            return self._stack.enter_context(private_socket_dir())
        except ReceiverError as error:
            _log.warning(f"receivers::{name}: each port takes its own protocol only, since {error}")
            return ""

    def _rejected(self, exporter: str, signal: Signal, count: int, message: str) -> None:
        if self._metrics is not None:
            self._metrics.rejected(exporter, signal, count)
        what = "the backend took a batch only in part" if count else "the backend took a batch with a remark"
        _log.warning(what, exporter=exporter, signal=signal, rejected=count, message=message, limit_key=exporter)

    def _push_metrics(self) -> None:
        loop = asyncio.get_running_loop()

        def refresh() -> None:
            asyncio.run_coroutine_threadsafe(self._side_doors.refresh_metrics(), loop).result()

        for number, reader in enumerate(self._settings.service.telemetry.metrics.readers):
            if self._metrics is not None and reader.periodic is not None:
                with factory.under(f"service::telemetry::metrics::readers::{number}::periodic::exporter::otlp"):
                    push = factory.push(reader.periodic, refresh)
                self._metrics.read_by(push.reader)
                self._pushes.append(push)
                push.start()

    async def _stop_metrics(self) -> None:
        if self._metrics is not None:
            await asyncio.to_thread(stop_all, self._pushes, LAST_PUSH)
            await asyncio.to_thread(self._metrics.stop)

    async def _close_doors(self) -> None:
        self._side_doors.stopping()
        await asyncio.gather(*(door.stop(GRACE) for door in self._doors))

    async def stop(self) -> None:
        """Stop the parts. Open sessions stay in the store, and go on when the receiver is back."""
        await self._stack.aclose()
        _log.info("stopped")

    async def serve(self, until: Callable[[], asyncio.Future[None]]) -> None:
        """Run until the future is done. It is asked for first: a signal that comes during the start is heard."""
        asked = until()
        await self.start()
        try:
            await asked
        finally:
            await self.stop()


def _with_port(endpoint: str, port: int) -> str:
    return f"{endpoint.rpartition(':')[0]}:{port}"


def _ignore(event: str, signal: str, where: str, count: int) -> None:
    """Nobody counts."""
