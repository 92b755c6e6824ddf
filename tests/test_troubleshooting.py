"""Each thing that breaks in docs/troubleshooting.md is broken here, and what an operator then sees is what the page
says.
"""

from __future__ import annotations

import http.server
import itertools
import json
import re
import socket
import ssl
import string
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
import trustme

from receiver import config
from receiver.codec.export_service import EXPORT_SERVICES
from receiver.telemetry.instruments import NAMES
from tests.otlp_splitting import DATA, joined, recorded
from tests.processes import Backend, Receiver, renamed, until

PAGE = re.sub(r"\s+", " ", (Path(__file__).parent.parent / "docs" / "troubleshooting.md").read_text(encoding="utf-8"))
CAPTURE = recorded("parallel-nested")


def told(*phrases: str) -> None:
    """The page quotes them."""
    assert [phrase for phrase in phrases if phrase not in PAGE] == []


def address(receiver: Receiver, door: str) -> str:
    """Where one of its doors listens."""
    said = (json.loads(line) for line in receiver.log.splitlines() if line.startswith("{"))
    return next(str(one["endpoint"]) for one in said if one["event"] == "listening" and one["protocol"] == door)


def metrics(receiver: Receiver) -> str:
    with urllib.request.urlopen(f"http://{address(receiver, 'metrics')}/metrics") as answer:
        return str(answer.read().decode())


def command(receiver: Receiver, *arguments: str) -> str:
    """What one of the commands that ask a running receiver prints."""
    asked = [sys.executable, "-m", "receiver", *arguments, "--endpoint", address(receiver, "admin")]
    done = subprocess.run(asked, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def receiver(tmp_path):
    made = Receiver(tmp_path / "receiver")
    yield made
    made.kill()


@pytest.fixture
def backend():
    started = Backend().start()
    yield started
    started.stop()


def sending_to(receiver: Receiver, **exporters: dict[str, object]) -> None:
    retry = {"initial_interval": "100ms", "max_interval": "300ms"}
    receiver.settings["exporters"] = {
        name.replace("__", "/"): {"timeout": "2s", "retry_on_failure": retry, **body}
        for name, body in exporters.items()
    }


# nothing arrives


def test_a_silent_plugin_counts_nothing(receiver):
    receiver.start()
    counted = re.compile(r"^otelcol_receiver_(?:accepted|refused)_.* [1-9]", re.MULTILINE)
    assert not counted.search(metrics(receiver))
    told("`otelcol_receiver_accepted_*` stay at 0")
    receiver.send(CAPTURE[0])
    assert counted.search(metrics(receiver))


def test_where_nobody_listens_replay_says_so():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{one.getsockname()[1]}"
        asked = [sys.executable, "-m", "receiver", "replay", str(DATA / "parallel-nested"), "--endpoint", nobody]
        done = subprocess.run(asked, capture_output=True, text=True)
    assert done.returncode == 1
    for phrase in ("Connection refused", "is a receiver running there?"):
        assert phrase in done.stderr
        told(phrase)


def test_a_variable_that_names_the_receiver_itself_is_told(tmp_path):
    variable = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "HOME": str(tmp_path)}
    (notice,) = config.load([], [], variable).notices
    phrase = "names this receiver itself, so it is not used; traces are shown by the debug exporter"
    assert phrase in notice
    told(phrase)


def test_grpc_to_the_http_port_works(receiver):
    receiver.start()
    with grpc.insecure_channel(receiver.http) as channel:
        export = channel.unary_unary(f"/{EXPORT_SERVICES['logs'].name}/Export")
        assert export(CAPTURE[0].body, timeout=10) == b""
    told("| gRPC | 4318 | works")


def test_http_to_the_grpc_port_works(receiver):
    receiver.start()
    body, headers = CAPTURE[0].body, {"Content-Type": "application/x-protobuf"}
    asked = urllib.request.Request(f"http://{receiver.grpc}/v1/logs", body, headers)
    with urllib.request.urlopen(asked, timeout=10) as answer:
        assert answer.status == 200
    told("| HTTP | 4317 | works")


def test_another_path_is_answered_with_the_right_ones(receiver):
    receiver.start()
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(urllib.request.Request(f"http://{receiver.http}/logs", b"x"), timeout=10)
    assert error.value.code == 404
    phrase = "OTLP/HTTP is at /v1/logs, /v1/metrics, /v1/traces"
    assert phrase in error.value.read().decode()
    told(phrase)


def test_tls_to_a_door_without_it_fails_at_the_client(receiver):
    receiver.start()
    for door in (receiver.grpc, receiver.http):
        host, _, port = door.rpartition(":")
        with (
            socket.create_connection((host, int(port)), timeout=10) as plain,
            pytest.raises(ssl.SSLError, match=r"(?i)wrong.version.number"),
        ):
            ssl.create_default_context().wrap_socket(plain, server_hostname=host)
    told("wrong version number")


@pytest.mark.parametrize(
    ("given", "phrase"),
    [
        ((), "no credentials: send them in the authorization header"),
        ((("authorization", "Bearer wrong"),), "the bearer token is not valid"),
    ],
)
def test_a_wrong_token_is_seen_on_both_sides(receiver, given, phrase):
    receiver.settings["receivers"]["otlp"]["protocols"]["grpc"]["auth"] = {"bearer_token": "right"}
    receiver.start()
    with grpc.insecure_channel(receiver.grpc) as channel:
        export = channel.unary_unary(f"/{EXPORT_SERVICES['logs'].name}/Export")
        with pytest.raises(grpc.RpcError) as error:
            export(CAPTURE[0].body, timeout=10, metadata=given)
    assert (error.value.code(), error.value.details()) == (grpc.StatusCode.UNAUTHENTICATED, phrase)
    until(lambda: f"refused: {phrase}" in receiver.log, "a line in the log")
    told(phrase, "UNAUTHENTICATED", "grpc request from ipv4:", "opencode_trace_receiver_requests_refused")
    assert re.search(r'requests_refused\{reason="unauthenticated",transport="grpc"} 1', metrics(receiver))
    assert "grpc request from ipv4:127.0.0.1" in receiver.log


# it does not leave


def test_a_backend_that_is_gone_is_waited_for(receiver, backend):
    sending_to(receiver, otlp_grpc={"endpoint": f"http://127.0.0.1:{backend.port}"})
    backend.stop()
    receiver.start()
    receiver.send(*CAPTURE)
    until(lambda: "export failed; will retry" in receiver.log, "a failed attempt")
    assert "Connection refused" in receiver.log
    told("export failed; will retry", "Connection refused")
    with urllib.request.urlopen(f"http://{address(receiver, 'health')}/") as answer:
        assert answer.status == 200
    waits = re.search(r"^otelcol_exporter_queue_size\{.*\} (\d+)$", metrics(receiver), re.MULTILINE)
    assert waits is not None
    assert int(waits[1]) > 0
    assert "otlp_grpc" in command(receiver, "queue")
    backend.start()
    until(lambda: backend.spans() == receiver.expected(CAPTURE), "every span")


class NoOTLP(http.server.BaseHTTPRequestHandler):
    """A web server that is no backend."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def website() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), NoOTLP)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("exporter", "endpoint", "reason"),
    [
        ("otlp_grpc", "http://127.0.0.1:{website}", "Failed parsing HTTP/2"),
        ("otlp_grpc", "https://127.0.0.1:{website}", "WRONG_VERSION_NUMBER"),
        ("otlp_http", "http://127.0.0.1:{backend}", "Bad status line"),
    ],
)
def test_a_wrong_address_of_the_backend_is_told_by_its_reason(receiver, backend, website, exporter, endpoint, reason):
    sending_to(receiver, **{exporter: {"endpoint": endpoint.format(website=website, backend=backend.port)}})
    receiver.start()
    receiver.send(*CAPTURE)
    until(lambda: "export failed; will retry" in receiver.log, "a failed attempt")
    until(lambda: reason in receiver.log, reason)
    told(reason)


def test_what_a_backend_refuses_is_set_aside_and_sent_again_when_it_is_mended(receiver, backend):
    sending_to(receiver, otlp_grpc={"endpoint": f"http://127.0.0.1:{backend.port}"})
    backend.refuse = lambda body: grpc.StatusCode.UNAUTHENTICATED
    receiver.start()
    receiver.send(*CAPTURE)
    expected = receiver.expected(CAPTURE)
    until(lambda: "batch set aside" in receiver.log, "the refusal")
    until(lambda: f"{len(expected)} items" in command(receiver, "queue"), "everything set aside")
    assert "UNAUTHENTICATED" in command(receiver, "queue")
    told("batch set aside", "UNAUTHENTICATED")
    backend.received["traces"].clear()
    backend.refuse = lambda body: None
    command(receiver, "resend")
    until(lambda: backend.spans() == expected, "every span")


def test_a_wrong_path_at_the_backend_is_refused_for_good(receiver, website, tmp_path):
    other = Receiver(tmp_path / "other").start()
    try:
        sending_to(receiver, otlp_http={"endpoint": f"http://{other.http}/nowhere"})
        receiver.start()
        receiver.send(*CAPTURE)
        until(lambda: "batch set aside" in receiver.log, "the refusal")
        assert "HTTP 404" in receiver.log
        told("HTTP 404")
    finally:
        other.kill()


def test_a_full_store_is_said_to_clients_and_in_the_log(receiver):
    receiver.settings["extensions"]["file_storage"]["max_size_mib"] = 1
    sending_to(receiver, otlp_grpc={"endpoint": "http://127.0.0.1:9"})
    receiver.start()
    requests = itertools.chain.from_iterable(
        joined(renamed(CAPTURE, first + second), 100)
        for first, second in itertools.product(string.ascii_letters, repeat=2)
    )
    with pytest.raises(grpc.RpcError) as error:
        receiver.send(*requests)
    assert error.value.code() is grpc.StatusCode.UNAVAILABLE
    for words in (error.value.details(), receiver.log):
        assert "the store is full" in words
    told("the store is full")


def test_a_certificate_of_an_unknown_authority_is_told(receiver):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), NoOTLP)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        sending_to(receiver, otlp_grpc={"endpoint": f"https://127.0.0.1:{server.server_port}"})
        receiver.start()
        receiver.send(*CAPTURE)
        until(lambda: "export failed; will retry" in receiver.log, "a failed attempt")
        until(lambda: "CERTIFICATE_VERIFY_FAILED" in receiver.log, "the reason")
        told("CERTIFICATE_VERIFY_FAILED")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# names


def test_every_metric_and_command_of_the_page_exists():
    for name in re.findall(r"\b(?:otelcol|opencode_trace_receiver)_[a-z_]*[a-z]\b", PAGE):
        assert any(known.startswith(name) for known in NAMES), name
    help_ = subprocess.run([sys.executable, "-m", "receiver", "--help"], capture_output=True, text=True).stdout
    for name in re.findall(r"`?opencode-trace-receiver ([a-z]+)", PAGE):
        assert name in help_, name
