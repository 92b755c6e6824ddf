"""Trace and span ids: derived from unique ids, never random, so that any machine gives the same ones after any crash.

docs/contract.md 5.2: SHA-256 over a version prefix and unique ids with separators, cut to 16 and 8 bytes, never all
zero. Also here: OpenCode's own ids, whose first twelve hexadecimal digits hold the time of creation.
"""

from __future__ import annotations

import re
from hashlib import sha256

from receiver.core.state.settings import MILLISECOND

_PREFIX = b"opencode-trace-receiver/1"
_OPENCODE_ID = re.compile(r"^[a-z]{3,4}_([0-9a-f]{12})[0-9A-Za-z]{8,}$")
# identifier.ts packs milliseconds * 4096 + counter into 48 bits, so milliseconds are known modulo 2**36 (2.2 years)
_ID_BITS, _COUNTER_BITS = 48, 12
_ID_PERIOD = 1 << (_ID_BITS - _COUNTER_BITS)
_DESCENDING = ("ses_",)


def _digest(size: int, kind: bytes, *parts: str) -> bytes:
    text = b"\x00".join((_PREFIX, kind, *(p.encode("utf-8", "surrogatepass") for p in parts)))
    cut = sha256(text).digest()[:size]
    return cut if any(cut) else b"\x01" * size


def trace_id(root_session: str, segment: int) -> bytes:
    """16 bytes: the trace of a root session's segment (1, 2, …)."""
    return _digest(16, b"trace", root_session, str(segment))


def session_span_id(session: str, segment: int) -> bytes:
    """8 bytes: the span of a session's segment (1, 2, …)."""
    return _digest(8, b"session", session, str(segment))


def item_span_id(kind: str, session: str, key: str) -> bytes:
    """8 bytes: the span of a call, request or permission of a session, by its id or the facts that identify it."""
    return _digest(8, kind.encode(), session, key)


def creation_time(identifier: str, near: int) -> int | None:
    """When an OpenCode id was made (ns), the possibility nearest to `near` (ns); None if it is no such id."""
    match = _OPENCODE_ID.match(identifier)
    if not match or not near:
        return None
    packed = int(match[1], 16)
    if identifier.startswith(_DESCENDING):
        packed = ~packed & ((1 << _ID_BITS) - 1)
    known = packed >> _COUNTER_BITS
    near_ms = near // MILLISECOND
    periods = (near_ms - known + _ID_PERIOD // 2) // _ID_PERIOD
    return (known + periods * _ID_PERIOD) * MILLISECOND
