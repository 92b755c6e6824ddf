"""The table of components, and their ids: `type` or `type/name`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from receiver.config.model.connector import AgentTrace
from receiver.config.model.exporters import DebugExporter, FileExporter, OTLPGRPCExporter, OTLPHTTPExporter
from receiver.config.model.extensions import Admin, FileStorage, HealthCheck
from receiver.config.model.receivers import OTLPReceiver
from receiver.config.model.section import Section

COMPONENTS: Mapping[str, Mapping[str, type[Section]]] = {
    "receivers": {"otlp": OTLPReceiver},
    "connectors": {"agenttrace": AgentTrace},
    "exporters": {
        "otlp_grpc": OTLPGRPCExporter,
        "otlp_http": OTLPHTTPExporter,
        "debug": DebugExporter,
        "file": FileExporter,
    },
    "extensions": {"file_storage": FileStorage, "health_check": HealthCheck, "admin": Admin},
}
# The Collector renamed both in 0.144 and still accepts the old names.
ALIASES: Mapping[str, Mapping[str, str]] = {"exporters": {"otlp": "otlp_grpc", "otlphttp": "otlp_http"}}
SECTIONS = (*COMPONENTS, "service")

_ID = re.compile(r"(?P<type>[A-Za-z][A-Za-z0-9_]*)(/(?P<name>[^\s/][^\s]*))?")


def type_of(component: str) -> str:
    """`otlp` of `otlp/2`."""
    return component.partition("/")[0]


def canonical(section: str, component: str) -> str:
    """The id with the current name of its type."""
    kind, slash, name = component.partition("/")
    return ALIASES.get(section, {}).get(kind, kind) + slash + name


def kind_of(section: str, component: str) -> type[Section] | None:
    """The settings class of a component; None for an unknown type. Raises ValueError for an invalid id."""
    if not _ID.fullmatch(component):
        raise ValueError("is not a component id; write type or type/name")
    return COMPONENTS[section].get(type_of(canonical(section, component)))
