"""Checks addresses against one another: ports used twice, exporters that send to this receiver, open endpoints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from receiver.config.model.exporters import OTLPGRPCExporter, OTLPHTTPExporter
from receiver.config.model.graph import SIGNALS
from receiver.config.model.problem import Path, Problem
from receiver.config.model.settings import Settings

_LOOPBACK = {"localhost", "127.0.0.1", "[::1]"}
_ALL_ADDRESSES = {"", "0.0.0.0", "[::]"}  # noqa: S104 - only compared, never bound


@dataclass(frozen=True, slots=True)
class Listener:
    """An address to listen on. `guarded`: by TLS or credentials. `private`: what it receives or shows is not public."""

    path: Path
    endpoint: str
    guarded: bool = False
    private: bool = True

    @property
    def host(self) -> str:
        """The host; empty for all addresses."""
        return self.endpoint.rpartition(":")[0].lower()

    @property
    def port(self) -> str:
        """The port."""
        return self.endpoint.rpartition(":")[2]


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
                yield Problem(path, f"{host}:{port} is this program's own receiver; set the backend's address")


def notices(settings: Settings) -> Iterator[str]:
    """Warnings about endpoints that are open to the network without TLS or credentials, which is allowed."""
    for one in _all(settings):
        local = one.host in _LOOPBACK or one.host.startswith("127.")
        if one.private and not one.guarded and not local:
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
            yield f"{path}: {host}:{port} is this program's own receiver, where its own metrics are unknown records"


def _destinations(settings: Settings, name: str) -> Iterator[tuple[str, str, str]]:
    exporter = settings.exporters[name]
    if isinstance(exporter, OTLPGRPCExporter):
        host, _, port = exporter.target.rpartition(":")
        yield "endpoint", host.lower(), port
    if isinstance(exporter, OTLPHTTPExporter):
        for signal in SIGNALS:
            url = exporter.url(signal)
            if url is not None:
                key = f"{signal}_endpoint" if getattr(exporter, f"{signal}_endpoint") else "endpoint"
                yield key, *_host_and_port(url)


def _host_and_port(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    return f"[{host}]" if ":" in host else host, str(parts.port or {"http": 80}.get(parts.scheme, 443))


def _same(one: Listener, other: Listener) -> bool:
    return one.port == other.port != "0" and _hosts_overlap(one.host, other.host)


def _reaches(host: str, port: str, listener: Listener) -> bool:
    local = host in _LOOPBACK or host in _ALL_ADDRESSES
    return port == listener.port and (host == listener.host or (local and listener.host in _LOOPBACK | _ALL_ADDRESSES))


def _hosts_overlap(host: str, other: str) -> bool:
    if host == other or host in _ALL_ADDRESSES or other in _ALL_ADDRESSES:
        return True
    return "localhost" in (host, other) and {host, other} <= _LOOPBACK
