"""The otlp_http exporter, tested with a real server."""

import json

import pytest
from structlog.testing import capture_logs

from receiver.codec.export_service import export_response
from receiver.codec.otlp_json import response_json
from receiver.errors import ConfigError, PermanentExportError, RetryableExportError
from receiver.exporters.otlp_http import HttpExporter
from receiver.model import SIGNALS
from receiver.net.tls import TLSSettings


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("slash", ["", "/"])
async def test_the_path_of_a_signal_is_added_to_the_endpoint(http_backend, started, signal, slash):
    backend = await http_backend()
    exporter = await started(HttpExporter("otlp_http", f"{backend.endpoint}/otlp{slash}"))

    await exporter.export(signal, b"", 0)

    (received,) = backend.received
    assert (received.method, received.path) == ("POST", f"/otlp/v1/{signal}")


async def test_a_signals_own_endpoint_is_used_unchanged(http_backend, started):
    backend = await http_backend()
    exporter = await started(HttpExporter("otlp_http", traces_endpoint=f"{backend.endpoint}/ingest"))

    await exporter.export("traces", b"", 0)

    assert backend.received[0].path == "/ingest"
    with pytest.raises(PermanentExportError, match="no endpoint for logs"):
        await exporter.export("logs", b"", 0)


@pytest.mark.parametrize(("compression", "encoding"), [("gzip", "gzip"), ("none", None)])
@pytest.mark.parametrize("size", [10, 200_000])
async def test_a_protobuf_body_arrives_unchanged(http_backend, started, request_of, compression, encoding, size):
    backend = await http_backend()
    exporter = await started(
        HttpExporter("otlp_http", backend.endpoint, compression=compression, headers={"X-Scope-OrgID": "dev"})
    )
    body = request_of("n" * size)

    await exporter.export("traces", body, 1)

    (received,) = backend.received
    assert received.body == body
    assert received.headers.get("Content-Encoding") == encoding
    assert received.headers["Content-Type"] == "application/x-protobuf"
    assert received.headers["X-Scope-OrgID"] == "dev"
    assert received.headers["User-Agent"].startswith("opencode-trace-receiver/")


async def test_json_bodies_have_hex_ids(http_backend, started, request_of):
    backend = await http_backend()
    exporter = await started(HttpExporter("otlp_http", backend.endpoint, encoding="json"))

    await exporter.export("traces", request_of("a"), 1)

    (received,) = backend.received
    span = json.loads(received.body)["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    assert received.headers["Content-Type"] == "application/json"
    assert (span["name"], span["spanId"]) == ("a", "0000000000000001")


async def test_a_body_that_cannot_become_json_is_a_permanent_error(http_backend, started):
    exporter = await started(HttpExporter("otlp_http", (await http_backend()).endpoint, encoding="json"))

    with pytest.raises(PermanentExportError, match="not an Export request for traces"):
        await exporter.export("traces", b"\xff", 1)


@pytest.mark.parametrize(
    ("content_type", "encode"),
    [
        ("application/x-protobuf", lambda message: message.SerializeToString()),
        ("application/json; charset=utf-8", response_json),
    ],
)
async def test_a_partial_success_is_reported_and_no_error(http_backend, started, content_type, encode):
    backend = await http_backend()
    answer = export_response("traces", 2, "too old")
    backend.answers.append({"body": encode(answer), "headers": {"Content-Type": content_type}})
    rejections = []
    exporter = await started(
        HttpExporter("otlp_http", backend.endpoint, on_rejected=lambda *args: rejections.append(args))
    )

    with capture_logs() as logs:
        await exporter.export("traces", b"", 3)

    assert rejections == [("traces", 2, "too old")]
    assert logs == []  # whoever listens says it, once


@pytest.mark.parametrize("content_type", ["text/html", "text/html; charset=utf-8"])
async def test_a_web_page_with_status_200_is_a_permanent_error(http_backend, started, content_type):
    backend = await http_backend()
    backend.answers.append({"body": b"<html>Jaeger UI</html>", "headers": {"Content-Type": content_type}})
    exporter = await started(HttpExporter("otlp_http", backend.endpoint))

    with pytest.raises(PermanentExportError, match="a web page, which OTLP never is"):
        await exporter.export("traces", b"", 3)


@pytest.mark.parametrize("content_type", ["text/plain", "application/json", "application/x-protobuf"])
async def test_any_other_2xx_response_is_a_success(http_backend, started, content_type):
    backend = await http_backend()
    backend.answers.append({"body": b"", "headers": {"Content-Type": content_type}})
    await (await started(HttpExporter("otlp_http", backend.endpoint))).export("traces", b"", 3)
    assert len(backend.received) == 1


async def test_a_backend_without_http_gives_an_error_without_its_bytes(grpc_backend, started):
    backend = await grpc_backend()
    exporter = await started(HttpExporter("otlp_http", f"http://{backend.endpoint}"))

    with pytest.raises(RetryableExportError) as caught:
        await exporter.export("traces", b"", 3)

    assert str(caught.value) == (
        f"http://{backend.endpoint}/v1/traces: Bad status line: "
        "(that port speaks no HTTP: use the backend's HTTP port, often 4318, or otlp_grpc)"
    )


async def test_tls_to_a_plaintext_port_gives_an_error_without_python_objects(http_backend, started):
    backend = await http_backend()
    exporter = await started(HttpExporter("otlp_http", backend.endpoint.replace("http://", "https://")))

    with pytest.raises(RetryableExportError, match=r"WRONG_VERSION_NUMBER.*\(that port speaks no TLS") as caught:
        await exporter.export("traces", b"", 3)

    assert "object at" not in str(caught.value)


async def test_a_host_name_that_does_not_exist_is_reported(started):
    exporter = await started(HttpExporter("otlp_http", "http://no-such-host.invalid:4318"))

    with pytest.raises(RetryableExportError, match=r"no-such-host\.invalid cannot be resolved: .*check the host name"):
        await exporter.export("traces", b"", 3)


async def test_a_refusal_is_a_permanent_error_with_the_backends_message(http_backend, started):
    backend = await http_backend()
    backend.answers.append({"status": 401, "text": "token expired"})
    exporter = await started(HttpExporter("otlp_http", backend.endpoint))

    with pytest.raises(PermanentExportError, match="/v1/traces: HTTP 401: token expired"):
        await exporter.export("traces", b"", 0)


async def test_throttling_is_retryable_with_the_backends_delay(http_backend, started):
    backend = await http_backend()
    backend.answers.append({"status": 429, "headers": {"Retry-After": "11"}})
    exporter = await started(HttpExporter("otlp_http", backend.endpoint))

    with pytest.raises(RetryableExportError) as caught:
        await exporter.export("traces", b"", 0)

    assert caught.value.retry_after == 11


async def test_a_redirect_is_not_followed(http_backend, started):
    backend = await http_backend()
    backend.answers.append({"status": 302, "headers": {"Location": f"{backend.endpoint}/login"}})
    exporter = await started(HttpExporter("otlp_http", backend.endpoint))

    with pytest.raises(PermanentExportError, match=r"redirected to .*/login"):
        await exporter.export("traces", b"", 0)
    assert backend.received == []


async def test_only_the_beginning_of_a_long_response_is_read(http_backend, started):
    backend = await http_backend()
    backend.answers.append({"status": 400, "body": b"no " * 1_000_000})
    exporter = await started(HttpExporter("otlp_http", backend.endpoint))

    with pytest.raises(PermanentExportError) as caught:
        await exporter.export("traces", b"", 0)

    assert len(str(caught.value)) < 500


async def test_a_refused_connection_is_retryable(started, unused_tcp_port):
    exporter = await started(HttpExporter("otlp_http", f"http://localhost:{unused_tcp_port}"))

    with pytest.raises(RetryableExportError, match="Connection refused"):
        await exporter.export("traces", b"", 0)


async def test_an_attempt_without_response_ends_after_the_timeout(started, silent_port):
    exporter = await started(HttpExporter("otlp_http", f"http://127.0.0.1:{silent_port}", timeout=0.2))

    with pytest.raises(RetryableExportError, match="no answer in time"):
        await exporter.export("traces", b"", 0)


async def test_http_export_over_tls(http_backend, started, certificates):
    backend = await http_backend(certificates.http_server())
    exporter = await started(HttpExporter("otlp_http", backend.endpoint, tls=TLSSettings(ca_file=certificates.ca_file)))

    await exporter.export("traces", b"", 0)

    assert len(backend.received) == 1


async def test_an_unknown_ca_is_trusted_only_with_insecure_skip_verify(http_backend, started, certificates):
    backend = await http_backend(certificates.http_server())
    careful = await started(HttpExporter("otlp_http", backend.endpoint))
    careless = await started(HttpExporter("otlp_http", backend.endpoint, tls=TLSSettings(insecure_skip_verify=True)))

    with pytest.raises(RetryableExportError, match="certificate"):
        await careful.export("traces", b"", 0)
    await careless.export("traces", b"", 0)

    assert len(backend.received) == 1


@pytest.mark.parametrize("endpoint", ["", "localhost:4318"])
def test_a_malformed_http_endpoint_fails_when_the_exporter_is_made(endpoint):
    with pytest.raises(ConfigError, match="endpoint: "):
        HttpExporter("otlp_http", endpoint)
