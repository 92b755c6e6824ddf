"""What no block can know of itself: whether it fits what uses it, what it names, and the libraries that serve it."""

from __future__ import annotations

from collections.abc import Iterator

from receiver.config.model.exporters import OTLPGRPCExporter, OTLPHTTPExporter
from receiver.config.model.extensions import FileStorage
from receiver.config.model.graph import SIGNALS
from receiver.config.model.problem import Problem, suggestion
from receiver.config.model.settings import Settings

_VERSIONS = "gRPC's library decides the version itself (1.2 or later); use 1.2"


def misfits(settings: Settings) -> Iterator[Problem]:
    """All of them."""
    yield from _storages(settings)
    yield from _endpoints(settings)
    yield from _tls(settings)


def notices(settings: Settings) -> Iterator[str]:
    """What works, and is hardly meant."""
    if settings.graph.connector is None:
        yield (
            "service::pipelines: no pipeline has the connector, so no trace is built; name agenttrace among the "
            "exporters of logs, metrics and traces/in, and as the receiver of traces"
        )


def _storages(settings: Settings) -> Iterator[Problem]:
    """Queues lie in the one store, so that is all that they can name."""
    stores = [name for name, one in settings.extensions.items() if isinstance(one, FileStorage)]
    for name, exporter in settings.exporters.items():
        if isinstance(exporter, OTLPGRPCExporter | OTLPHTTPExporter):
            named = exporter.sending_queue.storage
            if named is not None and named not in stores:
                text = f'references extension "{named}" which is no store here; {suggestion(named, stores)}'
                yield Problem(("exporters", name, "sending_queue", "storage"), text)


def _endpoints(settings: Settings) -> Iterator[Problem]:
    """Where an OTLP/HTTP exporter is used for a signal, it has to have a URL for it."""
    for name in settings.graph.exporters:
        exporter = settings.exporters[name]
        if not isinstance(exporter, OTLPHTTPExporter):
            continue
        for signal in SIGNALS:
            used = name in settings.graph.inputs[signal].exporters or (
                signal == "traces" and name in settings.graph.built
            )
            if used and exporter.url(signal) is None:
                text = f"is used for {signal} and has no URL for them; set endpoint or {signal}_endpoint"
                yield Problem(("exporters", name), text)


def _tls(settings: Settings) -> Iterator[Problem]:
    """What gRPC's library for Python cannot do."""
    for name, receiver in settings.receivers.items():
        grpc = receiver.protocols.grpc
        if grpc is not None and grpc.tls is not None and grpc.tls.min_version != "1.2":
            yield Problem(("receivers", name, "protocols", "grpc", "tls", "min_version"), _VERSIONS)
    for name, exporter in settings.exporters.items():
        if not isinstance(exporter, OTLPGRPCExporter) or exporter.plaintext:
            continue
        if exporter.tls.min_version != "1.2":
            yield Problem(("exporters", name, "tls", "min_version"), _VERSIONS)
        if exporter.tls.insecure_skip_verify:
            text = "gRPC's library always verifies; set ca_file to the server's certificate, or insecure for no TLS"
            yield Problem(("exporters", name, "tls", "insecure_skip_verify"), text)
