"""Checks addresses against one another: ports used twice, exporters that send to this receiver, open endpoints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from receiver.config.model.exporters import OTLPGRPCExporter, OTLPHTTPExporter
from receiver.config.model.graph import SIGNALS
from receiver.config.model.problem import Path, Problem
from receiver.config.model.settings import Settings
from receiver.net.address import is_loopback, is_wildcard, join_host_port, split_host_port, split_url

_LOCALHOST = {"localhost", "127.0.0.1", "::1"}  # the name and what it resolves to


@dataclass(frozen=True, slots=True)
class Listener:
    """An address to listen on. `guarded`: by TLS or credentials. `private`: what it receives or shows is not public."""

    path: Path
    endpoint: str
    guarded: bool = False
    private: bool = True

    @property
    def host(self) -> str:
        """The host, without brackets; empty for all addresses."""
        return split_host_port(self.endpoint)[0].lower()

    @property
    def port(self) -> int:
        """The port; 0 for any free one."""
        return split_host_port(self.endpoint)[1]


def receivers(settings: Settings) -> Iterator[Listener]:
    """The endpoints of the receivers in use."""
    for name in settings.graph.receivers:
        protocols = settings.receivers[name].protocols
        for protocol, server in (("grpc", protocols.grpc), ("http", protocols.http)):
            if server is not None:
                guarded = server.tls is not None or server.auth is not None
                yield Listener(("receivers", name, "protocols", protocol, "endpoint"), server.endpoint, guarded)


def _all(settings: Settings) -> Iterator[Listener]:
    yield from receivers(settings)
    for name in dict.fromkeys(settings.service.extensions):
        extension = settings.extensions[name]
        if extension is settings.health_check:
            yield Listener(("extensions", name, "endpoint"), extension.endpoint, private=False)
        if extension is settings.admin:
            yield Listener(("extensions", name, "endpoint"), extension.endpoint)
    metrics = settings.service.telemetry.metrics
    if metrics.level != "none":
        yield Listener(("service", "telemetry", "metrics", "address"), metrics.address, private=False)


def collisions(settings: Settings) -> Iterator[Problem]:
    """Endpoints that cannot both be opened."""
    seen: list[Listener] = []
    for listener in _all(settings):
        other = next((one for one in seen if _same(one, listener)), None)
        if other is not None:
            text = f"{listener.endpoint} is taken by {'::'.join(other.path)}; choose another port"
            yield Problem(listener.path, text)
        seen.append(listener)


def loops(settings: Settings) -> Iterator[Problem]:
    """Exporters in use that send to this program's own receiver: their spans would come in again."""
    own = list(receivers(settings))
    for name in settings.graph.exporters:
        for key, host, port in _destinations(settings, name):
            path = ("exporters", name, key)
            if any(_reaches(host, port, listener) for listener in own):
                yield Problem(
                    path, f"{join_host_port(host, port)} is this program's own receiver; set the backend's address"
                )


def notices(settings: Settings) -> Iterator[str]:
    """Warnings about endpoints that are open to the network without TLS or credentials, which is allowed."""
    for one in _all(settings):
        if one.private and not one.guarded and not is_loopback(one.host):
            of_extension = one.path[0] == "extensions"
            remedy = "keep it on localhost" if of_extension else "set tls or auth, or keep it on localhost"
            yield f"{'::'.join(one.path)}: {one.endpoint} is open to the network without TLS or credentials; {remedy}"


def pushed_to_itself(settings: Settings) -> Iterator[str]:
    """Warnings about metric readers that push the program's metrics to its own receiver, which is harmless."""
    own = list(receivers(settings))
    metrics = settings.service.telemetry.metrics
    for number, reader in enumerate(metrics.readers if metrics.level != "none" else ()):
        if reader.periodic is None:
            continue
        otlp = reader.periodic.exporter.otlp
        host, port = _host_and_port(otlp.target if otlp.protocol != "grpc" else f"//{otlp.target}")
        if any(_reaches(host, port, listener) for listener in own):
            path = f"service::telemetry::metrics::readers::{number}::periodic::exporter::otlp::endpoint"
            address = join_host_port(host, port)
            yield f"{path}: {address} is this program's own receiver, where its own metrics are unknown records"


def _destinations(settings: Settings, name: str) -> Iterator[tuple[str, str, int]]:
    exporter = settings.exporters[name]
    if isinstance(exporter, OTLPGRPCExporter):
        try:
            host, port = split_host_port(exporter.target)
        except ValueError:  # a name that gRPC resolves itself, such as dns:///host:4317
            return
        yield "endpoint", host.lower(), port
    if isinstance(exporter, OTLPHTTPExporter):
        for signal in SIGNALS:
            url = exporter.url(signal)
            if url is not None:
                key = f"{signal}_endpoint" if getattr(exporter, f"{signal}_endpoint") else "endpoint"
                yield key, *_host_and_port(url)


def _host_and_port(url: str) -> tuple[str, int]:
    parts = split_url(url)
    return (parts.hostname or "").lower(), parts.port or {"http": 80}.get(parts.scheme, 443)


def _same(one: Listener, other: Listener) -> bool:
    return one.port == other.port != 0 and _hosts_overlap(one.host, other.host)


def _reaches(host: str, port: int, listener: Listener) -> bool:
    return port == listener.port and (host == listener.host or (_is_local(host) and _is_local(listener.host)))


def _is_local(host: str) -> bool:
    return host in _LOCALHOST or is_wildcard(host)


def _hosts_overlap(host: str, other: str) -> bool:
    if host == other or is_wildcard(host) or is_wildcard(other):
        return True
    return "localhost" in (host, other) and {host, other} <= _LOCALHOST
