"""Whatever clients send to whichever endpoint, the log gets a bounded number of lines."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import urllib.error
import urllib.request

import grpc
import pytest

from receiver.codec.export_service import EXPORT_SERVICES
from tests.support.certificates import Certificates
from tests.support.factories import logs_request
from tests.support.operator_endpoints import relay
from tests.support.processes import Receiver

pytestmark = pytest.mark.process

MANY = 60  # of each; ten lines a minute pass for one text, and there are few texts
INJECTED = "%0aFORGED%1b%5b31m"
HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
GARBAGE = {
    "bytes": os.urandom(64),
    "like TLS": b"\x16\x03\x01\x00\x20\x01" + bytes(64),
    "like HTTP/2": HTTP2 + b"\xff" * 64,
    "bad length": b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: zz\r\n\r\n",
    "bad header": b"POST /v1/logs HTTP/1.1\r\nHost: x\r\nX: \x1b[31m\nFORGED\x00\r\n\r\n",
}


@pytest.fixture(scope="module", params=["plain", "tls"])
def receiver(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("flood")
    made = Receiver(folder / "receiver")
    if request.param == "tls":
        certificates = Certificates(folder)
        files = {"cert_file": certificates.tls.cert_file, "key_file": certificates.tls.key_file}
        for protocol in made.settings["receivers"]["otlp"]["protocols"].values():
            protocol |= {"tls": files, "auth": {"bearer_token": "hunter2"}}
    made.start()
    yield made
    made.kill()


def ports_of(receiver: Receiver) -> dict[str, int]:
    events = [json.loads(line) for line in receiver.log.splitlines()]
    found = {event["protocol"]: event["endpoint"] for event in events if event["event"] == "listening"}
    return {name: int(endpoint.rpartition(":")[2]) for name, endpoint in found.items()}


def throw(port: int, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as one:
        one.sendall(data)
        one.shutdown(socket.SHUT_WR)
        try:
            while one.recv(4096):
                pass
        except OSError:
            pass


def post(port: int, path: str, body: bytes, **headers: str) -> None:
    kind = {"Content-Type": "application/x-protobuf"} | {name.replace("_", "-"): v for name, v in headers.items()}
    with contextlib.suppress(urllib.error.HTTPError, ConnectionError):
        urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, kind)).read()


def call(port: int, method: str, body: bytes) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        for number in range(MANY):
            with contextlib.suppress(grpc.RpcError):
                channel.unary_unary(method)(body, metadata=(("authorization", f"Bearer guessed{number}"),), timeout=60)


def test_no_client_can_fill_the_log(receiver):
    ports = ports_of(receiver)
    before = len(receiver.log.splitlines())
    assert sorted(ports) == ["admin", "grpc", "health", "http", "metrics"]
    for port in ports.values():
        for data in GARBAGE.values():
            for _ in range(MANY):
                throw(port, data)
    for number in range(MANY):
        post(ports["http"], f"/v1/{number}{INJECTED}", b"x", authorization=f"Bearer guessed{number}")
        post(ports["http"], "/v1/logs", b"\xff\xff hunter2", authorization=f"Bearer guessed{number}")
        post(ports["http"], "/v1/logs", b'{"resourceLogs": "hunter2', content_type="application/json")
        post(ports["http"], "/v1/logs", b"hunter2", content_encoding="gzip")
        post(ports["http"], "/v1/logs", logs_request(*relay("hunter2"), scope="?").body)
        post(ports["health"], f"/{INJECTED}", b"")
        post(ports["metrics"], f"/{INJECTED}", b"")
    call(ports["grpc"], f"/{EXPORT_SERVICES['logs'].name}/Export", b"\xff\xff hunter2")
    call(ports["grpc"], "/x.y/Z", b"")
    call(ports["admin"], "/x.y/Z", b"")
    receiver.stop()
    lines = receiver.log.splitlines()[before:]
    assert len(lines) <= 20, "\n".join(lines)
    assert all(json.loads(line)["level"] in ("info", "warning") for line in lines), "\n".join(lines)
    for word in ("hunter2", "guessed", "FORGED\n"):
        assert not [line for line in lines if word in line]
