"""A configuration's addresses against one another: doors that collide, exporters that lead back in, open doors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from receiver.config.model.exporters import OTLPGRPCExporter, OTLPHTTPExporter
from receiver.config.model.graph import SIGNALS
from receiver.config.model.problem import Path, Problem
from receiver.config.model.settings import Settings

_LOOPBACK = {"localhost", "127.0.0.1", "[::1]"}
_EVERY = {"", "0.0.0.0", "[::]"}  # noqa: S104 - compared with, not bound


@dataclass(frozen=True, slots=True)
class Door:
    """An address that is listened on; `guarded` by TLS or credentials."""

    path: Path
    endpoint: str
    guarded: bool = False
    private: bool = True  # what it takes or gives is not for everybody

    @property
    def host(self) -> str:
        """Its host, empty for every address."""
        return self.endpoint.rpartition(":")[0].lower()

    @property
    def port(self) -> str:
        """Its port."""
        return self.endpoint.rpartition(":")[2]


def receiving(settings: Settings) -> Iterator[Door]:
    """The doors of the receivers in use."""
    for name in settings.graph.receivers:
        protocols = settings.receivers[name].protocols
        for protocol, server in (("grpc", protocols.grpc), ("http", protocols.http)):
            if server is not None:
                guarded = server.tls is not None or server.auth is not None
                yield Door(("receivers", name, "protocols", protocol, "endpoint"), server.endpoint, guarded)


def _all(settings: Settings) -> Iterator[Door]:
    yield from receiving(settings)
    for name in dict.fromkeys(settings.service.extensions):
        extension = settings.extensions[name]
        if extension is settings.health_check:
            yield Door(("extensions", name, "endpoint"), extension.endpoint, private=False)
        if extension is settings.admin:
            yield Door(("extensions", name, "endpoint"), extension.endpoint)
    metrics = settings.service.telemetry.metrics
    if metrics.level != "none":
        yield Door(("service", "telemetry", "metrics", "address"), metrics.address, private=False)


def collisions(settings: Settings) -> Iterator[Problem]:
    """Doors that could not both be opened."""
    seen: list[Door] = []
    for door in _all(settings):
        other = next((one for one in seen if _same(one, door)), None)
        if other is not None:
            yield Problem(door.path, f"{door.endpoint} is taken by {'::'.join(other.path)}; choose another port")
        seen.append(door)


def loops(settings: Settings) -> Iterator[Problem]:
    """Exporters in use whose endpoint is one of this program's own doors: what they send would come in again."""
    doors = list(receiving(settings))
    for name in settings.graph.exporters:
        for key, host, port in _destinations(settings, name):
            path = ("exporters", name, key)
            if any(_reaches(host, port, door) for door in doors):
                yield Problem(path, f"{host}:{port} is this program's own receiver; set the backend's address")


def notices(settings: Settings) -> Iterator[str]:
    """Doors that are open to the network without TLS or credentials. Allowed, and told once."""
    for door in _all(settings):
        if door.private and not door.guarded and door.host not in _LOOPBACK and not door.host.startswith("127."):
            remedy = (
                "keep it on localhost" if door.path[0] == "extensions" else "set tls or auth, or keep it on localhost"
            )
            yield f"{'::'.join(door.path)}: {door.endpoint} is open to the network without TLS or credentials; {remedy}"


def pushed_to_itself(settings: Settings) -> Iterator[str]:
    """Readers of the program's own metrics that push them to its own door. Harmless, and hardly meant."""
    doors = list(receiving(settings))
    metrics = settings.service.telemetry.metrics
    for number, reader in enumerate(metrics.readers if metrics.level != "none" else ()):
        if reader.periodic is None:
            continue
        otlp = reader.periodic.exporter.otlp
        host, port = _host_and_port(otlp.target if otlp.protocol != "grpc" else f"//{otlp.target}")
        if any(_reaches(host, port, door) for door in doors):
            path = f"service::telemetry::metrics::readers::{number}::periodic::exporter::otlp::endpoint"
            yield f"{path}: {host}:{port} is this program's own receiver, to which its own metrics are unknown records"


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


def _same(one: Door, other: Door) -> bool:
    return one.port == other.port != "0" and _meet(one.host, other.host)


def _reaches(host: str, port: str, door: Door) -> bool:
    local = host in _LOOPBACK or host in _EVERY
    return port == door.port and (host == door.host or (local and door.host in _LOOPBACK | _EVERY))


def _meet(host: str, other: str) -> bool:
    if host == other or host in _EVERY or other in _EVERY:
        return True
    return "localhost" in (host, other) and {host, other} <= _LOOPBACK
