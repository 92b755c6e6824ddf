"""`host:port` and URLs as text."""

import pytest

from receiver.net.address import (
    is_loopback,
    is_wildcard,
    join_host_port,
    reachable_host,
    split_authority,
    split_host_port,
    split_url,
)


def test_host_and_port_are_split():
    for text, expected in (
        ("localhost:4317", ("localhost", 4317)),
        ("10.0.0.1:1", ("10.0.0.1", 1)),
        ("[::1]:4317", ("::1", 4317)),
        ("[fe80::1%eth0]:4317", ("fe80::1%eth0", 4317)),
        (":4318", ("", 4318)),
        ("localhost:0", ("localhost", 0)),
        ("host:65535", ("host", 65535)),
    ):
        assert split_host_port(text) == expected, text
        assert join_host_port(*expected) == text


def test_an_authority_may_have_no_port():
    for text, expected in (("tempo", ("tempo", None)), ("[::1]", ("::1", None)), ("tempo:4317", ("tempo", 4317))):
        assert split_authority(text) == expected, text


def test_text_that_is_not_host_port_is_refused_with_an_example(subtests):
    for text in [
        "",
        "localhost",
        "[::1]",
        "localhost:",
        "a:b",
        "a:-1",
        "a:70000",
        "a:٤",
        "a/b:1",
        "[::1:4",
        "[::1]4",
        "[a]:4",
    ]:
        refused = pytest.raises(ValueError, match="is not host:port; write for example localhost:4317")
        with subtests.test(text=text), refused:
            split_host_port(text)


def test_an_ipv6_address_without_brackets_is_refused_with_the_right_spelling():
    with pytest.raises(ValueError, match=r"without brackets; write \[::1\]:4317"):
        split_host_port("::1:4317")


def test_credentials_in_an_address_are_refused_and_not_repeated(subtests):
    for text in ["user:s3cret@host:4317", "user@host", "user:s3cret@[::1]:4317"]:
        with subtests.test(text=text):
            with pytest.raises(ValueError, match="credentials do not belong") as caught:
                split_authority(text)
            assert "s3cret" not in str(caught.value)


def test_a_url_with_a_bad_port_or_bracket_is_refused():
    for url in ("http://host:port", "http://host:70000", "http://[::1"):
        with pytest.raises(ValueError, match=r"[Pp]ort|IPv6"):
            split_url(url)
    assert split_url("https://[::1]:4318/v1/traces").hostname == "::1"


def test_wildcard_addresses_are_reached_at_loopback():
    for host, reachable in (("", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "::1")):
        assert is_wildcard(host)
        assert reachable_host(host) == reachable
    assert not is_wildcard("localhost")
    assert reachable_host("10.0.0.1") == "10.0.0.1"


def test_loopback_hosts_are_known_by_name_and_address():
    for host in ("localhost", "LocalHost", "127.0.0.1", "127.8.9.10", "::1"):
        assert is_loopback(host), host
    for host in ("", "0.0.0.0", "::", "10.0.0.1", "tempo", "127.example.com"):
        assert not is_loopback(host), host
