"""The OTLP/gRPC receiver, tested with a real client."""

import asyncio
import socket

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceResponse,
)

from receiver.codec.export_service import EXPORT_SERVICES
from receiver.errors import ReceiverError, UnavailableError
from receiver.model import SIGNALS, Request
from receiver.otlp.auth import BasicAuth, BearerAuth
from receiver.otlp.grpc_server import GrpcReceiver, Keepalive

Code = grpc.StatusCode


def exporting(channel, signal, **options):
    return channel.unary_unary(f"/{EXPORT_SERVICES[signal].name}/Export", **options)


async def refused(call):
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return error.value


async def test_a_grpc_request_is_passed_on_byte_for_byte(edge, sink, logs):
    receiver = await edge.grpc()
    body = logs(3)
    assert await exporting(edge.channel(receiver.port), "logs")(body) == b""
    assert sink.requests == [Request("logs", body, 3)]
    assert sink.counts == [("accepted", "logs", "grpc", 3)]


async def test_the_grpc_response_waits_for_the_commit(edge, sink, logs):
    receiver = await edge.grpc()
    sink.gate.clear()
    call = asyncio.ensure_future(exporting(edge.channel(receiver.port), "logs")(logs()))
    await sink.arrived.wait()
    assert not (await asyncio.wait([call], timeout=0.2))[0]
    assert not sink.counts
    sink.gate.set()
    assert await call == b""


@pytest.mark.parametrize("signal", SIGNALS)
async def test_an_empty_grpc_request_succeeds_and_is_not_passed_on(edge, sink, signal):
    receiver = await edge.grpc()
    assert await exporting(edge.channel(receiver.port), signal)(b"") == b""
    assert not sink.requests
    assert not sink.counts


async def test_grpc_requests_may_be_compressed_with_gzip(edge, sink, logs):
    receiver = await edge.grpc()
    call = exporting(edge.channel(receiver.port), "logs")
    await call(logs(2, 5000), compression=grpc.Compression.Gzip)
    assert sink.requests == [Request("logs", logs(2, 5000), 2)]


async def test_invalid_spans_are_a_grpc_partial_success(edge, sink, half_bad_traces):
    receiver = await edge.grpc()
    answer = await exporting(edge.channel(receiver.port), "traces")(half_bad_traces)
    partial = ExportTraceServiceResponse.FromString(answer).partial_success
    assert partial.rejected_spans == 1
    assert "span id" in partial.error_message
    assert [request.items for request in sink.requests] == [1]
    assert sink.counts == [("refused", "traces", "grpc", 1), ("accepted", "traces", "grpc", 1)]


async def test_a_grpc_request_that_cannot_be_persisted_is_unavailable_with_retry_info(edge, sink, logs):
    receiver = await edge.grpc()
    sink.error = UnavailableError("the disk is full", retry_after=7)
    error = await refused(exporting(edge.channel(receiver.port), "logs")(logs(4)))
    assert (error.code(), error.details()) == (Code.UNAVAILABLE, "the disk is full")
    status = Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
    retry = RetryInfo()
    assert status.details[0].Unpack(retry)
    assert retry.retry_delay.seconds == 7
    assert sink.counts == [("refused", "logs", "grpc", 4)]


async def test_a_defect_is_internal_over_grpc_without_its_text(edge, sink, logs, logged):
    receiver = await edge.grpc()
    sink.error = ValueError("/secret")
    error = await refused(exporting(edge.channel(receiver.port), "logs")(logs()))
    assert error.code() == Code.INTERNAL
    assert "secret" not in error.details()
    assert sink.counts == [("failed", "logs", "grpc", 1)]
    assert [(event["event"], event["log_level"], event["exc_info"]) for event in logged] == [
        ("request failed", "error", sink.error)
    ]


async def test_malformed_grpc_requests_are_refused_and_the_server_goes_on(edge, sink, logs):
    receiver = await edge.grpc()
    channel = edge.channel(receiver.port)
    for signal in SIGNALS:
        for poison in (b"hello", b"\xff" * 1000, b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x02" * 500 + b"\x01"):
            assert (await refused(exporting(channel, signal)(poison))).code() == Code.INVALID_ARGUMENT
    assert await exporting(channel, "logs")(logs()) == b""
    assert len(sink.requests) == 1


async def test_a_too_large_grpc_request_is_resource_exhausted(edge, sink, logs):
    receiver = await edge.grpc(max_recv_msg_size=100_000)
    call = exporting(edge.channel(receiver.port), "logs")
    for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
        error = await refused(call(logs(1, 200_000), compression=compression))
        assert error.code() == Code.RESOURCE_EXHAUSTED
        assert "grpc-status-details-bin" not in dict(error.trailing_metadata())
    await call(logs(1, 50_000))
    assert len(sink.requests) == 1


async def test_grpc_requests_above_4_mib_are_accepted(edge, sink, logs):
    receiver = await edge.grpc()
    await exporting(edge.channel(receiver.port), "logs")(logs(1, 5 << 20))
    assert len(sink.requests) == 1


async def test_an_unknown_grpc_method_is_unimplemented(edge):
    receiver = await edge.grpc()
    assert (await refused(edge.channel(receiver.port).unary_unary("/a.B/C")(b""))).code() == Code.UNIMPLEMENTED


async def test_the_grpc_server_survives_a_cancelled_call(edge, sink, logs):
    receiver = await edge.grpc()
    channel = edge.channel(receiver.port)
    sink.gate.clear()
    assert (await refused(exporting(channel, "logs")(logs(), timeout=0.2))).code() == Code.DEADLINE_EXCEEDED
    sink.gate.set()
    assert await exporting(channel, "logs")(logs()) == b""


async def test_grpc_health_follows_set_serving(edge):
    receiver = await edge.grpc()
    health = health_pb2_grpc.HealthStub(edge.channel(receiver.port))
    for name in ("", *(service.name for service in EXPORT_SERVICES.values())):
        answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    await receiver.set_serving(False)
    assert (await health.Check(health_pb2.HealthCheckRequest())).status == health_pb2.HealthCheckResponse.NOT_SERVING


async def test_stopping_grpc_is_not_serving_first_and_finishes_requests(edge, sink, logs):
    receiver = await edge.grpc()
    channel = edge.channel(receiver.port)
    watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
    sink.gate.clear()
    call = asyncio.ensure_future(exporting(channel, "logs")(logs()))
    await sink.arrived.wait()
    stopping = asyncio.ensure_future(receiver.stop(5))
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
    watch.cancel()
    sink.gate.set()
    assert await call == b""
    await stopping


async def test_grpc_reflection_lists_and_describes_the_services(edge):
    receiver = await edge.grpc()
    stub = reflection_pb2_grpc.ServerReflectionStub(edge.channel(receiver.port))
    names = [service.name for service in EXPORT_SERVICES.values()]
    questions = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        *(reflection_pb2.ServerReflectionRequest(file_containing_symbol=name) for name in names),
    ]
    answers = [answer async for answer in stub.ServerReflectionInfo(iter(questions))]
    listed = {service.name for service in answers[0].list_services_response.service}
    assert {*names, "grpc.health.v1.Health"} <= listed
    assert all(answer.file_descriptor_response.file_descriptor_proto for answer in answers[1:])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_taken_grpc_port_is_an_error_with_a_remedy(sink, host):
    with socket.create_server(("127.0.0.1", 0)) as other:
        receiver = GrpcReceiver(sink.accept, endpoint=f"{host}:{other.getsockname()[1]}")
        with pytest.raises(ReceiverError, match=f"cannot listen on {host}:.*the port is taken"):
            await receiver.start()


async def test_two_grpc_receivers_never_share_a_port(edge):
    first = await edge.grpc()
    with pytest.raises(ReceiverError, match="taken"):
        await edge.grpc(endpoint=f"127.0.0.1:{first.port}")


@pytest.mark.parametrize("endpoint", ["0.0.0.0:0", ":0", "localhost:0"])
async def test_grpc_listens_on_wildcards_and_names(edge, sink, logs, endpoint):
    receiver = await edge.grpc(endpoint=endpoint)
    await exporting(edge.channel(receiver.port), "logs")(logs())
    assert receiver.address.endswith(str(receiver.port))
    assert "0.0.0.0" not in receiver.address
    assert len(sink.requests) == 1


async def test_grpc_listens_on_a_unix_socket(edge, sink, logs, tmp_path):
    receiver = await edge.grpc(endpoint=f"unix:{tmp_path}/s")
    async with grpc.aio.insecure_channel(receiver.address) as channel:
        await exporting(channel, "logs")(logs())
    assert len(sink.requests) == 1


async def test_server_keepalive_becomes_grpc_channel_arguments(edge, sink, logs):
    keepalive = Keepalive(10, 20, 30, 40, 50, 60, True)
    assert dict(keepalive.options()) == {
        "grpc.max_connection_idle_ms": 10_000,
        "grpc.max_connection_age_ms": 20_000,
        "grpc.max_connection_age_grace_ms": 30_000,
        "grpc.keepalive_time_ms": 40_000,
        "grpc.keepalive_timeout_ms": 50_000,
        "grpc.http2.min_ping_interval_without_data_ms": 60_000,
        "grpc.keepalive_permit_without_calls": 1,
    }
    assert Keepalive().options() == []
    receiver = await edge.grpc(keepalive=keepalive)
    assert await exporting(edge.channel(receiver.port), "logs")(logs()) == b""


@pytest.mark.parametrize("limit", [0, 2, 20])
async def test_calls_above_max_concurrent_streams_wait_and_none_is_refused(edge, sink, logs, limit):
    receiver = await edge.grpc(max_concurrent_streams=limit)
    call = exporting(edge.channel(receiver.port), "logs")
    await asyncio.gather(*(call(logs()) for _ in range(100)))
    assert len(sink.requests) == 100


@pytest.mark.parametrize(
    ("auth", "good", "bad"),
    [
        (BearerAuth(tokens=("s3cret",)), "Bearer s3cret", "Bearer no"),
        (BasicAuth(users=(("ann", "pw"),)), "Basic YW5uOnB3", "Basic YW5uOm5v"),
    ],
)
async def test_grpc_requires_the_configured_credentials(edge, sink, logs, auth, good, bad):
    receiver = await edge.grpc(auth=auth)
    channel = edge.channel(receiver.port)
    call = exporting(channel, "logs")
    for metadata in ((), (("authorization", bad),)):
        assert (await refused(call(logs(), metadata=metadata))).code() == Code.UNAUTHENTICATED
    assert not sink.requests
    assert await call(logs(), metadata=(("authorization", good),)) == b""
    assert (await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())).status == 1


async def test_grpc_refuses_wrong_credentials_before_it_reads_the_message(edge, logs):
    receiver = await edge.grpc(auth=BearerAuth(tokens=("s3cret",)), max_recv_msg_size=1000)
    error = await refused(exporting(edge.channel(receiver.port), "logs")(logs(1, 100_000)))
    assert error.code() == Code.UNAUTHENTICATED


async def test_grpc_over_tls(edge, sink, logs, certificates):
    receiver = await edge.grpc(endpoint="localhost:0", tls=certificates.tls)
    trusting = grpc.ssl_channel_credentials(certificates.ca_pem)
    assert await exporting(edge.channel(receiver.port, trusting), "logs")(logs()) == b""
    assert (await refused(exporting(edge.channel(receiver.port), "logs")(logs()))).code() == Code.UNAVAILABLE


async def test_grpc_with_mutual_tls_accepts_only_certificates_of_the_ca(edge, sink, logs, certificates):
    receiver = await edge.grpc(endpoint="localhost:0", tls=certificates.mutual)

    def credentials(client):
        key, chain = client.private_key_pem.bytes(), client.cert_chain_pems[0].bytes()
        return grpc.ssl_channel_credentials(certificates.ca_pem, key, chain)

    known = edge.channel(receiver.port, credentials(certificates.client))
    assert await exporting(known, "logs")(logs()) == b""
    for other in (credentials(certificates.stranger), grpc.ssl_channel_credentials(certificates.ca_pem)):
        error = await refused(exporting(edge.channel(receiver.port, other), "logs")(logs()))
        assert error.code() == Code.UNAVAILABLE
