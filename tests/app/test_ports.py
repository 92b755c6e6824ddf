"""The two ports of `run`: each takes both protocols, unless their settings differ; then the log says so."""

import http.client

import grpc
import pytest

from receiver import config
from receiver.app import factory
from receiver.model import Request
from tests.support.factories import spans_request
from tests.support.processes import Receiver


@pytest.fixture
def receiver(tmp_path):
    made = Receiver(tmp_path / "receiver")
    yield made
    made.kill()


def crossed(running):
    running.grpc, running.http = running.http, running.grpc
    running._channel = grpc.insecure_channel(running.grpc)
    return running


@pytest.mark.process
def test_each_port_serves_the_other_protocol(receiver):
    running = crossed(receiver.start())
    request = Request("traces", spans_request().body, 0)
    running.send(request)
    running.post(request, encoding="json")
    running.post(request, encoding="x-protobuf")
    assert running.stop() == 0


@pytest.mark.process
def test_ports_with_different_auth_take_only_their_own_protocol_and_log_it(receiver):
    receiver.settings["receivers"]["otlp"]["protocols"]["http"]["auth"] = {"bearer_token": "s3cret"}
    running = receiver.start()
    assert "each port takes its own protocol only, because their auth differs" in running.log
    running.send(Request("traces", b"", 0))
    with pytest.raises(http.client.HTTPException):  # HTTP/2 frames
        crossed(running).post(Request("traces", b"", 0), encoding="json")
    assert running.stop() == 0


@pytest.mark.parametrize(
    ("protocols", "key"),
    [
        ({"grpc": {}, "http": {}}, ""),
        ({"grpc": {}}, "protocols"),
        ({"http": {}}, "protocols"),
        ({"grpc": {}, "http": {"auth": {"bearer_token": "a"}}}, "auth"),
        ({"grpc": {"auth": {"bearer_token": "a"}}, "http": {"auth": {"bearer_token": "a"}}}, ""),
        ({"grpc": {"tls": {"cert_file": "c", "key_file": "k"}}, "http": {}}, "tls"),
    ],
)
def test_port_conflict_names_the_key_that_differs(protocols, key):
    assert factory.port_conflict(config.Protocols.model_validate(protocols)) == key
