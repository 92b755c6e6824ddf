"""What both receivers do with a checked request: hand it on, count it, then make the answer.

The answer exists only after `accept` has returned, that is, after the records are committed. Nothing here
knows gRPC or HTTP.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from google.protobuf.message import Message

from receiver.codec.export_service import export_response
from receiver.codec.validate import Validated
from receiver.errors import RefusedError
from receiver.model import Request, Signal
from receiver.otlp.status import expected

Accept: TypeAlias = Callable[[Request], Awaitable[None]]
# observe(event, signal, transport, count): event is accepted, refused (by the rules) or failed (within).
Observe: TypeAlias = Callable[[str, str, str, int], None]

_log = logging.getLogger(__name__)


def ignore(event: str, signal: str, transport: str, count: int) -> None:
    """An `Observe` for those who count nothing."""


class Admission:
    """Where the requests of one transport (`grpc` or `http`) are handed to `accept`."""

    def __init__(self, transport: str, accept: Accept, observe: Observe | None) -> None:
        self._transport = transport
        self._accept = accept
        self._observe = observe or ignore

    async def take(self, signal: Signal, validated: Validated) -> Message:
        """Returns the Export response when the records are committed; raises what `accept` raises.

        A request without records succeeds and reaches nobody.
        """
        request = validated.request
        if validated.rejected:
            self._observe("refused", signal, self._transport, validated.rejected)
        if request.items:
            try:
                await self._accept(request)
            except Exception as error:
                self._observe("refused" if expected(error) else "failed", signal, self._transport, request.items)
                raise
            self._observe("accepted", signal, self._transport, request.items)
        return export_response(signal, validated.rejected, validated.message)

    def refuse(self, signal: Signal | None, error: BaseException, peer: str) -> None:
        """Note a request that ends in an error: the client's own mistakes at debug, ours with a traceback."""
        if not expected(error):
            _log.error("%s request for %s failed", self._transport, signal, exc_info=error)
        elif isinstance(error, RefusedError):
            _log.debug("%s request for %s from %s refused: %s", self._transport, signal, peer, error)
        else:
            _log.warning("%s request for %s turned away: %s", self._transport, signal, error)
