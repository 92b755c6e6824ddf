"""Exporters made from configuration, tested with a real backend: each key has its effect."""

import asyncio

import grpc
import pytest
from rich.console import Console

from receiver import config
from receiver.app import factory
from receiver.errors import RetryableExportError
from receiver.exporters.otlp_grpc import ChannelSettings, ClientKeepalive


def exporter(kind, text):
    """The exporter of a configuration with this block."""
    read = config.load([("a.yaml", f"exporters: {{{kind}: {text}}}")], [], {"HOME": "/h"})
    return factory.exporter(kind, read.exporters[kind], Console(), lambda *_: None)


async def test_user_agent_authority_and_balancer_are_passed_to_grpc(grpc_backend, started):
    backend = await grpc_backend()
    text = f"{{endpoint: 'http://{backend.endpoint}', user_agent: mine/1, authority: backend.example, %s}}"
    for balancer in ("balancer_name: round_robin", "balancer_name: pick_first"):
        await (await started(exporter("otlp_grpc", text % balancer))).export("traces", b"", 0)
    assert [one.metadata["user-agent"].split()[0] for one in backend.received] == ["mine/1", "mine/1"]


async def test_without_wait_for_ready_an_absent_backend_is_an_error_at_once(grpc_backend, started):
    backend = await grpc_backend()
    await backend.stop()
    sender = await started(exporter("otlp_grpc", f"{{endpoint: 'http://{backend.endpoint}', timeout: 20s}}"))
    with pytest.raises(RetryableExportError, match="UNAVAILABLE"):
        await sender.export("traces", b"", 0)


async def test_wait_for_ready_waits_for_an_absent_backend(grpc_backend, started):
    backend = await grpc_backend()
    await backend.stop()
    text = f"{{endpoint: 'http://{backend.endpoint}', timeout: 20s, wait_for_ready: true}}"
    sender = await started(exporter("otlp_grpc", text))
    sending = asyncio.ensure_future(sender.export("traces", b"", 0))
    await asyncio.wait([sending], timeout=0.3)
    assert not sending.done()
    back = await grpc_backend(backend.port)
    await sending
    assert len(back.received) == 1


async def test_a_grpc_endpoint_may_be_a_unix_socket(tmp_path, started):
    server, taken = grpc.aio.server(), []

    async def take(body, context):
        taken.append(body)
        return b""

    method = grpc.unary_unary_rpc_method_handler(take)
    service = "opentelemetry.proto.collector.trace.v1.TraceService"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": method}),))
    endpoint = f"unix://{tmp_path}/backend.sock"
    server.add_insecure_port(endpoint)
    await server.start()
    try:
        text = f"{{endpoint: '{endpoint}', tls: {{insecure: true}}}}"
        await (await started(exporter("otlp_grpc", text))).export("traces", b"", 0)
    finally:
        await server.stop(None)
    assert taken == [b""]


def test_authority_and_keepalive_become_grpc_channel_arguments():
    assert not any("keepalive" in key or "authority" in key for key, _ in ChannelSettings().options())
    assert ("grpc.default_authority", "x") in ChannelSettings(authority="x").options()
    options = dict(ChannelSettings(keepalive=ClientKeepalive(30, 2.5, permit_without_stream=True)).options())
    assert options["grpc.keepalive_time_ms"] == 30_000
    assert options["grpc.keepalive_timeout_ms"] == 2_500
    assert options["grpc.keepalive_permit_without_calls"] == 1


async def test_durations_above_32_bits_of_milliseconds_mean_never(started):
    ping = "{server_parameters: {time: 100000h, max_connection_age: 100000h}, enforcement_policy: {min_time: 100000h}}"
    text = f"receivers: {{otlp: {{protocols: {{grpc: {{endpoint: 'localhost:0', keepalive: {ping}}}}}}}}}"
    protocols = config.load([("a.yaml", text)], [], {"HOME": "/h"}).receivers["otlp"].protocols
    door = factory.grpc_receiver(protocols.grpc, None, lambda *_: None)
    await door.start()
    await door.stop(0)
    await started(exporter("otlp_grpc", "{endpoint: 'b.invalid:1', keepalive: {time: 100000h}}"))


async def test_proxy_url_is_used_for_http_export(http_backend, started):
    proxy = await http_backend()
    text = f"{{endpoint: 'http://backend.invalid:4318', proxy_url: '{proxy.endpoint}'}}"
    await (await started(exporter("otlp_http", text))).export("traces", b"", 0)
    assert [one.headers["Host"] for one in proxy.received] == ["backend.invalid:4318"]


def test_each_exporter_has_its_own_queue_size():
    text = """
exporters:
  otlp_grpc: {endpoint: "b:1", sending_queue: {queue_size: 7}}
  otlp_http: {endpoint: "http://b", sending_queue: {queue_size: 90}}
  debug:
"""
    limits = factory.limits(config.load([("a.yaml", text)], [], {"HOME": "/h"}))
    assert [limits.queue(name) for name in ("otlp_grpc", "otlp_http", "debug")] == [7, 90, 100_000]


async def test_the_query_of_a_url_is_sent_and_not_in_the_error(http_backend, started):
    backend = await http_backend()
    backend.answers.append({"status": 503})
    sender = await started(exporter("otlp_http", f"{{traces_endpoint: '{backend.endpoint}/t?key=hunter2'}}"))
    with pytest.raises(RetryableExportError) as refused:
        await sender.export("traces", b"", 0)
    assert str(refused.value) == f"{backend.endpoint}/t: HTTP 503"
    await sender.export("traces", b"", 0)
    assert backend.received[0].path == "/t"


@pytest.mark.parametrize(
    ("kind", "endpoint"),
    [("otlp_grpc", "http://127.0.0.1:{port}"), ("otlp_http", "http://127.0.0.1:{port}")],
)
async def test_the_configured_timeout_is_the_exporters(started, silent_port, kind, endpoint):
    """Of two exports to a silent backend, the first has the longer timeout and takes longer."""
    text = f"{{endpoint: '{endpoint.format(port=silent_port)}', timeout: %s}}"
    patient = await started(exporter(kind, text % "60s"))
    hasty = await started(exporter(kind, text % "100ms"))
    long = asyncio.ensure_future(patient.export("traces", b"", 0))
    await asyncio.sleep(0)
    async with asyncio.timeout(60):
        with pytest.raises(RetryableExportError):
            await hasty.export("traces", b"", 0)
    await asyncio.wait([long], timeout=0.2)
    assert not long.done()
    long.cancel()
    await asyncio.wait([long])


def test_every_key_of_retry_on_failure_reaches_the_sender():
    keys = "initial_interval: 1s, max_interval: 7s, multiplier: 3, randomization_factor: 0.25, max_elapsed_time: 90s"
    for kind in ("otlp_grpc", "otlp_http"):
        text = f"exporters: {{{kind}: {{endpoint: 'http://b:1', retry_on_failure: {{enabled: false, {keys}}}}}}}"
        retry = factory.retry(config.load([("a.yaml", text)], [], {"HOME": "/h"}).exporters[kind])
        found = (retry.initial_interval, retry.max_interval, retry.multiplier, retry.randomization_factor)
        assert (retry.enabled, *found, retry.max_elapsed_time) == (False, 1, 7, 3, 0.25, 90)
