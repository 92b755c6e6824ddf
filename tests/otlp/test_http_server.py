"""The OTLP/HTTP receiver, tested with a real client."""

import asyncio
import gzip
import io
import json
import socket
import ssl
import zlib

import aiohttp
import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceResponse,
)

from receiver.codec.otlp_json import from_protobuf
from receiver.errors import ReceiverError, UnavailableError
from receiver.model import SIGNALS, Request
from receiver.net.tls import TLSSettings
from receiver.otlp.auth import BasicAuth, BearerAuth
from receiver.otlp.cors import CORSPolicy
from receiver.otlp.http_server import HttpReceiver

PROTOBUF, JSON = "application/x-protobuf", "application/json"


@pytest.fixture
async def client():
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        yield session


class Answer:
    def __init__(self, response, body):
        self.status, self.headers, self.type, self.body = response.status, response.headers, response.content_type, body

    @property
    def error(self):
        """The google.rpc.Status, from whichever encoding."""
        if self.type == JSON:
            read = json.loads(self.body)
            return Status(code=read["code"], message=read["message"])
        assert self.type == PROTOBUF
        return Status.FromString(self.body)


@pytest.fixture
def post(client):
    async def send(receiver, path, body, kind=PROTOBUF, method="POST", **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if kind:
            named["Content-Type"] = kind
        url = f"http://127.0.0.1:{receiver.port}{path}"
        skip = () if kind else ("Content-Type",)
        async with client.request(method, url, data=body, headers=named, skip_auto_headers=skip) as response:
            return Answer(response, await response.read())

    return send


async def test_an_http_protobuf_request_is_passed_on_byte_for_byte(edge, sink, post, logs):
    receiver = await edge.http()
    answer = await post(receiver, "/v1/logs", logs(3))
    assert (answer.status, answer.type, answer.body) == (200, PROTOBUF, b"")
    assert sink.requests == [Request("logs", logs(3), 3)]
    assert sink.counts == [("accepted", "logs", "http", 3)]


@pytest.mark.parametrize("kind", [JSON, "application/json; charset=utf-8", "Application/JSON"])
async def test_json_becomes_the_same_request_and_gets_a_json_response(edge, sink, post, logs, kind):
    receiver = await edge.http()
    answer = await post(receiver, "/v1/logs", from_protobuf("logs", logs(2)).encode(), kind)
    assert (answer.status, answer.type, answer.body) == (200, JSON, b"{}")
    assert sink.requests == [Request("logs", logs(2), 2)]


async def test_each_http_path_is_a_signal(edge, sink, post, half_bad_traces):
    receiver = await edge.http()
    await post(receiver, "/v1/traces", half_bad_traces)
    metric = {"name": "m", "sum": {"dataPoints": [{"asInt": "1"}]}}
    body = json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}).encode()
    await post(receiver, "/v1/metrics", body, JSON)
    assert [request.signal for request in sink.requests] == ["traces", "metrics"]


async def test_http_paths_can_be_configured(edge, sink, post, logs):
    receiver = await edge.http(paths={"/otlp/logs": "logs"})
    assert (await post(receiver, "/otlp/logs", logs())).status == 200
    assert (await post(receiver, "/v1/logs", logs())).status == 404


async def test_the_http_response_waits_for_the_commit(edge, sink, post, logs):
    receiver = await edge.http()
    sink.gate.clear()
    call = asyncio.ensure_future(post(receiver, "/v1/logs", logs()))
    await sink.arrived.wait()
    assert not (await asyncio.wait([call], timeout=0.2))[0]
    sink.gate.set()
    assert (await call).status == 200


@pytest.mark.parametrize("signal", SIGNALS)
async def test_an_empty_http_request_succeeds_and_is_not_passed_on(edge, sink, post, signal):
    receiver = await edge.http()
    assert (await post(receiver, f"/v1/{signal}", b"")).status == 200
    assert (await post(receiver, f"/v1/{signal}", b"{}", JSON)).body == b"{}"
    assert not sink.requests


async def test_invalid_spans_are_an_http_partial_success(edge, sink, post, half_bad_traces):
    receiver = await edge.http()
    answer = await post(receiver, "/v1/traces", half_bad_traces)
    assert ExportTraceServiceResponse.FromString(answer.body).partial_success.rejected_spans == 1
    answer = await post(receiver, "/v1/traces", from_protobuf("traces", half_bad_traces).encode(), JSON)
    assert json.loads(answer.body)["partialSuccess"]["rejectedSpans"] == "1"
    assert [request.items for request in sink.requests] == [1, 1]


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("gzip", lambda body: gzip.compress(body[:100]) + gzip.compress(body[100:])),
        ("deflate", zlib.compress),
        ("zlib", zlib.compress),
        ("identity", bytes),
    ],
)
async def test_http_bodies_may_be_compressed(edge, sink, post, logs, encoding, pack):
    receiver = await edge.http()
    body = logs(2, 300_000)
    assert (await post(receiver, "/v1/logs", pack(body), content_encoding=encoding)).status == 200
    assert sink.requests == [Request("logs", body, 2)]


@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
async def test_a_malformed_http_body_is_400_in_the_requests_encoding(edge, sink, post, kind):
    receiver = await edge.http()
    for signal in SIGNALS:
        for body in (
            b"hello",
            b"\xff" * 50,
            b"[" * 100_000,
            b'{"resourceLogs":1,"resourceSpans":1,"resourceMetrics":1}',
        ):
            answer = await post(receiver, f"/v1/{signal}", body, kind)
            assert (answer.status, answer.error.code) == (400, 3)
            assert "Traceback" not in answer.error.message
    answer = await post(receiver, "/v1/logs", b"not gzip", kind, content_encoding="gzip")
    assert (answer.status, answer.error.message) == (400, answer.error.message)
    assert "gzip" in answer.error.message
    assert not sink.requests


@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
async def test_an_http_request_that_cannot_be_persisted_is_503_with_retry_after(edge, sink, post, logs, kind):
    receiver = await edge.http()
    sink.error = UnavailableError("the disk is full", retry_after=6.5)
    body = logs(2) if kind == PROTOBUF else from_protobuf("logs", logs(2)).encode()
    answer = await post(receiver, "/v1/logs", body, kind)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "7")
    assert (answer.error.code, answer.error.message) == (14, "the disk is full")
    assert sink.counts == [("refused", "logs", "http", 2)]


async def test_a_defect_is_500_without_its_text(edge, sink, post, logs, logged):
    receiver = await edge.http()
    sink.error = ValueError("/secret")
    answer = await post(receiver, "/v1/logs", logs())
    assert (answer.status, answer.error.code) == (500, 13)
    assert b"secret" not in answer.body
    assert sink.counts == [("failed", "logs", "http", 1)]
    assert [(event["event"], event["log_level"], event["exc_info"]) for event in logged] == [
        ("request failed", "error", sink.error)
    ]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS"])
async def test_other_methods_are_405(edge, post, method):
    receiver = await edge.http()
    answer = await post(receiver, "/v1/logs", None, kind=JSON, method=method)
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    if method != "HEAD":
        assert answer.error.code == 12


@pytest.mark.parametrize("path", ["/", "/v1/log", "/v1/logs/", "/v1development/profiles"])
async def test_other_paths_are_404_with_the_right_ones(edge, post, path):
    receiver = await edge.http()
    answer = await post(receiver, path, b"")
    assert (answer.status, answer.error.code) == (404, 5)
    assert "/v1/logs" in answer.error.message


@pytest.mark.parametrize("kind", ["", "text/plain", "application/protobuf", "application/grpc", "nonsense"])
async def test_other_content_types_are_415_in_plain_text(edge, post, logs, kind):
    receiver = await edge.http()
    answer = await post(receiver, "/v1/logs", logs(), kind)
    assert (answer.status, answer.type) == (415, "text/plain")
    assert b"application/x-protobuf" in answer.body


async def test_other_content_encodings_are_415(edge, post, logs):
    receiver = await edge.http()
    for encoding in ("br", "gzip, gzip", "compress"):
        answer = await post(receiver, "/v1/logs", logs(), content_encoding=encoding)
        assert (answer.status, answer.error.code) == (415, 3)


async def in_chunks(body):
    for start in range(0, len(body), 10_000):
        yield body[start : start + 10_000]


async def test_a_too_large_http_body_is_413_however_it_is_sent(edge, sink, post, logs):
    receiver = await edge.http(max_request_body_size=100_000)
    body = logs(1, 300_000)
    for sent, encoding in ((body, "identity"), (in_chunks(body), "identity"), (gzip.compress(body), "gzip")):
        answer = await post(receiver, "/v1/logs", sent, content_encoding=encoding)
        assert (answer.status, answer.error.code) == (413, 8)
    json_body = from_protobuf("logs", body).encode()
    assert (await post(receiver, "/v1/logs", gzip.compress(json_body), JSON, content_encoding="gzip")).status == 413
    assert (await post(receiver, "/v1/logs", in_chunks(logs(1, 50_000)))).status == 200
    assert len(sink.requests) == 1


async def test_decoding_a_large_json_body_does_not_block_the_loop(edge, sink, post, logs):
    receiver = await edge.http()
    body = from_protobuf("logs", logs(20_000, 10)).encode()
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.ensure_future(tick())
    assert (await post(receiver, "/v1/logs", io.BytesIO(body), JSON)).status == 200
    ticking.cancel()
    assert sink.requests[0].items == 20_000
    assert ticks >= 5


async def raw(port, *sent):
    """Everything that the server sends in response to these bytes, until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in sent:
        writer.write(part)
        await writer.drain()
    answer = await asyncio.wait_for(reader.read(), 60)
    writer.close()
    return answer


async def test_malformed_http_neither_ends_the_server_nor_fills_its_log(edge, sink, post, logs, logged, caplog):
    receiver = await edge.http()
    head = b"POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
    tls = b"\x16\x03\x01\x02\x00\x01"
    for poison in (tls, tls, b"GET\r\n\r\n", head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"):
        answer = await raw(receiver.port, poison)
        assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400"))
    _, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
    writer.write(head + b"Content-Length: 1000\r\n\r\nabc")
    await writer.drain()
    writer.transport.abort()
    assert (await post(receiver, "/v1/logs", logs())).status == 200
    (event,) = logged  # once: the only one with a remedy
    assert event["event"] == "client speaks TLS to an endpoint without it"
    assert caplog.records == []
    assert len(sink.requests) == 1


async def test_expect_100_continue_is_answered(edge, sink, logs):
    receiver = await edge.http()
    reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
    body = logs()
    head = f"POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: {PROTOBUF}\r\nContent-Length: {len(body)}\r\n"
    writer.write(f"{head}Expect: 100-continue\r\nConnection: close\r\n\r\n".encode())
    assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60) == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(body)
    assert (await asyncio.wait_for(reader.read(), 60)).startswith(b"HTTP/1.1 200")
    writer.close()
    assert len(sink.requests) == 1


async def test_a_too_large_content_length_is_refused_before_the_body_is_sent(edge):
    receiver = await edge.http(max_request_body_size=1000)
    head = f"POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: {PROTOBUF}\r\nContent-Length: 1001\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
    writer.write(f"{head}Expect: 100-continue\r\n\r\n".encode())
    assert (await asyncio.wait_for(reader.readuntil(b"\r\n"), 60)).startswith(b"HTTP/1.1 413")
    writer.close()


async def test_an_unknown_expectation_is_417(edge, post, logs):
    receiver = await edge.http()
    assert (await post(receiver, "/v1/logs", logs(), Expect="the-moon")).status == 417


@pytest.mark.parametrize(
    ("auth", "good", "challenge"),
    [
        (BearerAuth(tokens=("s3cret",)), "Bearer s3cret", "Bearer"),
        (BasicAuth(users=(("ann", "pw"),)), "Basic YW5uOnB3", "Basic realm"),
    ],
)
async def test_http_requires_the_configured_credentials(edge, sink, post, logs, auth, good, challenge):
    receiver = await edge.http(auth=auth)
    for headers in ({}, {"Authorization": "Bearer no"}):
        answer = await post(receiver, "/v1/logs", logs(), **headers)
        assert (answer.status, answer.error.code) == (401, 16)
        assert answer.headers["WWW-Authenticate"].startswith(challenge)
    assert not sink.requests
    assert (await post(receiver, "/v1/logs", logs(), Authorization=good)).status == 200


async def test_http_responses_have_cors_headers(edge, post, logs):
    receiver = await edge.http(cors=CORSPolicy(allowed_origins=("https://*.example.com",), max_age=60))
    origin = "https://app.example.com"
    asked = await post(
        receiver, "/v1/logs", None, kind="", method="OPTIONS", Origin=origin, Access_Control_Request_Method="POST"
    )
    assert (asked.status, asked.headers["Access-Control-Allow-Origin"]) == (204, origin)
    assert asked.headers["Access-Control-Max-Age"] == "60"
    for body, status in ((logs(), 200), (b"hello", 400)):
        answer = await post(receiver, "/v1/logs", body, Origin=origin)
        assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (status, origin)
    other_origin = await post(receiver, "/v1/logs", logs(), Origin="https://evil.example.org")
    assert "Access-Control-Allow-Origin" not in other_origin.headers


async def test_http_over_tls_and_mutual_tls(edge, sink, client, logs, certificates):
    plain = await edge.http(endpoint="localhost:0", tls=certificates.tls)
    mutual = await edge.http(endpoint="localhost:0", tls=certificates.mutual)

    async def send(receiver, certificate=None):
        context = ssl.create_default_context(cafile=certificates.ca_file)
        if certificate:
            certificate.configure_cert(context)
        url = f"https://localhost:{receiver.port}/v1/logs"
        async with client.post(url, data=logs(), headers={"Content-Type": PROTOBUF}, ssl=context) as response:
            return response.status

    assert await send(plain) == 200
    assert await send(mutual, certificates.client) == 200
    for certificate in (None, certificates.stranger):
        with pytest.raises(aiohttp.ClientError):
            await send(mutual, certificate)
    assert len(sink.requests) == 2


async def test_http_does_not_listen_when_tls_cannot_be_set_up(edge):
    with pytest.raises(ReceiverError, match="both cert_file and key_file"):
        await edge.http(tls=TLSSettings())


async def test_a_taken_http_port_is_an_error_with_a_remedy(sink):
    with socket.create_server(("127.0.0.1", 0)) as other:
        receiver = HttpReceiver(sink.accept, endpoint=f"localhost:{other.getsockname()[1]}")
        with pytest.raises(ReceiverError, match=r"cannot listen on localhost:.*the port is taken"):
            await receiver.start()


async def test_stopping_http_finishes_requests_and_takes_no_new_one(edge, sink, post, logs):
    receiver = await edge.http()
    idle_reader, idle_writer = await asyncio.open_connection("127.0.0.1", receiver.port)
    sink.gate.clear()
    call = asyncio.ensure_future(post(receiver, "/v1/logs", logs()))
    await sink.arrived.wait()
    stopping = asyncio.ensure_future(receiver.stop(5))
    assert await asyncio.wait_for(idle_reader.read(), 60) == b""
    with pytest.raises(ConnectionError):
        await asyncio.open_connection("127.0.0.1", receiver.port)
    sink.gate.set()
    assert (await call).status == 200
    await stopping
    idle_writer.close()


async def test_only_the_configured_compression_algorithms_are_accepted(edge, post, logs):
    receiver = await edge.http(compression_algorithms=("gzip",))
    assert (await post(receiver, "/v1/logs", gzip.compress(logs()), content_encoding="x-gzip")).status == 200
    for encoding, body in (("deflate", zlib.compress(logs())), ("identity", logs())):
        answer = await post(receiver, "/v1/logs", body, content_encoding=encoding)
        assert answer.status == 415
        assert answer.headers["Accept-Encoding"] == "gzip"
