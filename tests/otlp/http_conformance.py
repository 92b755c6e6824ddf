"""OTLP/HTTP's responses as a table: the request, the required response, and the Collector's.

Data only. test_http_conformance.py asks a running receiver row by row, and holds docs/otlp-http.md equal to this table.
"""

import gzip
import sys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import cramjam
import lz4.frame
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PROTOBUF, JSON, TEXT = "application/x-protobuf", "application/json", "text/plain"
LIMIT = 100_000  # bytes that the receiver of the test takes
ORIGIN = "https://app.example.com"


def logs(records=1, size=0):
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    for number in range(records):
        scope.log_records.add(time_unix_nano=number + 1).body.string_value = "x" * size
    return request.SerializeToString()


GOOD = logs(2)
GOOD_JSON = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"1"},{"timeUnixNano":2}]}]}]}'
STRANGE_JSON = (
    b'{"resourceLogs":[{"futureField":{"a":[1]},"scopeLogs":[{"logRecords":['
    b'{"timeUnixNano":"18446744073709551615","severityNumber":9,"traceId":"5B8EFFF798038103D269B633813FC60C",'
    b'"spanId":"eee19b7ec3c1b174","body":{"intValue":"-9223372036854775808"}}]}]}]}'
)
BARE_JSON = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":"text"}]}]}]}'
BOMB = bytes(4 << 20)


@dataclass(frozen=True)
class Row:
    """`status`, `kind` (content type), `code` (of the google.rpc.Status in the body) and `answer` headers are expected;
    `collector` is what the Collector's otlpreceiver does where it is not the same.
    """

    asked: str
    status: int
    method: str = "POST"
    path: str = "/v1/logs"
    body: bytes | None = GOOD
    sent: Mapping[str, str] = field(default_factory=dict)
    kind: str = PROTOBUF
    code: int | None = None
    answer: Mapping[str, str] = field(default_factory=dict)
    records: int = 0
    collector: str = "the same"
    setup: str = ""  # auth, full, cors
    chunked: bool = False


def pb(asked, status=200, body=GOOD, **rest):
    sent = {"Content-Type": PROTOBUF, **rest.pop("sent", {})}
    return Row(asked, status, body=body, sent=sent, **rest)


def json(asked, status=200, body=GOOD_JSON, **rest):
    sent = {"Content-Type": JSON, **rest.pop("sent", {})}
    return Row(asked, status, body=body, sent=sent, kind=JSON, **rest)


def packed(name, pack, **rest):
    encoded = {"Content-Encoding": name}
    yield pb(f"`Content-Encoding: {name}`", body=pack(GOOD), sent=encoded, records=2, **rest)
    yield pb(f"{name}, cut short", 400, pack(logs(50))[:-3], sent=encoded, code=3, **rest)
    yield pb(
        f"{name}, larger than the limit once undone", 413, pack(BOMB), sent=encoded, code=8, collector="400", setup=""
    )


TABLE = (
    # success
    pb("POST, protobuf", records=2),
    json("POST, JSON", records=2),
    pb("`Content-Type` with a charset, in any case", sent={"Content-Type": "Application/X-Protobuf; a=b"}, records=2),
    json("the same with JSON", sent={"Content-Type": "application/JSON; charset=UTF-8"}, records=2),
    pb("an empty body (no records)", body=b""),
    json("`{}` (no records)", body=b"{}"),
    json("JSON: unknown fields, hex ids in any case, int64 as strings, enums as numbers", body=STRANGE_JSON, records=1),
    pb("`Transfer-Encoding: chunked`", records=2, chunked=True),
    pb("`Expect: 100-continue`", sent={"Expect": "100-continue"}, records=2),
    pb("a query after the path", path="/v1/logs?x=1", records=2),
    pb(
        "some spans are invalid: partial success",
        path="/v1/traces",
        body=b"half bad",
        records=1,
        collector="takes them",
    ),
    # content encodings
    pb("`Content-Encoding: identity`", sent={"Content-Encoding": "identity"}, records=2, collector="not compared"),
    *packed("gzip", gzip.compress),
    *packed("deflate", zlib.compress),
    *packed("zlib", zlib.compress),
    *packed("zstd", zstd.compress),
    *packed("lz4", lz4.frame.compress),
    *packed("snappy", lambda data: bytes(cramjam.snappy.compress_raw(data))),
    *packed("x-snappy-framed", lambda data: bytes(cramjam.snappy.compress(data))),
    pb("gzip in gzip, named once", 400, gzip.compress(gzip.compress(GOOD)), sent={"Content-Encoding": "gzip"}, code=3),
    pb(
        "`Content-Encoding: gzip, gzip`, or one that is not known (`br`)",
        415,
        sent={"Content-Encoding": "br"},
        code=3,
        answer={"Accept-Encoding": "gzip, zstd, snappy, deflate, lz4, x-snappy-framed"},
        collector="400",
    ),
    # bad bodies
    pb("a body that is not protobuf", 400, b"hello", code=3),
    json("a body that is not JSON", 400, b"{", code=3),
    json("JSON of another shape", 400, b'{"resourceLogs":1}', code=3),
    json("JSON with a text where a value is to be", 400, BARE_JSON, code=3),
    json("an empty body with JSON's content type", 400, b"", code=3),
    json("JSON nested 100,000 deep", 400, b"[" * 99_999, code=3),
    pb("a body larger than the limit", 413, logs(1, 2 * LIMIT), code=8, collector="400"),
    pb("the same, chunked", 413, logs(1, 2 * LIMIT), code=8, collector="400", chunked=True),
    # what is no Export request
    *(
        pb(
            f"{method}",
            405,
            None,
            method=method,
            code=12,
            answer={"Allow": "POST"},
            collector="in text, without `Allow`",
        )
        for method in ("GET", "PUT", "DELETE", "PATCH")
    ),
    Row("HEAD", 405, "HEAD", body=None, kind=TEXT, answer={"Allow": "POST"}, collector="without `Allow`"),
    Row(
        "OPTIONS, without `cors`",
        405,
        "OPTIONS",
        body=None,
        kind=TEXT,
        answer={"Allow": "POST"},
        collector="without `Allow`",
    ),
    pb("another path", 404, path="/v1/log", code=5, collector="in text"),
    pb("a slash behind the path", 404, path="/v1/logs/", code=5, collector="in text"),
    Row(
        "another content type",
        415,
        sent={"Content-Type": "text/plain"},
        kind=TEXT,
        answer={"Accept-Post": f"{PROTOBUF}, {JSON}"},
    ),
    Row("no content type", 415, sent={}, kind=TEXT, answer={"Accept-Post": f"{PROTOBUF}, {JSON}"}),
    pb("another expectation than 100-continue", 417, sent={"Expect": "the-moon"}, code=3, collector="in text"),
    # who may send, and whether it can be kept
    pb(
        "no credentials, where they are asked for",
        401,
        code=16,
        answer={"WWW-Authenticate": "Bearer"},
        setup="auth",
        collector="in text",
    ),
    pb(
        "wrong credentials",
        401,
        sent={"Authorization": "Bearer no"},
        code=16,
        answer={"WWW-Authenticate": "Bearer"},
        setup="auth",
        collector="in text",
    ),
    pb("credentials", sent={"Authorization": "Bearer s3cret"}, setup="auth", records=2),
    pb("the store cannot be written", 503, code=14, answer={"Retry-After": "7"}, setup="full"),
    json("the same with JSON", 503, code=14, answer={"Retry-After": "7"}, setup="full"),
    # browsers
    Row(
        "CORS: a preflight from an allowed origin",
        204,
        "OPTIONS",
        body=None,
        sent={
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type",
        },
        kind="",
        answer={"Access-Control-Allow-Origin": ORIGIN, "Access-Control-Allow-Headers": "content-type"},
        setup="cors",
    ),
    pb(
        "CORS: a request from an allowed origin",
        sent={"Origin": ORIGIN},
        answer={"Access-Control-Allow-Origin": ORIGIN},
        setup="cors",
        records=2,
    ),
    pb(
        "CORS: an error is readable too",
        400,
        b"x",
        sent={"Origin": ORIGIN},
        code=3,
        answer={"Access-Control-Allow-Origin": ORIGIN},
        setup="cors",
    ),
)


def as_markdown():
    """The table as the page shows it."""
    lines = [
        "| request | answer | content type | status code in the body | headers | the Collector |",
        "|---|---|---|---|---|---|",
    ]
    for row in TABLE:
        code = "" if row.code is None else str(row.code)
        headers = ", ".join(f"`{name}: {value}`" for name, value in row.answer.items())
        cells = (row.asked, str(row.status), f"`{row.kind}`" if row.kind else "", code, headers, row.collector)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
