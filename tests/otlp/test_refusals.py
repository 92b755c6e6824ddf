"""Requests that are refused before their records are known are counted once each, by the code of their response."""

import asyncio

import aiohttp
import grpc
import pytest
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from receiver.errors import UnavailableError
from receiver.otlp.auth import BearerAuth
from tests.support.factories import logs_request, relay_record

EXPORT = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
BODY = logs_request(relay_record("session.idle", 1, {"sessionID": "ses_a"})).body
PROTOBUF = {"Content-Type": "application/x-protobuf"}


@pytest.fixture
def refused():
    return []


@pytest.fixture
def count(refused):
    return lambda transport, reason: refused.append((transport, reason))


async def call(port, method=EXPORT, body=BODY):
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        return await channel.unary_unary(method)(body)


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status"),
    [
        ("POST", "/v1/nothing", PROTOBUF, BODY, 404),
        ("GET", "/v1/logs", {}, b"", 405),
        ("POST", "/v1/logs", {"Content-Type": "text/plain"}, BODY, 415),
        ("POST", "/v1/logs", {**PROTOBUF, "Content-Encoding": "br"}, BODY, 415),
        ("POST", "/v1/logs", PROTOBUF, b"\xff\xff", 400),
        ("POST", "/v1/logs", PROTOBUF, bytes(2000), 413),
    ],
)
async def test_http_refusals_are_counted_by_status(edge, refused, count, method, path, headers, body, status):
    server = await edge.http(on_refused=count, max_request_body_size=1000)
    async with aiohttp.ClientSession() as session:
        answer = await session.request(method, f"http://127.0.0.1:{server.port}{path}", headers=headers, data=body)
        assert answer.status == status
    assert refused == [("http", str(status))]


async def test_an_http_body_that_does_not_arrive_is_counted_as_408(edge, refused, count):
    server = await edge.http(on_refused=count, timeout=0.2)

    answered = asyncio.Event()

    async def never():
        yield b"\n"
        await answered.wait()

    async with aiohttp.ClientSession() as session:
        answer = await session.post(f"http://127.0.0.1:{server.port}/v1/logs", headers=PROTOBUF, data=never())
        assert answer.status == 408
        answered.set()
    assert refused == [("http", "408")]


async def test_wrong_credentials_are_counted_on_both_transports(edge, refused, count):
    auth = BearerAuth(("right",))
    http, own = await edge.http(on_refused=count, auth=auth), await edge.grpc(on_refused=count, auth=auth)
    async with aiohttp.ClientSession() as session:
        answer = await session.post(f"http://127.0.0.1:{http.port}/v1/logs", headers=PROTOBUF, data=BODY)
        assert answer.status == 401
    with pytest.raises(aio.AioRpcError):
        await call(own.port)
    assert refused == [("http", "401"), ("grpc", "unauthenticated")]


@pytest.mark.parametrize(
    ("method", "body", "code"),
    [
        (EXPORT, b"\xff\xff", grpc.StatusCode.INVALID_ARGUMENT),
        ("/some.other.Service/Export", BODY, grpc.StatusCode.UNIMPLEMENTED),
    ],
)
async def test_grpc_refusals_are_counted_by_code(edge, refused, count, method, body, code):
    server = await edge.grpc(on_refused=count)
    with pytest.raises(aio.AioRpcError) as raised:
        await call(server.port, method, body)
    assert raised.value.code() is code
    assert refused == [("grpc", code.name.lower())]


async def test_accepted_requests_and_health_checks_are_not_counted_as_refused(edge, refused, count):
    http, own = await edge.http(on_refused=count), await edge.grpc(on_refused=count)
    await call(own.port)
    async with aio.insecure_channel(f"127.0.0.1:{own.port}") as channel:
        await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    async with aiohttp.ClientSession() as session:
        answer = await session.post(f"http://127.0.0.1:{http.port}/v1/logs", headers=PROTOBUF, data=BODY)
        assert answer.status == 200
    assert refused == []


async def test_requests_that_cannot_be_persisted_are_counted_by_their_records_only(edge, sink, refused, count):
    sink.error = UnavailableError("full")
    http, own = await edge.http(on_refused=count), await edge.grpc(on_refused=count)
    with pytest.raises(aio.AioRpcError):
        await call(own.port)
    async with aiohttp.ClientSession() as session:
        answer = await session.post(f"http://127.0.0.1:{http.port}/v1/logs", headers=PROTOBUF, data=BODY)
        assert answer.status == 503
    assert refused == []
    assert sink.counts == [("refused", "logs", "grpc", 1), ("refused", "logs", "http", 1)]
