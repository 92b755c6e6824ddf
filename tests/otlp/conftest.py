"""Shared by the receivers' tests: a sink that accepts requests, running servers, certificates and the log."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from grpc import aio
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from structlog.testing import capture_logs

from receiver.diagnostics.rate_limit import RateLimitProcessor
from receiver.otlp.grpc_server import GrpcReceiver
from receiver.otlp.http_server import GrpcBackend, HttpReceiver
from tests.support.certificates import certificates  # noqa: F401


class Sink:
    """Takes the pipeline's place. `error` is raised where it is set; while `gate` is closed nothing returns."""

    def __init__(self):
        self.requests = []
        self.counts = []
        self.error = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.arrived = asyncio.Event()
        self.waiting = 0

    async def accept(self, request):
        self.arrived.set()
        self.waiting += 1
        await self.gate.wait()
        self.waiting -= 1
        if self.error:
            raise self.error
        self.requests.append(request)

    def observe(self, *event):
        self.counts.append(event)


class Edge:
    """Starts receivers that pass requests to the sink, and stops them when the test ends."""

    def __init__(self, sink, stack):
        self._sink = sink
        self._stack = stack

    async def grpc(self, **settings):
        settings = {"endpoint": "127.0.0.1:0", **settings}
        receiver = GrpcReceiver(self._sink.accept, observe=self._sink.observe, **settings)
        receiver.port = await receiver.start()
        self._stack.push_async_callback(receiver.stop, 0.5)
        return receiver

    async def http(self, **settings):
        settings = {"endpoint": "127.0.0.1:0", **settings}
        receiver = HttpReceiver(self._sink.accept, observe=self._sink.observe, **settings)
        receiver.port = await receiver.start()
        self._stack.push_async_callback(receiver.stop, 0.5)
        return receiver

    async def both(self, socket_dir, auth=None, tls=None, **http):
        """A gRPC and an HTTP receiver, each of whose ports takes either protocol."""
        grpc = await self.grpc(endpoint="localhost:0", auth=auth, tls=tls, socket_dir=str(socket_dir))
        backend, unix_endpoint = GrpcBackend(grpc.address, auth, tls), f"unix:{socket_dir}/http"
        other = await self.http(
            endpoint="localhost:0", auth=auth, tls=tls, grpc=backend, unix_endpoint=unix_endpoint, **http
        )
        await grpc.serve_shared_port(other.connection_handler(), http.get("timeout", 60))
        return grpc, other

    def channel(self, port, credentials=None, options=()):
        address = f"localhost:{port}" if credentials else f"127.0.0.1:{port}"
        made = (
            aio.secure_channel(address, credentials, options=options)
            if credentials
            else aio.insecure_channel(address, options=options)
        )
        self._stack.push_async_callback(made.close)
        return made


@pytest.fixture
def logged():
    """The events that the program logs, after the rate limit."""
    with capture_logs(processors=[RateLimitProcessor()]) as events:
        yield events


@pytest.fixture
async def sink():
    return Sink()


@pytest.fixture
async def edge(sink):
    async with AsyncExitStack() as stack:
        yield Edge(sink, stack)


@pytest.fixture
def logs():
    """Makes a serialized logs request of `records` records, each with a body of `size` bytes."""

    def make(records=1, size=0):
        request = ExportLogsServiceRequest()
        scope = request.resource_logs.add().scope_logs.add()
        for number in range(records):
            record = scope.log_records.add(time_unix_nano=number + 1)
            record.body.string_value = "x" * size
        return request.SerializeToString()

    return make


@pytest.fixture
def half_bad_traces():
    """A serialized traces request of two spans, one of them without ids."""
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    spans.append(Span(name="good", trace_id=b"t" * 16, span_id=b"s" * 8))
    spans.append(Span(name="bad"))
    return request.SerializeToString()
