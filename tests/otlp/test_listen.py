"""Binds the sockets of an endpoint, or says why it cannot."""

import socket

import pytest

from receiver.errors import ReceiverError
from receiver.otlp.listen import bind, release_for_grpc


def test_an_endpoint_without_host_and_port_is_an_error(subtests):
    for endpoint in ["", "localhost", "localhost:", "localhost:http", "localhost:70000", "a:-1"]:
        with subtests.test(endpoint=endpoint), pytest.raises(ReceiverError, match="is not host:port"):
            bind(endpoint)


def test_every_address_of_a_name_is_bound_to_the_same_port():
    sockets = bind("localhost:0")
    try:
        assert len({bound.getsockname()[1] for bound in sockets}) == 1
        assert {bound.getsockname()[0] for bound in sockets} <= {"127.0.0.1", "::1"}
    finally:
        for bound in sockets:
            bound.close()


def test_a_taken_port_is_an_error_with_endpoint_and_remedy():
    with socket.create_server(("127.0.0.1", 0)) as other:
        endpoint = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(ReceiverError, match=f"cannot listen on {endpoint}: the port is taken.*another endpoint"):
            bind(endpoint)


def test_a_port_taken_on_one_address_of_a_name_is_an_error():
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(ReceiverError, match="taken"):
        bind(f"localhost:{other.getsockname()[1]}")


def test_an_address_of_another_machine_is_an_error():
    with pytest.raises(ReceiverError, match="this machine has no such address"):
        bind("192.0.2.1:0")


def test_a_name_that_does_not_resolve_is_an_error():
    with pytest.raises(ReceiverError, match=r"cannot listen on nowhere\.invalid:1"):
        bind("nowhere.invalid:1")


def test_released_addresses_can_be_bound_again_with_one_name_for_a_wildcard():
    for endpoint, names in (("127.0.0.1:0", 1), (":0", 1), ("0.0.0.0:0", 1)):
        sockets = bind(endpoint)
        port = sockets[0].getsockname()[1]
        addresses = release_for_grpc(sockets)
        assert len(addresses) == names, endpoint
        assert addresses[0].endswith(f":{port}")
        for bound in bind(f"127.0.0.1:{port}"):
            bound.close()
