"""`host:port` and URLs, taken apart and put together in one place. Text only: nothing is resolved or opened.

Hosts are given and returned without brackets; only `host:port` as text puts an IPv6 address into brackets. Every
ValueError is one line that may be shown, and repeats no credentials.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

MAX_PORT = 65535

_WILDCARDS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  compared with, not bound


def split_host_port(text: str) -> tuple[str, int]:
    """`localhost:4317`, `[::1]:4317` or `:4317` as host and port; an empty host means every address.

    Raises ValueError without a port, with an IPv6 address without brackets, with a path or with credentials.
    """
    host, port = split_authority(text)
    if port is None:
        raise ValueError(_not_host_port(text))
    return host, port


def split_authority(text: str) -> tuple[str, int | None]:
    """The same as split_host_port(), with None where there is no port."""
    if "@" in text:
        raise ValueError("credentials do not belong in an address; leave out what stands before the @")
    if "/" in text:
        raise ValueError(_not_host_port(text))
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")) or not _is_ipv6(host):
            raise ValueError(_not_host_port(text))
        return host, _port(rest[1:], text) if rest else None
    host, colon, port = text.rpartition(":")
    if not colon:
        return text, None
    number = _port(port, text)
    if ":" in host:
        raise ValueError(f"{text!r} is an IPv6 address without brackets; write [{host}]:{port}")
    return host, number


def join_host_port(host: str, port: int) -> str:
    """`host:port`, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def split_url(url: str) -> SplitResult:
    """A URL's parts. Raises ValueError where `port` is no number up to 65535, or a bracket is missing."""
    parts = urlsplit(url)
    _ = parts.port  # urllib checks it only when it is asked for
    return parts


def is_wildcard(host: str) -> bool:
    """Whether a server at this host listens at every address."""
    return host in _WILDCARDS


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the host: `localhost`, 127.0.0.0/8 or ::1."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def reachable_host(host: str) -> str:
    """Where this machine reaches a server that listens at `host`: the loopback address for a wildcard."""
    return _WILDCARDS.get(host, host)


def _port(digits: str, text: str) -> int:
    if not (digits.isascii() and digits.isdecimal()) or int(digits) > MAX_PORT:
        raise ValueError(_not_host_port(text))
    return int(digits)


def _is_ipv6(host: str) -> bool:
    try:
        return ip_address(host).version == 6
    except ValueError:
        return False


def _not_host_port(text: str) -> str:
    return f"{text!r} is not host:port; write for example localhost:4317 or 0.0.0.0:4317"
