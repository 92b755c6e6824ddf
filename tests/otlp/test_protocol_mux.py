"""gRPC on the HTTP port, and where a ProtocolMux passes a connection by its first bytes."""

import asyncio
import socket

import aiohttp
import grpc
import pytest

from receiver.errors import UnavailableError
from receiver.otlp.auth import BearerAuth
from receiver.otlp.http_server import GrpcBackend
from receiver.otlp.listen import bind
from receiver.otlp.protocol_mux import HTTP2_PREFACE, InProcessHandler, ProtocolMux
from receiver.otlp.socket_proxy import SocketProxy

EXPORT = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
PROTOBUF = {"Content-Type": "application/x-protobuf"}


async def post(port, body):
    async with (
        aiohttp.ClientSession() as client,
        client.post(f"http://127.0.0.1:{port}/v1/logs", data=body, headers=PROTOBUF) as response,
    ):
        return response.status


@pytest.mark.parametrize("address", ["tcp", "unix"])
async def test_one_port_takes_both_grpc_and_http(edge, sink, logs, address, tmp_path):
    behind = await edge.grpc(endpoint="127.0.0.1:0" if address == "tcp" else f"unix:{tmp_path}/s")
    front = await edge.http(grpc=GrpcBackend(behind.address))
    channel = edge.channel(front.port)
    assert await channel.unary_unary(EXPORT)(logs(2, 5 << 20)) == b""
    assert await post(front.port, logs(1)) == 200
    assert await channel.unary_unary(EXPORT)(logs(3), compression=grpc.Compression.Gzip) == b""
    assert [request.items for request in sink.requests] == [2, 1, 3]


async def test_grpc_errors_on_the_http_port_keep_their_details(edge, sink, logs):
    behind = await edge.grpc()
    front = await edge.http(grpc=GrpcBackend(behind.address))
    sink.error = UnavailableError("the disk is full")
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await edge.channel(front.port).unary_unary(EXPORT)(logs())
    assert error.value.code() == grpc.StatusCode.UNAVAILABLE
    assert "grpc-status-details-bin" in dict(error.value.trailing_metadata())


async def test_many_grpc_and_http_requests_at_once_on_one_port(edge, sink, logs):
    behind = await edge.grpc()
    front = await edge.http(grpc=GrpcBackend(behind.address))
    channels = [edge.channel(front.port, options=[("grpc.use_local_subchannel_pool", 1)]) for _ in range(5)]
    calls = [channel.unary_unary(EXPORT)(logs(1, 100_000)) for channel in channels for _ in range(10)]
    posts = [post(front.port, logs(1, 100_000)) for _ in range(10)]
    await asyncio.gather(*calls, *posts)
    assert len(sink.requests) == 60


async def test_stopping_both_servers_lets_a_proxied_request_finish(edge, sink, logs):
    behind = await edge.grpc()
    front = await edge.http(grpc=GrpcBackend(behind.address))
    sink.gate.clear()
    call = asyncio.ensure_future(edge.channel(front.port).unary_unary(EXPORT)(logs()))
    await sink.arrived.wait()
    stopping = asyncio.gather(behind.stop(120), front.stop(120))
    sink.gate.set()
    assert await call == b""
    await asyncio.wait_for(stopping, 60)


async def refuses_grpc(edge, front, logs):
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await edge.channel(front.port).unary_unary(EXPORT)(logs(), timeout=60)
    return error.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_grpc_on_the_http_port_needs_the_http_servers_credentials(edge, sink, logs):
    auth = BearerAuth(tokens=("s3cret",))
    behind = await edge.grpc()
    front = await edge.http(auth=auth, grpc=GrpcBackend(behind.address))
    assert await refuses_grpc(edge, front, logs)
    both = await edge.http(auth=auth, grpc=GrpcBackend((await edge.grpc(auth=auth)).address, auth))
    call = edge.channel(both.port).unary_unary(EXPORT)
    with pytest.raises(grpc.aio.AioRpcError):
        await call(logs())
    await call(logs(), metadata=(("authorization", "Bearer s3cret"),))
    assert len(sink.requests) == 1


async def test_the_http2_preface_is_a_bad_request_without_a_grpc_server(edge, sink, logs):
    front = await edge.http()
    assert await refuses_grpc(edge, front, logs)
    assert await post(front.port, logs()) == 200


async def test_an_absent_grpc_server_ends_only_the_proxied_connection(edge, logs):
    with socket.create_server(("127.0.0.1", 0)) as other:
        closed = other.getsockname()[1]
    front = await edge.http(grpc=GrpcBackend(f"127.0.0.1:{closed}"))
    assert await refuses_grpc(edge, front, logs)
    assert await post(front.port, logs()) == 200


class Echo(asyncio.Protocol):
    """A protocol in this process: sends a prefix, then repeats what it receives."""

    def connection_made(self, transport):
        self.transport = transport
        transport.write(b"one:")

    def data_received(self, data):
        self.transport.write(data)

    def eof_received(self):
        self.transport.close()


@pytest.fixture
async def backend():
    """A server whose handler each test sets; gives its address."""

    class Backend:
        handler = None

        async def serve(self, reader, writer):
            await self.handler(reader, writer)
            writer.close()

    made = Backend()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield made
    server.close()


@pytest.fixture
async def mux(backend):
    proxy = SocketProxy(backend.address)
    made = ProtocolMux(InProcessHandler(Echo), proxy)
    sockets = bind("127.0.0.1:0")
    made.port = sockets[0].getsockname()[1]
    await made.open(sockets)
    yield made
    made.close()
    await proxy.close(0)


async def connect(mux):
    return await asyncio.open_connection("127.0.0.1", mux.port)


@pytest.mark.parametrize("first", [b"P", b"POST / HTTP/1.1\r\n", b"PRI", b"PRI * HTTP/2.0\r\n", b"G", b"\0"])
async def test_bytes_other_than_the_preface_go_to_http1_without_loss(mux, first):
    reader, writer = await connect(mux)
    for byte in first:
        writer.write(bytes([byte]))
        await writer.drain()
    writer.write(b"rest")
    assert await asyncio.wait_for(reader.readexactly(4 + len(first) + 4), 60) == b"one:" + first + b"rest"
    writer.close()


async def test_a_preface_in_pieces_goes_to_http2_and_the_client_may_half_close(mux, backend):
    async def whole(reader, writer):
        writer.write(b"two:" + await reader.read())

    backend.handler = whole
    reader, writer = await connect(mux)
    sent = HTTP2_PREFACE + b"x" * 300_000
    for start in (slice(0, 5), slice(5, 20), slice(20, None)):
        writer.write(sent[start])
        await writer.drain()
    writer.write_eof()
    assert await asyncio.wait_for(reader.read(), 60) == b"two:" + sent
    writer.close()


async def blocks(waiting, seconds=1):
    try:
        await asyncio.wait_for(waiting, seconds)
    except TimeoutError:
        return True
    return False


async def test_a_side_that_does_not_read_makes_the_other_wait(mux, backend):
    release = asyncio.Event()
    total = 0

    async def slow(reader, writer):
        nonlocal total
        await release.wait()
        while data := await reader.read(1 << 20):
            total += len(data)

    backend.handler = slow
    _, writer = await connect(mux)
    writer.write(HTTP2_PREFACE)
    sent, waits = len(HTTP2_PREFACE), False
    while not waits and sent < 64 << 20:  # far more than the kernel's buffers hold
        writer.write(bytes(1 << 20))
        sent += 1 << 20
        waits = await blocks(writer.drain())
    assert waits
    release.set()
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    for _ in range(6000):
        if total == sent:
            break
        await asyncio.sleep(0.01)
    assert total == sent


async def test_a_connection_that_ends_within_the_preface_is_closed(mux):
    reader, writer = await connect(mux)
    writer.write(b"PRI ")
    writer.write_eof()
    assert await asyncio.wait_for(reader.read(), 60) == b""
    writer.close()


async def test_closing_a_mux_closes_undecided_connections_and_keeps_the_others(mux):
    undecided_reader, undecided_writer = await connect(mux)
    reader, writer = await connect(mux)
    writer.write(b"GET")
    assert await reader.readexactly(7) == b"one:GET"
    mux.close()
    assert await asyncio.wait_for(undecided_reader.read(), 60) == b""
    writer.write(b"more")
    assert await asyncio.wait_for(reader.readexactly(4), 60) == b"more"
    for end in (undecided_writer, writer):
        end.close()
