"""Shared by the exporters' tests: backends on free ports that respond as a test sets them, and requests."""

import gzip
import ssl
from collections import deque
from contextlib import AsyncExitStack
from types import SimpleNamespace

import grpc
import pytest
import trustme
from aiohttp import web
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from receiver.codec.export_service import EXPORT_SERVICES
from receiver.model import SIGNALS
from tests.support.silent_server import silent_server


class GrpcBackend:
    """Takes everything, unless there are `answers`: each a response message or (code, details, trailing metadata)."""

    def __init__(self):
        self.received = []
        self.answers = deque()

    async def start(self, port=0, credentials=None):
        self._server = grpc.aio.server()
        for signal in SIGNALS:
            export = grpc.unary_unary_rpc_method_handler(self._handler(signal))
            handler = grpc.method_handlers_generic_handler(EXPORT_SERVICES[signal].name, {"Export": export})
            self._server.add_generic_rpc_handlers((handler,))
        address = f"localhost:{port}"
        self.port = (
            self._server.add_secure_port(address, credentials)
            if credentials
            else self._server.add_insecure_port(address)
        )
        await self._server.start()
        self.endpoint = f"localhost:{self.port}"
        return self

    async def stop(self):
        await self._server.stop(None)

    def _handler(self, signal):
        async def export(body, context):
            answer = self.answers.popleft() if self.answers else EXPORT_SERVICES[signal].response()
            if isinstance(answer, tuple):
                await context.abort(*answer)
            self.received.append(
                SimpleNamespace(signal=signal, body=body, metadata=dict(context.invocation_metadata()))
            )
            return answer.SerializeToString()

        return export


class HttpBackend:
    """Takes everything, unless there are `answers`: keyword arguments of the aiohttp response to give."""

    def __init__(self):
        self.received = []
        self.answers = deque()

    async def start(self, ssl_context=None):
        app = web.Application(client_max_size=64 << 20)
        app.router.add_route("*", "/{path:.*}", self._take)
        self._runner = web.AppRunner(app, auto_decompress=False)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=ssl_context)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]
        self.endpoint = f"http{'s' if ssl_context else ''}://localhost:{self.port}"
        return self

    async def stop(self):
        await self._runner.cleanup()

    async def _take(self, request):
        body = await request.read()
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        answer = self.answers.popleft() if self.answers else {}
        if answer.get("status", 200) == 200:
            taken = SimpleNamespace(method=request.method, path=request.path, body=body, headers=request.headers)
            self.received.append(taken)
        return web.Response(**answer)


class Certificates:
    """A CA's file, a server's for localhost and a client's, and a server's credentials and context that ask for it."""

    def __init__(self, folder):
        ca = trustme.CA()
        self.ca_file = str(folder / "ca.pem")
        ca.cert_pem.write_to_path(self.ca_file)
        client = ca.issue_cert("client@example.org")
        self.client_cert, self.client_key = str(folder / "client.pem"), str(folder / "client.key")
        client.cert_chain_pems[0].write_to_path(self.client_cert)
        client.private_key_pem.write_to_path(self.client_key)
        self.server = ca.issue_cert("localhost")
        self._ca = ca

    def grpc_server(self, *, mutual=False):
        pair = (self.server.private_key_pem.bytes(), self.server.cert_chain_pems[0].bytes())
        roots = self._ca.cert_pem.bytes() if mutual else None
        return grpc.ssl_server_credentials([pair], root_certificates=roots, require_client_auth=mutual)

    def http_server(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.configure_cert(context)
        return context


@pytest.fixture
async def stack():
    """Closes what the test opened, last first."""
    async with AsyncExitStack() as opened:
        yield opened


@pytest.fixture
def certificates(tmp_path):
    """Certificates in files."""
    return Certificates(tmp_path)


@pytest.fixture
def grpc_backend(stack):
    """Start a gRPC backend; it stops with the test."""

    async def start(*args, **settings):
        backend = await GrpcBackend().start(*args, **settings)
        stack.push_async_callback(backend.stop)
        return backend

    return start


@pytest.fixture
def http_backend(stack):
    """Start an HTTP backend; it stops with the test."""

    async def start(*args, **settings):
        backend = await HttpBackend().start(*args, **settings)
        stack.push_async_callback(backend.stop)
        return backend

    return start


@pytest.fixture
def started(stack):
    """Start an exporter; it stops with the test."""

    async def start(exporter):
        await exporter.start()
        stack.push_async_callback(exporter.stop)
        return exporter

    return start


@pytest.fixture
def request_of():
    """Makes a serialized traces request with a span for each name."""

    def make(*names):
        request = ExportTraceServiceRequest()
        spans = request.resource_spans.add().scope_spans.add().spans
        for number, name in enumerate(names, 1):
            spans.add(trace_id=bytes(15) + b"\1", span_id=number.to_bytes(8, "big"), name=name)
        return request.SerializeToString()

    return make


@pytest.fixture
def retry_info():
    """Makes trailing metadata with a RetryInfo of `seconds`."""

    def make(code, seconds):
        delay = Duration()
        delay.FromMilliseconds(int(seconds * 1000))
        status = Status(code=code.value[0])
        status.details.add().Pack(RetryInfo(retry_delay=delay))
        return (("grpc-status-details-bin", status.SerializeToString()),)

    return make


@pytest.fixture
async def silent_port():
    """The port of a server that accepts connections and never responds."""
    async with silent_server() as port:
        yield port
