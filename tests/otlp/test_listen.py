"""Where a server may listen, and what it says when it cannot."""

import socket

import pytest

from receiver.errors import ReceiverError
from receiver.otlp.listen import bind, split_endpoint


@pytest.mark.parametrize(
    ("endpoint", "host", "port"),
    [("localhost:4317", "localhost", 4317), ("[::1]:0", "::1", 0), (":4318", "", 4318), ("0.0.0.0:1", "0.0.0.0", 1)],
)
def test_endpoints(endpoint, host, port):
    assert split_endpoint(endpoint) == (host, port)


@pytest.mark.parametrize("endpoint", ["", "localhost", "localhost:", "localhost:http", "localhost:70000", "a:-1"])
def test_what_is_no_endpoint(endpoint):
    with pytest.raises(ReceiverError, match="is not host:port"):
        split_endpoint(endpoint)


def test_every_address_of_a_name_gets_the_same_port():
    sockets = bind("localhost:0")
    try:
        assert len({bound.getsockname()[1] for bound in sockets}) == 1
        assert {bound.getsockname()[0] for bound in sockets} <= {"127.0.0.1", "::1"}
    finally:
        for bound in sockets:
            bound.close()


def test_a_taken_port_names_the_endpoint_and_the_remedy():
    with socket.create_server(("127.0.0.1", 0)) as other:
        endpoint = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(ReceiverError, match=f"cannot listen on {endpoint}: the port is taken.*another endpoint"):
            bind(endpoint)


def test_a_port_that_is_taken_on_one_address_of_a_name_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(ReceiverError, match="taken"):
        bind(f"localhost:{other.getsockname()[1]}")


def test_an_address_of_another_machine():
    with pytest.raises(ReceiverError, match="this machine has no such address"):
        bind("192.0.2.1:0")


def test_a_name_that_does_not_resolve():
    with pytest.raises(ReceiverError, match=r"cannot listen on nowhere\.invalid:1"):
        bind("nowhere.invalid:1")
