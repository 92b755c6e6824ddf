"""Configuration: texts and an environment in, frozen Settings out. Imports nothing of the project but errors.

There is no I/O: the caller reads the files and passes the environment. `load` is the one entry point.
"""

from receiver.config.load.loading import load
from receiver.config.model.connector import AgentTrace
from receiver.config.model.exporters import (
    Batch,
    DebugExporter,
    Exporter,
    FileExporter,
    OTLPGRPCExporter,
    OTLPHTTPExporter,
    Retry,
    SendingQueue,
)
from receiver.config.model.extensions import Admin, Extension, FileStorage, HealthCheck
from receiver.config.model.graph import SIGNALS, Graph, Input, Signal
from receiver.config.model.metric_readers import MetricReader, OTLPMetricExporter, Periodic
from receiver.config.model.receivers import (
    CORS,
    Basic,
    GRPCServer,
    HTTPServer,
    KeepaliveServer,
    OTLPReceiver,
    Protocols,
    ServerAuth,
)
from receiver.config.model.service import LogsTelemetry, MetricsTelemetry, Pipeline, Service, Telemetry
from receiver.config.model.settings import Settings
from receiver.config.model.tls import TLSClient, TLSServer
from receiver.config.schema.json_schema import schema
from receiver.config.schema.json_schema import text as schema_text
from receiver.config.schema.redaction import effective

__all__ = [
    "CORS",
    "SIGNALS",
    "Admin",
    "AgentTrace",
    "Basic",
    "Batch",
    "DebugExporter",
    "Exporter",
    "Extension",
    "FileExporter",
    "FileStorage",
    "GRPCServer",
    "Graph",
    "HTTPServer",
    "HealthCheck",
    "Input",
    "KeepaliveServer",
    "LogsTelemetry",
    "MetricReader",
    "MetricsTelemetry",
    "OTLPGRPCExporter",
    "OTLPHTTPExporter",
    "OTLPMetricExporter",
    "OTLPReceiver",
    "Periodic",
    "Pipeline",
    "Protocols",
    "Retry",
    "SendingQueue",
    "ServerAuth",
    "Service",
    "Settings",
    "Signal",
    "TLSClient",
    "TLSServer",
    "Telemetry",
    "effective",
    "load",
    "schema",
    "schema_text",
]
