"""Makes each part of the receiver from its section of the configuration. Starts nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr
from rich.console import Console

from receiver import config
from receiver.core.state.settings import SECOND
from receiver.errors import ConfigError, ReceiverError
from receiver.exporters.debug import DebugExporter
from receiver.exporters.file import FileExporter
from receiver.exporters.otlp_grpc import ChannelSettings, ClientKeepalive, GrpcExporter
from receiver.exporters.otlp_http import HttpExporter
from receiver.exporters.sender import Exporter, RetryOnFailure
from receiver.model import Request, Signal
from receiver.net.tls import TLSSettings
from receiver.otlp.auth import BasicAuth, BearerAuth
from receiver.otlp.cors import CORSPolicy
from receiver.otlp.grpc_server import GrpcReceiver, Keepalive
from receiver.otlp.http_server import GrpcBackend, HttpReceiver
from receiver.otlp.request_handler import OnRefused
from receiver.pipeline.pipeline import Limits
from receiver.pipeline.routing import Routes
from receiver.storage.sqlite_store import SQLiteStore
from receiver.telemetry.push import Push, PushTo

Accept = Callable[[Request], Awaitable[None]]
Observe = Callable[[str, str, str, int], None]
OnRejected = Callable[[Signal, int, str], None]


def routes(settings: config.Settings) -> Routes:
    """Which exporters each signal goes to."""
    inputs = settings.graph.inputs
    return Routes(
        traces=settings.graph.built,
        untouched={signal: route.exporters for signal, route in inputs.items() if route.exporters},
        connector=frozenset(signal for signal, route in inputs.items() if route.connector),
        adopt_spans=settings.connector.adopt_spans,
    )


def limits(settings: config.Settings) -> Limits:
    """The bounds of the pipeline."""
    queues = {
        name: exporter.sending_queue.queue_size
        for name, exporter in settings.exporters.items()
        if isinstance(exporter, config.OTLPGRPCExporter | config.OTLPHTTPExporter)
    }
    return Limits(retention=settings.storage.retention, queues=queues)


def store(settings: config.Settings) -> SQLiteStore:
    """The store, opened. Raises ConfigError."""
    section = settings.storage
    directory = Path(section.directory).expanduser()
    return SQLiteStore(
        directory, fsync=section.fsync, create=section.create_directory, max_size=section.max_size_mib << 20
    )


def exporter(name: str, section: config.Exporter, console: Console, on_rejected: OnRejected) -> Exporter:
    """One exporter. Raises ConfigError with the key path."""
    with under(f"exporters::{name}"):
        return _exporter(name, section, console, on_rejected)


@contextmanager
def under(path: str) -> Iterator[None]:
    """Puts the path of a section before the errors of its part, which knows only its own keys."""
    try:
        yield
    except ConfigError as error:
        path += "::"
        raise ConfigError(path + str(error).removeprefix(path)) from error
    except ReceiverError as error:
        raise ReceiverError(f"{path}: {error}") from error


def _exporter(name: str, section: config.Exporter, console: Console, on_rejected: OnRejected) -> Exporter:
    if isinstance(section, config.DebugExporter):
        return DebugExporter(name, console, verbosity=section.verbosity)
    if isinstance(section, config.FileExporter):
        return FileExporter(name, Path(section.path).expanduser(), format=section.format)
    if isinstance(section, config.OTLPGRPCExporter):
        return GrpcExporter(
            name,
            section.endpoint,
            tls=_client_tls(section.tls),
            headers=_headers(section.headers),
            compression=section.compression,
            timeout=section.timeout / SECOND,
            wait_for_ready=section.wait_for_ready,
            channel=_channel(section),
            on_rejected=on_rejected,
        )
    return HttpExporter(
        name,
        section.endpoint or "",
        traces_endpoint=section.traces_endpoint or "",
        metrics_endpoint=section.metrics_endpoint or "",
        logs_endpoint=section.logs_endpoint or "",
        encoding=section.encoding,
        compression=section.compression,
        headers=_headers(section.headers),
        timeout=section.timeout / SECOND,
        proxy_url=section.proxy_url or "",
        tls=_client_tls(section.tls),
        on_rejected=on_rejected,
    )


def _channel(section: config.OTLPGRPCExporter) -> ChannelSettings:
    ping = section.keepalive
    return ChannelSettings(
        balancer_name=section.balancer_name,
        authority=section.authority or "",
        user_agent=section.user_agent or "",
        keepalive=ClientKeepalive(ping.time / SECOND, ping.timeout / SECOND, ping.permit_without_stream)
        if ping
        else None,
    )


def retry(section: config.Exporter) -> RetryOnFailure:
    """An exporter's retry settings; defaults for those without a network."""
    if not isinstance(section, config.OTLPGRPCExporter | config.OTLPHTTPExporter):
        return RetryOnFailure()
    configured = section.retry_on_failure
    return RetryOnFailure(
        enabled=configured.enabled,
        initial_interval=configured.initial_interval / SECOND,
        max_interval=configured.max_interval / SECOND,
        multiplier=configured.multiplier,
        randomization_factor=configured.randomization_factor,
        max_elapsed_time=configured.max_elapsed_time / SECOND,
    )


def port_conflict(protocols: config.Protocols) -> str:
    """The key that prevents gRPC and HTTP on one port, since it differs between them; empty if they can share ports."""
    grpc, http = protocols.grpc, protocols.http
    if grpc is None or http is None:
        return "protocols"
    return next((key for key in ("auth", "tls") if getattr(grpc, key) != getattr(http, key)), "")


def grpc_receiver(
    section: config.GRPCServer,
    accept: Accept,
    observe: Observe,
    socket_dir: str = "",
    on_refused: OnRefused | None = None,
) -> GrpcReceiver:
    """The OTLP/gRPC server. With a `socket_dir` for private sockets, its port also takes HTTP."""
    keepalive = section.keepalive
    return GrpcReceiver(
        accept,
        endpoint=section.endpoint,
        observe=observe,
        max_recv_msg_size=section.max_recv_msg_size_mib << 20,
        max_concurrent_streams=section.max_concurrent_streams,
        keepalive=Keepalive(
            max_connection_idle=_seconds(keepalive.server_parameters.max_connection_idle),
            max_connection_age=_seconds(keepalive.server_parameters.max_connection_age),
            max_connection_age_grace=_seconds(keepalive.server_parameters.max_connection_age_grace),
            time=_seconds(keepalive.server_parameters.time),
            timeout=_seconds(keepalive.server_parameters.timeout),
            min_time=_seconds(keepalive.enforcement_policy.min_time),
            permit_without_stream=keepalive.enforcement_policy.permit_without_stream,
        ),
        auth=_auth(section.auth),
        tls=_server_tls(section.tls),
        socket_dir=socket_dir,
        on_refused=on_refused,
    )


def _seconds(duration: int) -> float | None:
    """Seconds; None for 0, which means never in a Collector's configuration."""
    return duration / SECOND or None


def http_receiver(
    section: config.HTTPServer,
    accept: Accept,
    observe: Observe,
    grpc: GrpcReceiver | None = None,
    socket_dir: str = "",
    on_refused: OnRefused | None = None,
) -> HttpReceiver:
    """The OTLP/HTTP server. It passes gRPC connections to `grpc`, which has the same auth and TLS settings."""
    auth, tls = _auth(section.auth), _server_tls(section.tls)
    backend = GrpcBackend(grpc.address, auth, tls) if grpc is not None else None
    return HttpReceiver(
        accept,
        endpoint=section.endpoint,
        observe=observe,
        max_request_body_size=section.max_request_body_size,
        compression_algorithms=section.compression_algorithms,
        auth=auth,
        tls=tls,
        paths={
            section.logs_url_path: "logs",
            section.metrics_url_path: "metrics",
            section.traces_url_path: "traces",
        },
        cors=_cors(section.cors),
        grpc=backend,
        unix_endpoint=f"unix:{socket_dir}/http" if socket_dir else "",
        on_refused=on_refused,
    )


def _cors(section: config.CORS | None) -> CORSPolicy | None:
    if section is None:
        return None
    return CORSPolicy(section.allowed_origins, section.allowed_headers, section.exposed_headers, section.max_age)


def push(reader: config.Periodic, refresh: Callable[[], None]) -> Push:
    """The push of the program's own metrics. Raises ConfigError."""
    otlp = reader.exporter.otlp
    grpc = otlp.protocol == "grpc"
    return Push(
        PushTo(
            otlp.target,
            grpc=grpc,
            interval=reader.interval,
            timeout=min(otlp.timeout, reader.timeout),
            plaintext=grpc and otlp.plaintext,
            headers=_headers(otlp.headers),
        ),
        refresh,
    )


def _auth(section: config.ServerAuth | None) -> BearerAuth | BasicAuth | None:
    if section is None:
        return None
    if section.bearer_token is not None:
        return BearerAuth((section.bearer_token.get_secret_value(),))
    assert section.basic is not None
    return BasicAuth(((section.basic.username, section.basic.password.get_secret_value()),))


def _server_tls(section: config.TLSServer | None) -> TLSSettings | None:
    if section is None:
        return None
    return TLSSettings(
        cert_file=section.cert_file,
        key_file=section.key_file,
        client_ca_file=section.client_ca_file or "",
        min_version=section.min_version,
    )


def _client_tls(section: config.TLSClient) -> TLSSettings:
    return TLSSettings(
        ca_file=section.ca_file or "",
        cert_file=section.cert_file or "",
        key_file=section.key_file or "",
        min_version=section.min_version,
        insecure=section.insecure,
        insecure_skip_verify=section.insecure_skip_verify,
        server_name_override=section.server_name_override or "",
    )


def _headers(section: Mapping[str, SecretStr]) -> dict[str, str]:
    return {name: value.get_secret_value() for name, value in section.items()}
