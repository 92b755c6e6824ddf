"""Handles a validated Export request for both receivers: pass it to the pipeline, count it, make the response.

The response is made only after `accept` has returned, that is, after the records are committed. Nothing here knows gRPC
or HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import structlog
from google.protobuf.message import Message

from receiver.codec.export_service import export_response
from receiver.codec.validate import Validated
from receiver.errors import RefusedError
from receiver.model import Request, Signal
from receiver.otlp.error_mapping import expected, reason

Accept: TypeAlias = Callable[[Request], Awaitable[None]]
# observe(event, signal, transport, count): records are `accepted`, `refused` (by validation) or `failed` (a defect).
Observe: TypeAlias = Callable[[str, str, str, int], None]
# on_refused(transport, reason): a request was refused before its records were known.
OnRefused: TypeAlias = Callable[[str, str], None]

_log = structlog.get_logger(__name__)


def _ignore(event: str, signal: str, transport: str, count: int) -> None:
    """An `Observe` that counts nothing."""


def _ignore_refused(transport: str, reason: str) -> None:
    """An `OnRefused` that counts nothing."""


def _retrieve_error(accepting: asyncio.Future[None]) -> None:
    """asyncio would log an error that nobody awaits any more; it is counted already."""
    if not accepting.cancelled():
        accepting.exception()


class RequestHandler:
    """Passes the requests of one transport (`grpc` or `http`) to `accept`, counts them and logs the refused ones.

    A client with wrong settings repeats its mistake with every batch: one line a minute is logged for each error class
    or code.
    """

    def __init__(
        self, transport: str, accept: Accept, observe: Observe | None, on_refused: OnRefused | None = None
    ) -> None:
        self._transport = transport
        self._accept = accept
        self._observe = observe or _ignore
        self._on_refused = on_refused or _ignore_refused
        self._log = _log.bind(transport=transport)

    async def handle(self, signal: Signal, validated: Validated) -> Message:
        """The Export response, when the records are committed. Raises what `accept` raises.

        A request without records succeeds and is not passed on.
        """
        request = validated.request
        if validated.rejected:
            self._observe("refused", signal, self._transport, validated.rejected)
        if request.items:
            # A client that hangs up cancels nothing: what it sent is committed and counted all the same.
            accepting = asyncio.ensure_future(self._accept_and_count(signal, request))
            accepting.add_done_callback(_retrieve_error)
            await asyncio.shield(accepting)
        return export_response(signal, validated.rejected, validated.message)

    async def _accept_and_count(self, signal: Signal, request: Request) -> None:
        try:
            await self._accept(request)
        except Exception as error:
            self._observe("refused" if expected(error) else "failed", signal, self._transport, request.items)
            raise
        self._observe("accepted", signal, self._transport, request.items)

    def refuse_non_otlp(self, code: str, message: str, peer: str) -> None:
        """Count and log a request that is not for an Export service: a wrong method, path or content type."""
        self._on_refused(self._transport, code)
        self._log.warning("request refused", peer=peer, reason=message, limit_key=(self._transport, code))

    def refuse(self, signal: Signal | None, error: BaseException, peer: str) -> None:
        """Count and log a request that ends in an error; a defect with its traceback, each time."""
        log = self._log.bind(signal=signal) if signal else self._log
        if not expected(error):
            log.error("request failed", peer=peer, exc_info=error)
            return
        event = "request not accepted; the client may retry"
        if isinstance(error, RefusedError):  # `accept` raises none of these, so nobody has counted the request
            event = "request refused"
            self._on_refused(self._transport, reason(self._transport, error))
        log.warning(event, peer=peer, reason=str(error), limit_key=(self._transport, type(error).__name__))
