"""Binds the sockets of a server from an `endpoint` as the Collector writes it.

A taken port is an error with a remedy, even when it is taken on only one of a name's addresses. gRPC's own library
would use the other address and report nothing.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from contextlib import ExitStack

from receiver.errors import ReceiverError
from receiver.net.address import is_wildcard, join_host_port, split_host_port

_BACKLOG = 1024
# A name may resolve to ::1 where the kernel has no IPv6 (containers): such an address is skipped.
_NO_SUCH_ADDRESS = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
_REMEDIES = {
    errno.EADDRINUSE: "the port is taken; stop the program that listens there, or set another endpoint",
    errno.EACCES: "not permitted; choose a port above 1023",
    errno.EADDRNOTAVAIL: "this machine has no such address",
}


def bind(endpoint: str) -> list[socket.socket]:
    """Non-blocking listening sockets, one for each address of `host:port`, all with the same port.

    `:port` means every address; port 0 a free one. Raises ReceiverError, which names the endpoint and the remedy.
    """
    try:
        host, port = split_host_port(endpoint)
    except ValueError as error:
        raise ReceiverError(f"endpoint: {error}") from None
    with ExitStack() as undo:
        sockets: list[socket.socket] = []
        failure: OSError | None = None
        for family, address in _resolve(endpoint, host):
            try:
                bound = undo.enter_context(_listen(family, address, port))
            except OSError as error:
                if error.errno not in _NO_SUCH_ADDRESS:
                    raise _cannot_listen(endpoint, error) from None
                failure = error
                continue
            port = bound.getsockname()[1]
            sockets.append(bound)
        if not sockets:
            raise _cannot_listen(endpoint, failure or OSError(errno.EADDRNOTAVAIL, "no address"))
        undo.pop_all()
        return sockets


def release_for_grpc(sockets: Sequence[socket.socket]) -> list[str]:
    """Close bound sockets and return their addresses as `host:port`, for gRPC, which has to bind by itself.

    It would not report that one of several addresses is taken; bind() has done that.
    """
    names = [bound.getsockname()[:2] for bound in sockets]
    for bound in sockets:
        bound.close()
    if is_wildcard(names[0][0]):
        names = names[:1]  # gRPC listens on IPv4 and IPv6 for either wildcard
    return [join_host_port(host, port) for host, port in names]


def bind_unix(endpoint: str) -> socket.socket:
    """A listening socket at a `unix:` path. Raises ReceiverError."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(endpoint.removeprefix("unix:"))
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        raise _cannot_listen(endpoint, error) from None
    return listening


def _resolve(endpoint: str, host: str) -> list[tuple[socket.AddressFamily, str]]:
    try:
        found = socket.getaddrinfo(host or None, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ReceiverError(f"cannot listen on {endpoint}: {error.strerror}") from None
    return list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found))


def _listen(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind((host, port))
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening


def _cannot_listen(endpoint: str, error: OSError) -> ReceiverError:
    remedy = _REMEDIES.get(error.errno or 0, error.strerror or str(error))
    return ReceiverError(f"cannot listen on {endpoint}: {remedy}")
