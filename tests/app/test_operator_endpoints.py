"""The operator endpoints, also when their addresses are taken."""

import socket

import aiohttp
import pytest
from structlog.testing import capture_logs

from receiver.errors import ConfigError
from tests.support.operator_endpoints import free_ports, service, settings, tree

KEYS = {
    "metrics": "service::telemetry::metrics::address",
    "health": "extensions::health_check::endpoint",
    "admin": "extensions::admin::endpoint",
}


@pytest.mark.parametrize("name", KEYS)
async def test_a_configured_address_that_is_taken_is_an_error(tmp_path, name):
    ports = free_ports()
    with socket.create_server(("127.0.0.1", ports[name])), pytest.raises(ConfigError) as raised:
        async with service(tree(tmp_path, ports)):
            pass
    assert str(raised.value).startswith(f"{KEYS[name]}: cannot listen on 127.0.0.1:{ports[name]}: the port is taken")


@pytest.mark.parametrize("name", KEYS)
async def test_a_default_address_that_is_taken_gives_one_warning_and_no_endpoint(tmp_path, name):
    ports = free_ports()
    read = settings(tree(tmp_path, ports))
    section = {"metrics": read.service.telemetry.metrics, "health": read.health_check, "admin": read.admin}[name]
    # marks the address as a default: the real defaults may be in use on this machine
    section.model_fields_set.clear()
    with socket.create_server(("127.0.0.1", ports[name])), capture_logs() as logged:
        async with service(read):
            pass
    warnings = [line["event"] for line in logged if line["log_level"] == "warning"]
    assert len(warnings) == 1
    assert warnings[0].startswith(f"{KEYS[name]}: cannot listen on 127.0.0.1:{ports[name]}: the port is taken")


async def test_a_pull_reader_sets_the_address_of_the_metrics(tmp_path):
    ports = free_ports()
    written = tree(tmp_path, ports)
    prometheus = {"host": "127.0.0.1", "port": ports["metrics"]}
    written["service"]["telemetry"]["metrics"] = {"readers": [{"pull": {"exporter": {"prometheus": prometheus}}}]}
    async with service(written), aiohttp.ClientSession() as session:
        answer = await session.get(f"http://127.0.0.1:{ports['metrics']}/metrics")
        assert "otelcol_exporter_queue_capacity" in await answer.text()


async def test_a_pull_readers_address_that_is_taken_is_an_error(tmp_path):
    ports = free_ports()
    written = tree(tmp_path, ports)
    prometheus = {"host": "127.0.0.1", "port": ports["metrics"]}
    written["service"]["telemetry"]["metrics"] = {"readers": [{"pull": {"exporter": {"prometheus": prometheus}}}]}
    with socket.create_server(("127.0.0.1", ports["metrics"])), pytest.raises(ConfigError, match="the port is taken"):
        async with service(written):
            pass


async def test_the_http_server_uses_the_configured_paths_and_headers(tmp_path):
    ports = free_ports()
    written = tree(tmp_path, ports)
    cors = {"allowed_origins": ["https://a.example"], "exposed_headers": ["x-mine"]}
    written["receivers"]["otlp"]["protocols"]["http"] |= {"logs_url_path": "mine/logs", "cors": cors}
    headers = {"Content-Type": "application/json", "Origin": "https://a.example"}
    async with service(written), aiohttp.ClientSession(f"http://127.0.0.1:{ports['http']}", headers=headers) as session:
        taken = await session.post("/mine/logs", data=b"{}")
        gone = await session.post("/v1/logs", data=b"{}")
        same = await session.post("/v1/traces", data=b"{}")
    assert (taken.status, gone.status, same.status) == (200, 404, 200)
    assert taken.headers["Access-Control-Expose-Headers"] == "x-mine"
