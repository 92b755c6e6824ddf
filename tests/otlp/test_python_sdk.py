"""OpenTelemetry's own exporters for Python, gRPC and HTTP, each signal, on its own port and on the other one."""

import asyncio

import pytest
from opentelemetry._logs import LogRecord
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

NAME = "from the SDK"


def send_logs(exporter):
    provider = LoggerProvider()
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    provider.get_logger("test").emit(LogRecord(timestamp=1, body=NAME))
    provider.shutdown()


def send_metrics(exporter):
    provider = MeterProvider([PeriodicExportingMetricReader(exporter, export_interval_millis=60_000)])
    provider.get_meter("test").create_counter(NAME.replace(" ", "_")).add(1)
    provider.shutdown()


def send_traces(exporter):
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("test").start_as_current_span(NAME):
        pass
    provider.shutdown()


SIGNALS = {
    "logs": (send_logs, GrpcLogs, HttpLogs),
    "metrics": (send_metrics, GrpcMetrics, HttpMetrics),
    "traces": (send_traces, GrpcSpans, HttpSpans),
}


@pytest.mark.parametrize("port", ["grpc", "http"])
@pytest.mark.parametrize("client", ["grpc", "http", "http, gzip"])
@pytest.mark.parametrize("signal", SIGNALS)
async def test_the_python_sdks_exporters_work_on_either_port(edge, sink, tmp_path_factory, signal, client, port):
    grpc, http = await edge.both(tmp_path_factory.mktemp("s"))
    send, over_grpc, over_http = SIGNALS[signal]
    number = grpc.port if port == "grpc" else http.port
    if client == "grpc":
        exporter = over_grpc(endpoint=f"http://localhost:{number}", timeout=60)
    else:
        packed = Compression.Gzip if "gzip" in client else Compression.NoCompression
        exporter = over_http(endpoint=f"http://localhost:{number}/v1/{signal}", timeout=60, compression=packed)
    await asyncio.to_thread(send, exporter)
    (request,) = sink.requests
    assert (request.signal, request.items) == (signal, 1)
    assert b"from" in request.body
