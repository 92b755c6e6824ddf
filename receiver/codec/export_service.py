"""The three OTLP Export services: their names and their complete protobuf messages (opentelemetry/proto/collector)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace

from receiver.model import Signal


@dataclass(frozen=True, slots=True)
class ExportService:
    """One signal's service. `partial` builds the partial-success response."""

    name: str
    request: type[Message]
    response: type[Message]
    partial: Callable[[int, str], Message]


def _partial_logs(rejected: int, message: str) -> Message:
    partial = logs.ExportLogsPartialSuccess(rejected_log_records=rejected, error_message=message)
    return logs.ExportLogsServiceResponse(partial_success=partial)


def _partial_metrics(rejected: int, message: str) -> Message:
    partial = metrics.ExportMetricsPartialSuccess(rejected_data_points=rejected, error_message=message)
    return metrics.ExportMetricsServiceResponse(partial_success=partial)


def _partial_traces(rejected: int, message: str) -> Message:
    partial = trace.ExportTracePartialSuccess(rejected_spans=rejected, error_message=message)
    return trace.ExportTraceServiceResponse(partial_success=partial)


EXPORT_SERVICES: dict[Signal, ExportService] = {
    "logs": ExportService(
        "opentelemetry.proto.collector.logs.v1.LogsService",
        logs.ExportLogsServiceRequest,
        logs.ExportLogsServiceResponse,
        _partial_logs,
    ),
    "metrics": ExportService(
        "opentelemetry.proto.collector.metrics.v1.MetricsService",
        metrics.ExportMetricsServiceRequest,
        metrics.ExportMetricsServiceResponse,
        _partial_metrics,
    ),
    "traces": ExportService(
        "opentelemetry.proto.collector.trace.v1.TraceService",
        trace.ExportTraceServiceRequest,
        trace.ExportTraceServiceResponse,
        _partial_traces,
    ),
}


def export_response(signal: Signal, rejected: int, message: str) -> Message:
    """The response to an accepted request. After a complete success `partial_success` is unset, as OTLP requires."""
    service = EXPORT_SERVICES[signal]
    return service.partial(rejected, message) if rejected else service.response()
