"""A name with two addresses: what one of them says does not hide what the other said."""

from receiver.exporters.otlp_grpc import Addresses

REFUSED = "Failed to connect to remote host: Connection refused"


def told(address, reason):
    return f"failed to connect to all addresses; last error: UNKNOWN: {address}: {reason}"


def test_what_an_address_said_is_said_with_the_next_ones():
    addresses = Addresses()
    assert addresses.others(told("ipv4:127.0.0.1:9", "Failed parsing HTTP/2")) == ""
    for _ in range(2):
        said = addresses.others(told("ipv6:%5B::1%5D:9", REFUSED))
        assert said == "; before that ipv4:127.0.0.1:9: Failed parsing HTTP/2"


def test_what_both_say_is_said_once():
    addresses = Addresses()
    addresses.others(told("ipv4:127.0.0.1:9", REFUSED))
    assert addresses.others(told("ipv6:%5B::1%5D:9", REFUSED)) == ""


def test_the_last_word_of_an_address_counts():
    addresses = Addresses()
    addresses.others(told("ipv4:127.0.0.1:9", "recvmsg:Connection reset by peer (104)"))
    addresses.others(told("ipv4:127.0.0.1:9", REFUSED))
    assert addresses.others(told("ipv6:%5B::1%5D:9", REFUSED)) == ""


def test_other_failures_add_nothing():
    assert Addresses().others("as the test wants it") == ""


def test_of_many_addresses_few_are_remembered():
    addresses = Addresses()
    for number in range(100):
        said = addresses.others(told(f"ipv4:10.0.0.{number}:9", f"reason {number}"))
    assert said.count("before that") == 8
