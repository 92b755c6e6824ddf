"""Bad input over each protocol on each port: an error or a closed connection in bounded time; others are served."""

import asyncio
import gzip
import random
import time

import grpc
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from receiver.codec import otlp_json
from receiver.errors import TooLargeError
from receiver.otlp.protocol_mux import HTTP2_PREFACE
from tests.otlp.test_shared_ports import post

LOGS = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
METRICS = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
HEAD = b"POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n"
SETTINGS = b"\0\0\0\4\0\0\0\0\0"  # an empty frame (RFC 9113, 6.5)
FRAMES = {
    "no frames": random.Random(3).randbytes(500),
    "a frame of 16 MiB": b"\xff\xff\xff\0\0\0\0\0\1",
    "headers that cannot be unpacked": SETTINGS + b"\0\0\4\1\4\0\0\0\1" + b"\xff" * 4,
    "data of a stream that is not there": SETTINGS + b"\0\0\4\0\1\0\0\0\7" + b"abcd",
}


@pytest.fixture
async def ports(edge, tmp_path_factory):
    """Two receivers, each of whose ports takes either protocol; with a timeout of one second."""
    return [receiver.port for receiver in await edge.both(tmp_path_factory.mktemp("s"), timeout=1)]


async def response_to(port, *sent):
    """Everything that the server sends until it closes."""
    reader, writer = await asyncio.open_connection("localhost", port)
    for part in sent:
        writer.write(part)
        await writer.drain()
    try:
        return await asyncio.wait_for(reader.read(), 60)
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def serves(edge, sink, port, logs):
    before = len(sink.requests)
    assert await post(port, logs()) == 200
    assert await edge.channel(port).unary_unary(LOGS)(logs()) == b""
    return len(sink.requests) == before + 2


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize(
    "garbage", [b"\0" * 100, b"\x16\x03\x01\xff\xff" + b"x" * 400, b"hello\r\n\r\n", b"\xff" * 5000]
)
async def test_garbage_gets_an_error_or_a_closed_connection(edge, sink, ports, logs, number, garbage):
    answer = await response_to(ports[number], garbage)
    assert answer == b"" or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400"))
    assert await serves(edge, sink, ports[number], logs)


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("frames", FRAMES)
async def test_garbage_after_the_http2_preface_closes_the_connection(edge, sink, ports, logs, number, frames):
    answer = await response_to(ports[number], HTTP2_PREFACE + FRAMES[frames], b"x" * 100)
    assert answer[:9].hex()  # gRPC's own SETTINGS; and then it has gone
    assert await serves(edge, sink, ports[number], logs)


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize(
    ("half", "answer"),
    [
        (b"", b""),
        (HTTP2_PREFACE[:10], b""),
        (b"\x16\x03\x01\x02\x00\x01", b""),
        (b"POST /v1/lo", b""),
        (HEAD, b""),
        (HEAD + b"\r\n", b"HTTP/1.1 408"),
        (HEAD + b"\r\n{", b"HTTP/1.1 408"),
    ],
)
async def test_half_a_request_times_out(edge, sink, ports, logs, number, half, answer):
    began = time.monotonic()
    given = await response_to(ports[number], half)
    if half.startswith(b"\x16") and given:
        assert given.startswith(b"HTTP/1.1 400")  # without TLS, HTTP's parser may have seen enough
    else:
        assert given.startswith(answer)
        assert bool(given) == bool(answer)
        assert time.monotonic() - began > 0.9
    assert await serves(edge, sink, ports[number], logs)


async def test_a_client_that_sends_byte_by_byte_times_out(edge, sink, ports, logs):
    reader, writer = await asyncio.open_connection("localhost", ports[1])
    writer.write(HEAD + b"\r\n")
    reading = asyncio.ensure_future(reader.readline())
    for _ in range(99):
        writer.write(b" ")
        await asyncio.sleep(0.1)
        if reading.done():
            break
    assert (await reading).startswith(b"HTTP/1.1 408")
    writer.close()
    assert await serves(edge, sink, ports[1], logs)


async def test_many_half_requests_do_not_block_whole_ones(edge, sink, ports, logs):
    half_open = [await asyncio.open_connection("localhost", port) for port in ports for _ in range(100)]
    for number, (_, writer) in enumerate(half_open):
        writer.write((HEAD, HTTP2_PREFACE[:5], HTTP2_PREFACE + SETTINGS, HEAD + b"\r\n{")[number % 4])
    for port in ports:
        assert await serves(edge, sink, port, logs)
    for _, writer in half_open:
        writer.close()


@pytest.mark.parametrize("number", [0, 1])
async def test_malformed_grpc_requests_get_a_clear_error(edge, sink, ports, logs, number):
    call = edge.channel(ports[number]).unary_unary(LOGS)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call(b"\xff" * 50)
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call(bytes(65 << 20), compression=grpc.Compression.Gzip)
    assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await edge.channel(ports[number]).unary_unary("/no.such/Method")(b"")
    assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert await serves(edge, sink, ports[number], logs)


def series(count):
    request = ExportMetricsServiceRequest()
    points = request.resource_metrics.add().scope_metrics.add().metrics.add(name="x").sum.data_points
    for number in range(count):
        points.add(as_int=1).attributes.add(key="s").value.int_value = number
    return request.SerializeToString()


async def test_a_million_series_are_accepted_in_one_request(edge, sink, ports):
    body = series(1_000_000)
    for port in ports:
        assert await edge.channel(port).unary_unary(METRICS)(body, timeout=60) == b""
    assert [request.items for request in sink.requests] == [1_000_000] * 2


async def test_a_million_attributes_are_accepted_in_one_request(edge, sink, ports):
    request = ExportMetricsServiceRequest()
    point = request.resource_metrics.add().scope_metrics.add().metrics.add(name="x").sum.data_points.add()
    for number in range(1_000_000):
        point.attributes.add(key=f"k{number}").value.int_value = 1
    assert await edge.channel(ports[0]).unary_unary(METRICS)(request.SerializeToString(), timeout=60) == b""
    assert sink.requests[0].items == 1


async def test_a_million_series_in_json_are_refused_at_once(edge, sink, ports):
    body = (
        b'{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"sum":{"dataPoints":[' + b"{}," * 1_000_000 + b"{}]}}]}]}]}"
    )
    began = time.monotonic()
    packed = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert await post(ports[1], gzip.compress(body), **packed) == 413
    assert time.monotonic() - began < 30
    assert not sink.requests


def test_braces_in_a_json_string_do_not_count_as_objects():
    text = "{" * 600_000 + r"\"{"
    body = f'{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"body":{{"stringValue":"{text}"}}}}]}}]}}]}}'
    assert len(otlp_json.to_protobuf("logs", body.encode())) > 600_000
    with pytest.raises(TooLargeError, match="more than 500000 objects"):
        otlp_json.to_protobuf("logs", b"[" + b"{}," * 500_001)
