"""The otlp_grpc exporter, tested with a real server."""

import asyncio

import grpc
import pytest
from structlog.testing import capture_logs

from receiver.codec.export_service import export_response
from receiver.errors import ConfigError, PermanentExportError, RetryableExportError
from receiver.exporters.otlp_grpc import GrpcExporter
from receiver.model import SIGNALS
from receiver.net.tls import TLSSettings

PLAIN = TLSSettings(insecure=True)


@pytest.mark.parametrize("signal", SIGNALS)
async def test_the_bytes_arrive_unchanged_over_grpc(grpc_backend, started, request_of, signal):
    backend = await grpc_backend()
    exporter = await started(GrpcExporter("otlp_grpc", backend.endpoint, tls=PLAIN))
    body = request_of("a") if signal == "traces" else b""

    await exporter.export(signal, body, 1)

    (received,) = backend.received
    assert (received.signal, received.body) == (signal, body)


async def test_headers_and_user_agent_are_sent_over_grpc(grpc_backend, started):
    backend = await grpc_backend()
    exporter = await started(GrpcExporter("otlp_grpc", f"http://{backend.endpoint}", headers={"X-Scope-OrgID": "dev"}))

    await exporter.export("traces", b"", 0)

    metadata = backend.received[0].metadata
    assert metadata["x-scope-orgid"] == "dev"
    assert metadata["user-agent"].startswith("opencode-trace-receiver/")


@pytest.mark.parametrize(("compression", "small"), [("gzip", True), ("none", False)])
async def test_grpc_compression(grpc_backend, started, stack, request_of, compression, small):
    backend = await grpc_backend()
    wire = await Meter(backend.port).start(stack)
    exporter = await started(GrpcExporter("otlp_grpc", f"http://127.0.0.1:{wire.port}", compression=compression))
    body = request_of("n" * 200_000)

    await exporter.export("traces", body, 1)

    assert backend.received[0].body == body
    assert (wire.passed < 20_000) is small


class Meter:
    """A TCP proxy that counts what clients send."""

    def __init__(self, port):
        self._target = port
        self.passed = 0

    async def start(self, stack):
        server = await asyncio.start_server(self._splice, "127.0.0.1", 0)
        stack.callback(server.close)
        self.port = server.sockets[0].getsockname()[1]
        return self

    async def _splice(self, reader, writer):
        back, forth = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            await asyncio.gather(self._pump(reader, forth, count=True), self._pump(back, writer))
        finally:
            forth.close()
            writer.close()

    async def _pump(self, reader, writer, *, count=False):
        while data := await reader.read(65536):
            self.passed += len(data) if count else 0
            writer.write(data)
        writer.close()


async def test_a_grpc_partial_success_is_reported_and_no_error(grpc_backend, started, request_of):
    backend = await grpc_backend()
    backend.answers.append(export_response("traces", 2, "too old"))
    rejections = []
    exporter = await started(
        GrpcExporter("otlp_grpc", backend.endpoint, tls=PLAIN, on_rejected=lambda *args: rejections.append(args))
    )

    with capture_logs() as logs:
        await exporter.export("traces", request_of("a", "b", "c"), 3)

    assert rejections == [("traces", 2, "too old")]
    assert logs == []  # whoever listens says it, once


async def test_a_grpc_refusal_is_a_permanent_error(grpc_backend, started):
    backend = await grpc_backend()
    backend.answers.append((grpc.StatusCode.UNAUTHENTICATED, "token expired"))
    exporter = await started(GrpcExporter("otlp_grpc", backend.endpoint, tls=PLAIN))

    with pytest.raises(PermanentExportError, match="UNAUTHENTICATED: token expired"):
        await exporter.export("traces", b"", 0)


async def test_grpc_throttling_is_retryable_with_the_backends_delay(grpc_backend, started, retry_info):
    backend = await grpc_backend()
    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    backend.answers.append((code, "slow down", retry_info(code, 11)))
    exporter = await started(GrpcExporter("otlp_grpc", backend.endpoint, tls=PLAIN))

    with pytest.raises(RetryableExportError) as caught:
        await exporter.export("traces", b"", 0)

    assert caught.value.retry_after == 11


async def test_a_grpc_backend_that_comes_back_is_reconnected(grpc_backend, started):
    first = await grpc_backend()
    exporter = await started(GrpcExporter("otlp_grpc", first.endpoint, tls=PLAIN))
    await exporter.export("traces", b"", 0)
    await first.stop()

    with pytest.raises(RetryableExportError, match="UNAVAILABLE"):
        await exporter.export("traces", b"", 0)

    second = await grpc_backend(first.port)
    async with asyncio.timeout(60):
        while not second.received:
            try:
                await exporter.export("traces", b"", 0)
            except RetryableExportError:
                await asyncio.sleep(0.1)


async def test_a_grpc_attempt_without_response_ends_after_the_timeout(started, silent_port):
    exporter = await started(GrpcExporter("otlp_grpc", f"http://127.0.0.1:{silent_port}", timeout=0.2))

    with pytest.raises(RetryableExportError, match="DEADLINE_EXCEEDED"):
        await exporter.export("traces", b"", 0)


async def test_grpc_export_over_tls_with_a_client_certificate(grpc_backend, started, certificates):
    backend = await grpc_backend(credentials=certificates.grpc_server(mutual=True))
    tls = TLSSettings(
        ca_file=certificates.ca_file, cert_file=certificates.client_cert, key_file=certificates.client_key
    )
    exporter = await started(GrpcExporter("otlp_grpc", backend.endpoint, tls=tls))

    await exporter.export("traces", b"", 0)

    assert len(backend.received) == 1


async def test_server_name_override_is_used_over_grpc(grpc_backend, started, certificates):
    backend = await grpc_backend(credentials=certificates.grpc_server())
    tls = TLSSettings(ca_file=certificates.ca_file, server_name_override="localhost")
    exporter = await started(GrpcExporter("otlp_grpc", f"https://127.0.0.1:{backend.port}", tls=tls))

    await exporter.export("traces", b"", 0)

    assert len(backend.received) == 1


async def test_a_backend_of_an_unknown_ca_is_refused_over_grpc(grpc_backend, started, certificates):
    backend = await grpc_backend(credentials=certificates.grpc_server())
    exporter = await started(GrpcExporter("otlp_grpc", backend.endpoint, timeout=2))

    with pytest.raises(RetryableExportError):
        await exporter.export("traces", b"", 0)


@pytest.mark.parametrize(
    ("tls", "message"),
    [
        (TLSSettings(insecure_skip_verify=True), "tls::insecure_skip_verify: .*set ca_file"),
        (TLSSettings(ca_file="/nowhere/ca.pem"), "cannot read /nowhere/ca.pem: No such file"),
        (TLSSettings(cert_file="/nowhere/client.pem"), "both cert_file and key_file"),
        (TLSSettings(min_version="1.3"), "tls::min_version"),
        (TLSSettings(min_version="1.0"), "tls::min_version: '1.0' is not supported"),
    ],
)
def test_unsupported_tls_settings_fail_when_the_grpc_exporter_is_made(tls, message):
    with pytest.raises(ConfigError, match=message):
        GrpcExporter("otlp_grpc", "tempo:4317", tls=tls)


def test_a_malformed_ca_file_fails_when_the_grpc_exporter_is_made(tmp_path):
    wrong = tmp_path / "ca.pem"
    wrong.write_text("hello")

    with pytest.raises(ConfigError, match="is not PEM"):
        GrpcExporter("otlp_grpc", "tempo:4317", tls=TLSSettings(ca_file=str(wrong)))
    with pytest.raises(ConfigError, match="are not a PEM pair"):
        GrpcExporter("otlp_grpc", "tempo:4317", tls=TLSSettings(cert_file=str(wrong), key_file=str(wrong)))
