"""A running receiver's OTLP/HTTP responses, row by row of the table; and the page that shows the table."""

import asyncio
import itertools

import aiohttp
from google.protobuf.json_format import Parse
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from receiver.errors import UnavailableError
from receiver.otlp.auth import BearerAuth
from receiver.otlp.cors import CORSPolicy
from tests.otlp.http_conformance import JSON, LIMIT, ORIGIN, PROTOBUF, TABLE, as_markdown
from tests.support.paths import DOCS

PAGE = DOCS / "otlp-http.md"
SETUPS = {
    "": {},
    "auth": {"auth": BearerAuth(tokens=("s3cret",))},
    "full": {},
    "cors": {"cors": CORSPolicy(allowed_origins=(ORIGIN,))},
}


async def in_chunks(body):
    for start in range(0, len(body), 10_000):
        yield body[start : start + 10_000]


async def ask(session, port, row, body):
    sent = in_chunks(body) if row.chunked else body
    url = f"http://127.0.0.1:{port}{row.path}"
    skipped = () if "Content-Type" in row.sent else ("Content-Type",)
    headers = {k: v for k, v in row.sent.items() if k != "Expect" or v != "100-continue"}
    async with session.request(
        row.method,
        url,
        data=sent,
        headers=headers,
        skip_auto_headers=("Accept-Encoding", *skipped),
        expect100="100-continue" in row.sent.get("Expect", ""),
    ) as response:
        return response.status, response.headers, await response.read()


def read(kind, body, message):
    return Parse(body, message) if kind == JSON else type(message).FromString(body)


async def test_otlp_http_conforms_to_every_row_of_the_table(edge, sink, half_bad_traces, subtests):
    for row in TABLE:
        with subtests.test(row=row.asked):
            sink.requests.clear()
            receiver = await edge.http(max_request_body_size=LIMIT, **SETUPS[row.setup])
            sink.error = UnavailableError("the disk is full", retry_after=6.5) if row.setup == "full" else None
            half_bad = row.body == b"half bad"
            async with aiohttp.ClientSession() as session:
                for _ in range(2):  # the connection is of use after every answer, or closed
                    status, headers, body = await ask(
                        session, receiver.port, row, half_bad_traces if half_bad else row.body
                    )
                    assert status == row.status, body
                    assert headers.get("Content-Type", "").partition(";")[0] == row.kind
                    for name, value in row.answer.items():
                        assert headers[name] == value
                    if row.code is not None:
                        error = read(row.kind, body, Status())
                        assert error.code == row.code
                        assert error.message
                    elif row.status == 200:
                        kind = ExportTraceServiceResponse if half_bad else ExportLogsServiceResponse
                        assert (
                            read(row.kind, body, kind()).partial_success.rejected_spans == 1
                            if half_bad
                            else not body.strip(b"{}")
                        )
            assert [request.items for request in sink.requests] == ([row.records] * 2 if row.records else [])


async def test_requests_of_one_connection_are_answered_in_order(edge, sink, logs):
    receiver = await edge.http()
    reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
    for number in itertools.islice(itertools.count(1), 3):
        body = logs(number)
        head = f"POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: {PROTOBUF}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
    for _ in range(3):
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"Content-Length: 0" in head
    writer.close()
    assert [request.items for request in sink.requests] == [1, 2, 3]


def test_the_otlp_http_page_contains_the_conformance_table():
    assert as_markdown() in PAGE.read_text(encoding="utf-8"), f"write this into {PAGE}:\n{as_markdown()}"
