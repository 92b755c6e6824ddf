"""What both receivers do with a checked request: hand it on, count it, then make the answer.

The answer exists only after `accept` has returned, that is, after the records are committed. Nothing here
knows gRPC or HTTP.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from google.protobuf.message import Message

from receiver.codec.export_service import export_response
from receiver.codec.validate import Validated
from receiver.diagnostics.rate_limit import LogRateLimiter
from receiver.errors import RefusedError
from receiver.model import Request, Signal
from receiver.otlp.error_mapping import expected, reason

Accept: TypeAlias = Callable[[Request], Awaitable[None]]
# observe(event, signal, transport, count): event is accepted, refused (by the rules) or failed (within).
Observe: TypeAlias = Callable[[str, str, str, int], None]
# on_refused(transport, reason): a request was refused before its records were known.
OnRefused: TypeAlias = Callable[[str, str], None]

_log = logging.getLogger(__name__)


def ignore(event: str, signal: str, transport: str, count: int) -> None:
    """An `Observe` for those who count nothing."""


def ignore_refused(transport: str, reason: str) -> None:
    """An `OnRefused` for those who count nothing."""


def _looked_at(taking: asyncio.Future[None]) -> None:
    """The error of a request whose client has gone is counted, and no news for asyncio's log."""
    if not taking.cancelled():
        taking.exception()


class Admission:
    """Where the requests of one transport (`grpc` or `http`) are handed to `accept`."""

    def __init__(
        self,
        transport: str,
        accept: Accept,
        observe: Observe | None,
        clock: Callable[[], float] = time.monotonic,
        on_refused: OnRefused | None = None,
    ) -> None:
        self._transport = transport
        self._accept = accept
        self._observe = observe or ignore
        self._on_refused = on_refused or ignore_refused
        self._seldom = LogRateLimiter(clock)  # a client that is set up wrongly repeats itself with every batch

    async def take(self, signal: Signal, validated: Validated) -> Message:
        """Returns the Export response when the records are committed; raises what `accept` raises.

        A request without records succeeds and reaches nobody.
        """
        request = validated.request
        if validated.rejected:
            self._observe("refused", signal, self._transport, validated.rejected)
        if request.items:
            # A client that hangs up takes nothing back: what it sent is committed all the same, and counted.
            taking = asyncio.ensure_future(self._take(signal, request))
            taking.add_done_callback(_looked_at)
            await asyncio.shield(taking)
        return export_response(signal, validated.rejected, validated.message)

    async def _take(self, signal: Signal, request: Request) -> None:
        try:
            await self._accept(request)
        except Exception as error:
            self._observe("refused" if expected(error) else "failed", signal, self._transport, request.items)
            raise
        self._observe("accepted", signal, self._transport, request.items)

    def refuse_unread(self, reason: str) -> None:
        """Count a request that was refused before its records were known, by its answer's code."""
        self._on_refused(self._transport, reason)

    def refuse_foreign(self, reason: str, message: str, peer: str) -> None:
        """Count and note a request that is none of OTLP's: of each code one a minute."""
        self.refuse_unread(reason)
        _log.log(self._level(reason), "%s request from %s refused: %s", self._transport, peer, message)

    def refuse(self, signal: Signal | None, error: BaseException, peer: str) -> None:
        """Note a request that ends in an error: a defect with its traceback, of the rest one of a kind a minute."""
        what = f"{self._transport} request for {signal}" if signal else f"{self._transport} request"
        if not expected(error):
            _log.error("%s failed", what, exc_info=error)
            return
        verdict = "refused" if isinstance(error, RefusedError) else "turned away"
        if isinstance(error, RefusedError):  # `accept` raises none of these: nobody has counted the records
            self.refuse_unread(reason(self._transport, error))
        _log.log(self._level(type(error).__name__), "%s from %s %s: %s", what, peer, verdict, error)

    def _level(self, kind: str) -> int:
        return logging.DEBUG if self._seldom.unsaid(kind) is None else logging.WARNING
