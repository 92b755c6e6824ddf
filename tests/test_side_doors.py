"""The doors for operators, when somebody else has their addresses."""

import socket

import pytest
from structlog.testing import capture_logs

from receiver.errors import ConfigError
from tests.operators import free_ports, service, settings, tree

KEYS = {
    "metrics": "service::telemetry::metrics::address",
    "health": "extensions::health_check::endpoint",
    "admin": "extensions::admin::endpoint",
}


@pytest.mark.parametrize("door", KEYS)
async def test_a_configured_address_that_is_taken_is_an_error(tmp_path, door):
    ports = free_ports()
    with socket.create_server(("127.0.0.1", ports[door])), pytest.raises(ConfigError) as raised:
        async with service(tree(tmp_path, ports)):
            pass
    assert str(raised.value).startswith(f"{KEYS[door]}: cannot listen on 127.0.0.1:{ports[door]}: the port is taken")


@pytest.mark.parametrize("door", KEYS)
async def test_a_default_address_that_is_taken_is_passed_over_with_one_warning(tmp_path, door):
    ports = free_ports()
    read = settings(tree(tmp_path, ports))
    section = {"metrics": read.service.telemetry.metrics, "health": read.health_check, "admin": read.admin}[door]
    # as if it had not been written: the real defaults may be in use on the machine that runs this
    section.model_fields_set.clear()
    with socket.create_server(("127.0.0.1", ports[door])), capture_logs() as said:
        async with service(read):
            pass
    warnings = [line["event"] for line in said if line["log_level"] == "warning"]
    assert len(warnings) == 1
    assert warnings[0].startswith(f"{KEYS[door]}: cannot listen on 127.0.0.1:{ports[door]}: the port is taken")
