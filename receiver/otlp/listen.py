"""Where a server listens: the Collector's `endpoint` strings, resolved and bound.

Both servers bind by the rules of this file: a port that is taken is an error with a remedy, even when it is
taken on only one of a name's addresses. gRPC's own library is content with the other one, and says nothing.
"""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack

from receiver.errors import ReceiverError

_BACKLOG = 1024
# A name may resolve to ::1 where the kernel has no IPv6 (containers): such an address is passed over.
_NO_SUCH_ADDRESS = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
_REMEDIES = {
    errno.EADDRINUSE: "the port is taken; stop the program that listens there, or set another endpoint",
    errno.EACCES: "not permitted; choose a port above 1023",
    errno.EADDRNOTAVAIL: "this machine has no such address",
}


def split_endpoint(endpoint: str) -> tuple[str, int]:
    """`host:port`, `[::1]:port` or `:port` (every address) as host and port. Raises ReceiverError."""
    host, colon, port = endpoint.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise ReceiverError(f"endpoint {endpoint!r} is not host:port")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    return host, int(port)


def bind(endpoint: str) -> list[socket.socket]:
    """Listening sockets, non-blocking, one for each address of the endpoint, all with the same port.

    Port 0 draws a free one. Raises ReceiverError, which names the endpoint and the remedy.
    """
    host, port = split_endpoint(endpoint)
    with ExitStack() as undo:
        sockets: list[socket.socket] = []
        failure: OSError | None = None
        for family, address in _resolve(endpoint, host):
            try:
                bound = undo.enter_context(_listen(family, address, port))
            except OSError as error:
                if error.errno not in _NO_SUCH_ADDRESS:
                    raise _cannot(endpoint, error) from None
                failure = error
                continue
            port = bound.getsockname()[1]
            sockets.append(bound)
        if not sockets:
            raise _cannot(endpoint, failure or OSError(errno.EADDRNOTAVAIL, "no address"))
        undo.pop_all()
        return sockets


def bind_unix(endpoint: str) -> socket.socket:
    """A listening socket at a `unix:` path. Raises ReceiverError."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(endpoint.removeprefix("unix:"))
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        raise _cannot(endpoint, error) from None
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


def _cannot(endpoint: str, error: OSError) -> ReceiverError:
    remedy = _REMEDIES.get(error.errno or 0, error.strerror or str(error))
    return ReceiverError(f"cannot listen on {endpoint}: {remedy}")
