"""gRPC and HTTP on either port, with and without TLS."""

import asyncio
import gzip
import ssl
import sys

import aiohttp
import grpc
import pytest

from receiver.errors import ReceiverError
from receiver.otlp.auth import BearerAuth
from receiver.otlp.grpc_server import GrpcReceiver

EXPORT = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
PROTOBUF = {"Content-Type": "application/x-protobuf"}


@pytest.fixture
def socket_dir(tmp_path_factory):
    """A short path: a unix socket's name has at most 107 bytes."""
    return tmp_path_factory.mktemp("s")


async def post(port, body, scheme="http", context=None, **headers):
    url = f"{scheme}://localhost:{port}/v1/logs"
    async with (
        aiohttp.ClientSession() as client,
        client.post(url, data=body, headers={**PROTOBUF, **headers}, ssl=context or True) as response,
    ):
        return response.status


async def test_each_port_serves_grpc_and_http(edge, sink, logs, socket_dir):
    ports = [receiver.port for receiver in await edge.both(socket_dir)]
    for number, port in enumerate(ports, 1):
        assert await post(port, gzip.compress(logs(number)), **{"Content-Encoding": "gzip"}) == 200
        assert await edge.channel(port).unary_unary(EXPORT)(logs(number + 10, 2 << 20)) == b""
    assert [request.items for request in sink.requests] == [1, 11, 2, 12]
    transports = [transport for _, _, transport, _ in sink.counts]
    assert transports == ["http", "grpc"] * 2


async def test_http_on_the_grpc_port_has_the_http_servers_limits(edge, sink, logs, socket_dir):
    ours, _ = await edge.both(socket_dir, max_request_body_size=1000)
    assert await post(ours.port, logs(1, 2000)) == 413
    assert await post(ours.port, b"\xff") == 400
    assert not sink.requests


async def test_each_protocol_on_each_port_requires_the_credentials(edge, sink, logs, socket_dir):
    for receiver in await edge.both(socket_dir, auth=BearerAuth(tokens=("s3cret",))):
        assert await post(receiver.port, logs()) == 401
        assert await post(receiver.port, logs(), Authorization="Bearer s3cret") == 200
        call = edge.channel(receiver.port).unary_unary(EXPORT)
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await call(logs())
        assert error.value.code() == grpc.StatusCode.UNAUTHENTICATED
        await call(logs(), metadata=(("authorization", "Bearer s3cret"),))
    assert len(sink.requests) == 4


@pytest.mark.skipif(sys.platform != "linux", reason="a Unix socket's name is a file's elsewhere")
@pytest.mark.parametrize("tls", [False, True])
async def test_a_refused_client_is_logged_with_its_address_on_each_port(
    edge, logs, socket_dir, certificates, logged, tls
):
    context = ssl.create_default_context(cafile=certificates.ca_file) if tls else None
    ours = certificates.tls if tls else None
    for receiver in await edge.both(socket_dir, auth=BearerAuth(tokens=("s3cret",)), tls=ours):
        await post(receiver.port, logs(), "https" if tls else "http", context)
        with pytest.raises(grpc.aio.AioRpcError):
            await edge.channel(receiver.port, credentials(certificates) if tls else None).unary_unary(EXPORT)(logs())
    peers = [event["peer"] for event in logged if event["event"] == "request refused"]
    assert peers
    assert [peer for peer in peers if "127.0.0.1" not in peer and "::1" not in peer] == []


async def test_a_client_with_tls_is_logged_once_for_each_port_without_it(edge, logs, socket_dir, certificates, logged):
    context = ssl.create_default_context(cafile=certificates.ca_file)
    ports = [receiver.port for receiver in await edge.both(socket_dir)]
    for port in (*ports, *ports):
        with pytest.raises(aiohttp.ClientError):
            await post(port, logs(), "https", context)
    assert [event["event"] for event in logged] == ["client speaks TLS to an endpoint without it"] * 2
    assert {event["endpoint"].rpartition(":")[2] for event in logged} == {str(port) for port in ports}
    assert all("http://" in event["then"] for event in logged)


async def test_a_client_without_tls_is_logged_where_tls_is_required(edge, logs, socket_dir, certificates, logged):
    ours, _ = await edge.both(socket_dir, tls=certificates.tls)
    with pytest.raises(aiohttp.ClientError):
        await post(ours.port, logs())
    (event,) = logged
    assert event["event"] == "client speaks no TLS to an endpoint that requires it"
    assert event["endpoint"].endswith(f":{ours.port}")
    assert "https://" in event["then"]


def credentials(certificates, client=None):
    if client is None:
        return grpc.ssl_channel_credentials(certificates.ca_pem)
    key, chain = client.private_key_pem.bytes(), client.cert_chain_pems[0].bytes()
    return grpc.ssl_channel_credentials(certificates.ca_pem, key, chain)


@pytest.mark.parametrize("names", [None, ["http/1.1"], ["h2", "http/1.1"]])
async def test_over_tls_the_offered_protocol_names_decide(edge, sink, logs, certificates, socket_dir, names):
    for receiver in await edge.both(socket_dir, tls=certificates.tls):
        context = ssl.create_default_context(cafile=certificates.ca_file)
        if names:
            context.set_alpn_protocols(names)
        assert await post(receiver.port, logs(), "https", context) == 200
        assert await edge.channel(receiver.port, credentials(certificates)).unary_unary(EXPORT)(logs(2, 1 << 20)) == b""
    assert [request.items for request in sink.requests] == [1, 2, 1, 2]


async def test_each_protocol_on_each_port_requires_the_client_certificate(edge, sink, logs, certificates, socket_dir):
    for receiver in await edge.both(socket_dir, tls=certificates.mutual):
        for shown, good in ((certificates.client, True), (certificates.stranger, False), (None, False)):
            context = ssl.create_default_context(cafile=certificates.ca_file)
            if shown:
                shown.configure_cert(context)
            call = edge.channel(receiver.port, credentials(certificates, shown)).unary_unary(EXPORT)
            if good:
                assert await post(receiver.port, logs(), "https", context) == 200
                await call(logs())
                continue
            with pytest.raises(aiohttp.ClientError):
                await post(receiver.port, logs(), "https", context)
            with pytest.raises(grpc.aio.AioRpcError):
                await call(logs(), timeout=60)
    assert len(sink.requests) == 4


async def test_stopping_both_servers_lets_grpc_and_http_requests_finish(edge, sink, logs, socket_dir):
    ours, theirs = await edge.both(socket_dir)
    sink.gate.clear()
    calls = [
        asyncio.ensure_future(edge.channel(ours.port).unary_unary(EXPORT)(logs())),
        asyncio.ensure_future(post(ours.port, logs())),
    ]
    while sink.waiting < 2:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    stopping = asyncio.gather(ours.stop(120), theirs.stop(120))
    await asyncio.sleep(0.1)
    sink.gate.set()
    assert await asyncio.gather(*calls) == [b"", 200]
    await asyncio.wait_for(stopping, 60)
    with pytest.raises(aiohttp.ClientError):
        await post(ours.port, logs())


async def test_a_taken_port_is_an_error_before_anything_is_accepted(edge, sink, socket_dir):
    first, _ = await edge.both(socket_dir)
    with pytest.raises(ReceiverError, match="the port is taken"):
        await GrpcReceiver(sink.accept, endpoint=f"localhost:{first.port}", socket_dir=str(socket_dir / "b")).start()
