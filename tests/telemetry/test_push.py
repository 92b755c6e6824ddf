"""The push of the program's own metrics over OTLP to a real backend, and without one."""

import asyncio
import gzip
import re
import time

import pytest
import structlog
from aiohttp import web
from grpc import aio, method_handlers_generic_handler, unary_unary_rpc_method_handler
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from receiver import __version__, config
from receiver.app.service import LAST_PUSH_TIMEOUT
from receiver.codec.export_service import EXPORT_SERVICES
from receiver.telemetry.instruments import OWN
from tests.support.factories import logs_request
from tests.support.operator_endpoints import export, free_ports, relay, service, tree
from tests.support.paths import DOCS
from tests.support.silent_server import silent_server


class Sink:
    """A backend that takes metrics, and keeps each push as (headers, request)."""

    def __init__(self):
        self.pushes = []
        self.news = asyncio.Event()

    def take(self, headers, body):
        self.pushes.append(({k.lower(): v for k, v in headers}, ExportMetricsServiceRequest.FromString(body)))
        self.news.set()
        return ExportMetricsServiceResponse().SerializeToString()

    async def until(self, done):
        """Wait for a push for which `done` holds."""
        async with asyncio.timeout(60):
            while not (found := [one for one in self.pushes if done(one[1])]):
                self.news.clear()
                await self.news.wait()
        return found[0]


@pytest.fixture
async def over_grpc():
    sink = Sink()

    async def take(body, context):
        return sink.take(context.invocation_metadata(), body)

    server = aio.server()
    export = unary_unary_rpc_method_handler(take)
    server.add_generic_rpc_handlers(
        (method_handlers_generic_handler(EXPORT_SERVICES["metrics"].name, {"Export": export}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sink.otlp = {"protocol": "grpc", "endpoint": f"127.0.0.1:{port}", "insecure": True}
    yield sink
    await server.stop(None)


@pytest.fixture
async def over_http():
    sink = Sink()

    async def take(request):
        assert request.headers["Content-Encoding"] == "gzip"
        return web.Response(body=sink.take(request.headers.items(), gzip.decompress(await request.read())))

    app = web.Application()
    app.router.add_post("/v1/metrics", take)
    runner = web.AppRunner(app, auto_decompress=False)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    sink.otlp = {"protocol": "http/protobuf", "endpoint": f"http://127.0.0.1:{port}"}
    yield sink
    await runner.cleanup()


@pytest.fixture(params=["over_grpc", "over_http"])
def sink(request):
    return request.getfixturevalue(request.param)


def pushing(folder, ports, otlp, **periodic):
    """A configuration with a push."""
    written = tree(folder, ports)
    reader = {"periodic": {"interval": 3_600_000, **periodic, "exporter": {"otlp": otlp}}}
    written["service"]["telemetry"]["metrics"]["readers"] = [reader]
    return written


def value(request, name):
    """The sum of a metric's points."""
    points = [
        point.as_int or point.as_double
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == name
        for point in (metric.sum.data_points if metric.HasField("sum") else metric.gauge.data_points)
    ]
    return sum(points)


async def test_metrics_are_pushed_at_the_interval_with_gauges_and_the_programs_name(tmp_path, sink):
    ports = free_ports()
    async with service(pushing(tmp_path, ports, {**sink.otlp, "headers": {"X-Key": "k"}}, interval=50)):
        await export(ports["grpc"], logs_request(*relay("read")))
        headers, request = await sink.until(lambda pushed: value(pushed, f"{OWN}sessions_open") == 1)
    (resource,) = request.resource_metrics
    about = {one.key: one.value.string_value for one in resource.resource.attributes}
    assert len(about.pop("service.instance.id")) == 36
    assert about == {"service.name": "opencode-trace-receiver", "service.version": __version__}
    assert headers["x-key"] == "k"
    assert value(request, f"{OWN}store_size") > 0
    assert value(request, "otelcol_receiver_accepted_log_records") == 2


async def test_the_last_push_has_the_final_counts(tmp_path, sink):
    """Also the spans that were built and sent while the receiver stopped."""
    ports = free_ports()
    async with service(pushing(tmp_path, ports, sink.otlp)) as running:
        await export(ports["grpc"], logs_request(*relay("read", "bash")))
        await running.pipeline.flush()
        assert sink.pushes == []
    ((_, request),) = sink.pushes
    assert value(request, f"{OWN}spans_built") == value(request, f"{OWN}items_queued") == 3
    assert value(request, "otelcol_exporter_sent_spans") + value(request, "otelcol_exporter_queue_size") == 3


async def test_otel_variables_are_not_used_for_the_push(tmp_path, sink, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=secret")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://127.0.0.1:1")
    async with service(pushing(tmp_path, free_ports(), sink.otlp)):
        pass
    ((headers, _),) = sink.pushes
    assert "authorization" not in headers


@pytest.fixture
async def silent():
    """The port of a server that accepts connections and never answers."""
    async with silent_server() as port:
        yield port


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
@pytest.mark.parametrize("gone", [False, True], ids=["silent", "gone"])
async def test_an_absent_or_silent_backend_does_not_delay_the_stop(tmp_path, silent, protocol, gone):
    ports = free_ports()
    otlp = {
        "protocol": protocol,
        "endpoint": f"http://127.0.0.1:{free_ports()['http'] if gone else silent}",
        "timeout": 5000,
    }
    with structlog.testing.capture_logs() as logs:
        async with service(pushing(tmp_path, ports, otlp, interval=20)) as running:
            began = time.monotonic()
            await export(ports["grpc"], logs_request(*relay("read")))
            await running.pipeline.flush()
            assert time.monotonic() - began < 4.5
            stopping = time.monotonic()
        assert time.monotonic() - stopping < LAST_PUSH_TIMEOUT + 20
    logged = [one["event"] for one in logs if "could not be pushed" in one["event"]]
    given_up = ["the program's own metrics could not be pushed at the end: the backend does not answer"]
    assert logged == given_up or (gone and not logged)  # an absent backend may refuse the connection before the timeout
    for push in running._pushes:
        assert await asyncio.to_thread(push.wait, 60), "its thread did not end"


async def test_metrics_pushed_to_the_receiver_itself_are_discarded_as_unknown(tmp_path):
    ports = free_ports()
    otlp = {"protocol": "grpc", "endpoint": f"http://127.0.0.1:{ports['grpc']}"}
    written = pushing(tmp_path, ports, otlp, interval=50)
    with structlog.testing.capture_logs() as logs:
        async with service(written) as running, asyncio.timeout(60):
            while not (known := discarded(running)):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    assert set(known) == {"unknown_record"}
    assert len([one for one in logs if "own receiver" in one["event"]]) == 1


def discarded(running):
    """Discarded metric points, by reason."""
    data = running._metrics.collect()
    return {
        point.attributes["reason"]: point.value
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == f"{OWN}records_discarded"
        for point in metric.data.data_points
        if point.attributes["signal"] == "metrics"
    }


async def test_at_level_none_no_metrics_are_pushed(tmp_path, sink):
    written = pushing(tmp_path, free_ports(), sink.otlp, interval=20)
    written["service"]["telemetry"]["metrics"]["level"] = "none"
    async with service(written):
        pass
    assert sink.pushes == []


def test_the_example_in_the_documentation_is_valid():
    page = (DOCS / "operations.md").read_text(encoding="utf-8")
    (example,) = [one for one in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "readers" in one]
    loaded = config.load([("operations.md", example)], [], {"HOME": "/h", "METRICS_TOKEN": "x"})
    assert loaded.service.telemetry.metrics.readers[0].periodic.exporter.otlp.target == "localhost:14317"
    assert loaded.notices == ()
