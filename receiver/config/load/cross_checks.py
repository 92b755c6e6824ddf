"""Checks blocks against one another: queues against stores, exporters against pipelines, TLS against gRPC's library."""

from __future__ import annotations

from collections.abc import Iterator

from receiver.config.model.exporters import OTLPGRPCExporter, OTLPHTTPExporter
from receiver.config.model.extensions import FileStorage
from receiver.config.model.graph import SIGNALS
from receiver.config.model.problem import Problem, suggestion
from receiver.config.model.settings import Settings

_TLS_VERSION = "gRPC's library chooses the TLS version itself (1.2 or later); set 1.2"


def problems(settings: Settings) -> Iterator[Problem]:
    """The errors of all cross checks."""
    yield from _storages(settings)
    yield from _endpoints(settings)
    yield from _tls(settings)


def notices(settings: Settings) -> Iterator[str]:
    """Warnings about settings that work and are probably a mistake."""
    if settings.graph.connector is None:
        yield (
            "service::pipelines: no pipeline has the connector, so no trace is built; name agenttrace among the "
            "exporters of logs, metrics and traces/in, and as the receiver of traces"
        )


def _storages(settings: Settings) -> Iterator[Problem]:
    """A queue's `storage` can only be the one file_storage extension."""
    stores = [name for name, one in settings.extensions.items() if isinstance(one, FileStorage)]
    for name, exporter in settings.exporters.items():
        if isinstance(exporter, OTLPGRPCExporter | OTLPHTTPExporter):
            named = exporter.sending_queue.storage
            if named is not None and named not in stores:
                text = f'references extension "{named}" which is not a file_storage; {suggestion(named, stores)}'
                yield Problem(("exporters", name, "sending_queue", "storage"), text)


def _endpoints(settings: Settings) -> Iterator[Problem]:
    """An OTLP/HTTP exporter needs a URL for each signal that a pipeline sends to it."""
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
    """TLS settings that gRPC's library for Python does not support."""
    for name, receiver in settings.receivers.items():
        grpc = receiver.protocols.grpc
        if grpc is not None and grpc.tls is not None and grpc.tls.min_version != "1.2":
            yield Problem(("receivers", name, "protocols", "grpc", "tls", "min_version"), _TLS_VERSION)
    for name, exporter in settings.exporters.items():
        if not isinstance(exporter, OTLPGRPCExporter) or exporter.plaintext:
            continue
        if exporter.tls.min_version != "1.2":
            yield Problem(("exporters", name, "tls", "min_version"), _TLS_VERSION)
        if exporter.tls.insecure_skip_verify:
            text = "gRPC's library always verifies; set ca_file to the server's certificate, or insecure for no TLS"
            yield Problem(("exporters", name, "tls", "insecure_skip_verify"), text)
