"""Each thing that a backend may do to a receiver, by docs/troubleshooting.md, is done here by a real one, and what an
operator then sees is what the page says.
"""

from __future__ import annotations

import re
import socketserver
import ssl
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import grpc
import pytest
import trustme

from receiver.codec.export_service import export_response
from tests.support.processes import Backend, Receiver, until
from tests.support.troubleshooting_page import CAPTURE, address, command, lines, metrics, sending_to, told, website

pytestmark = pytest.mark.process

GO = "Client sent an HTTP request to an HTTPS server"  # net/http's words, as the Collector 0.155 says them


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
    shown = command(receiver, "queue")
    assert "otlp_grpc" in shown
    assert re.search(r"^ *otlp_grpc +\d+s ago +\d+ .*Connection refused", shown, re.MULTILINE), shown
    told("sending fails, and is retried")
    backend.start()
    until(lambda: backend.spans() == receiver.expected(CAPTURE), "every span")
    until(lambda: "export works again" in receiver.log, "a line in the log")
    until(lambda: "failing" not in command(receiver, "queue"), "nothing that fails")
    told("export works again")


def test_a_wrong_address_of_the_backend_is_told_by_its_reason(receiver, backend):
    """One exporter for each: what it says is in its own lines."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    with ExitStack() as stack, authority.cert_pem.tempfile() as ca:
        plain, secure = stack.enter_context(website()), stack.enter_context(website(context=tls))
        wrong = {
            "otlp_grpc__http": (f"http://127.0.0.1:{plain}", "Failed parsing HTTP/2", "or otlp_http"),
            "otlp_grpc__two": (f"http://localhost:{plain}", "Failed parsing HTTP/2", "or otlp_http"),
            "otlp_grpc__tls": (f"https://127.0.0.1:{plain}", "WRONG_VERSION_NUMBER", "write http://"),
            "otlp_http__tls": (f"https://127.0.0.1:{plain}", "WRONG_VERSION_NUMBER", "write http://"),
            "otlp_grpc__plain": (f"http://127.0.0.1:{secure}", "Connection reset by peer", "write https://"),
            "otlp_http__plain": (f"http://127.0.0.1:{secure}", "Connection reset by peer", "write https://"),
            "otlp_grpc__go": (
                f"http://127.0.0.1:{stack.enter_context(closing_port())}",
                "Socket closed",
                "write https://",
            ),
            "otlp_grpc__ca": (f"https://127.0.0.1:{secure}", "CERTIFICATE_VERIFY_FAILED", "set tls::ca_file"),
            "otlp_http__ca": (f"https://127.0.0.1:{secure}", "CERTIFICATE_VERIFY_FAILED", "set tls::ca_file"),
            "otlp_grpc__alpn": (f"https://127.0.0.1:{secure}", "missing selected ALPN", "or otlp_http"),
            "otlp_http__grpc": (f"http://127.0.0.1:{backend.port}", "Bad status line", "or otlp_grpc"),
            "otlp_grpc__dns": ("http://no-such-host.invalid:4317", "errors resolving", "check the host name"),
            "otlp_http__dns": ("http://no-such-host.invalid:4318", "cannot be resolved", "check the host name"),
        }
        sending_to(receiver, **{name: {"endpoint": endpoint} for name, (endpoint, _, _) in wrong.items()})
        receiver.settings["exporters"]["otlp_grpc/alpn"]["tls"] = {"ca_file": ca}
        receiver.start()
        receiver.send(*CAPTURE)
        for name, (_, reason, remedy) in wrong.items():
            exporter = name.replace("__", "/")
            until(lambda e=exporter, r=reason: any(r in why for why in reasons(receiver, e)), f"{reason} of {exporter}")
            assert all(remedy in why for why in reasons(receiver, exporter) if reason in why)
            told(reason)
        # gRPC says once that 127.0.0.1 speaks no gRPC, and from then on that nobody listens at ::1
        until(lambda: len(reasons(receiver, "otlp_grpc/two")) > 3, "more attempts")
        assert all("Failed parsing HTTP/2" in why for why in reasons(receiver, "otlp_grpc/two")[1:])
        told("before that")


@contextmanager
def closing_port() -> Iterator[int]:
    """A server that closes what it does not understand, as grpc-go does with clear text where it wants TLS."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def reasons(receiver: Receiver, exporter: str) -> list[str]:
    """Why it is tried again, attempt by attempt."""
    return [one["error"] for one in lines(receiver, "export failed; will retry") if one["exporter"] == exporter]


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


def test_what_a_backend_refuses_for_good_is_told_by_its_words_once(receiver, backend):
    page = {"Content-Type": "text/html"}
    with ExitStack() as stack:
        sites = {
            "otlp_http__token": (website(401), "HTTP 401", "check headers::authorization"),
            "otlp_http__rights": (website(403), "HTTP 403", "check headers::authorization"),
            "otlp_http__path": (website(404), "HTTP 404", "check the path of the endpoint"),
            "otlp_http__data": (website(400, body=b"too old"), "HTTP 400", "too old"),
            "otlp_http__tls": (website(400, body=GO.encode()), GO, "write https://"),
            "otlp_http__moved": (website(302, {"Location": "https://x.example"}), "redirected to", "https://x.example"),
            "otlp_http__page": (
                website(200, page, b"<html>Jaeger UI</html>"),
                "answered with a web page, which OTLP never is",
                "check the endpoint",
            ),
        }
        ports = {name: stack.enter_context(site) for name, (site, _, _) in sites.items()}
        sending_to(
            receiver,
            otlp_grpc={"endpoint": f"http://127.0.0.1:{backend.port}"},
            **{name: {"endpoint": f"http://127.0.0.1:{port}"} for name, port in ports.items()},
        )
        backend.refuse = lambda body: grpc.StatusCode.PERMISSION_DENIED
        receiver.start()
        receiver.send(*CAPTURE)
        expected = len(receiver.expected(CAPTURE))
        told_of = {**{n: (w, r) for n, (_, w, r) in sites.items()}}
        told_of["otlp_grpc"] = ("PERMISSION_DENIED", "check headers::authorization")
        for name, (words, remedy) in told_of.items():
            exporter = name.replace("__", "/")
            all_of_it = f'opencode_trace_receiver_items_set_aside{{exporter="{exporter}"}} {expected}\n'
            until(lambda text=all_of_it: text in metrics(receiver), f"everything of {exporter}")
            (line,) = (one for one in lines(receiver, "batch set aside") if one["exporter"] == exporter)
            assert words in line["reason"]
            assert remedy in line["reason"]
            assert line["then"] == "opencode-trace-receiver resend"
            told(words)
    told("once a minute for the same words", "opencode-trace-receiver resend")


def test_a_backend_that_wants_time_gets_it(receiver):
    with website(429, {"Retry-After": "60"}) as busy, website(503, {"Retry-After": "60"}) as away:
        ports = {429: busy, 503: away}
        sending_to(receiver, **{f"otlp_http__{s}": {"endpoint": f"http://127.0.0.1:{p}"} for s, p in ports.items()})
        receiver.start()
        receiver.send(*CAPTURE)
        for status in ports:
            exporter = f"otlp_http/{status}"
            until(lambda exporter=exporter: reasons(receiver, exporter), "an attempt")
            (line,) = [one for one in lines(receiver, "export failed; will retry") if one["exporter"] == exporter]
            assert line["delay_seconds"] == 60
            assert f"HTTP {status}" in line["error"]
            told(f"HTTP {status}")
    told("what it says in `Retry-After` is kept to")


def test_what_a_backend_takes_in_part_is_said_once_and_counted(receiver):
    answer = export_response("traces", 2, "too old").SerializeToString()
    with website(200, {"Content-Type": "application/x-protobuf"}, answer) as port:
        sending_to(receiver, otlp_http={"endpoint": f"http://127.0.0.1:{port}"})
        receiver.start()
        receiver.send(*CAPTURE)
        counted = re.compile(r'opencode_trace_receiver_items_rejected{exporter="otlp_http",signal="traces"} (\d+)')
        until(lambda: (found := counted.search(metrics(receiver))) and int(found[1]) > 2, "more than one batch")
    phrase = "the backend took a batch only in part"
    (line,) = lines(receiver, phrase)
    assert (line["rejected"], line["message"]) == (2, "too old")
    told(phrase, "opencode_trace_receiver_items_rejected")
