"""A name with two addresses: the error of one does not hide that of the other."""

from receiver.exporters.otlp_grpc import AddressErrors

REFUSED = "Failed to connect to remote host: Connection refused"


def details(address, reason):
    return f"failed to connect to all addresses; last error: UNKNOWN: {address}: {reason}"


def test_the_error_of_another_address_is_added():
    addresses = AddressErrors()
    assert addresses.of_others(details("ipv4:127.0.0.1:9", "Failed parsing HTTP/2")) == ""
    for _ in range(2):
        added = addresses.of_others(details("ipv6:%5B::1%5D:9", REFUSED))
        assert added == "; before that ipv4:127.0.0.1:9: Failed parsing HTTP/2"


def test_the_same_error_of_two_addresses_is_reported_once():
    addresses = AddressErrors()
    addresses.of_others(details("ipv4:127.0.0.1:9", REFUSED))
    assert addresses.of_others(details("ipv6:%5B::1%5D:9", REFUSED)) == ""


def test_the_last_error_of_an_address_is_added():
    addresses = AddressErrors()
    addresses.of_others(details("ipv4:127.0.0.1:9", "recvmsg:Connection reset by peer (104)"))
    addresses.of_others(details("ipv4:127.0.0.1:9", REFUSED))
    assert addresses.of_others(details("ipv6:%5B::1%5D:9", REFUSED)) == ""


def test_an_error_without_an_address_adds_nothing():
    assert AddressErrors().of_others("as the test wants it") == ""


def test_at_most_eight_addresses_are_remembered():
    addresses = AddressErrors()
    for number in range(100):
        added = addresses.of_others(details(f"ipv4:10.0.0.{number}:9", f"reason {number}"))
    assert added.count("before that") == 8
