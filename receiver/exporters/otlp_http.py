"""The `otlp_http` exporter: sends to one backend over OTLP/HTTP, in protobuf or JSON."""

from __future__ import annotations

import asyncio
import errno
import gzip
import os
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Literal

import aiohttp

from receiver.codec import otlp_json
from receiver.errors import ConfigError, MalformedError, PermanentExportError
from receiver.exporters.endpoint import USER_AGENT, http_headers, http_url
from receiver.exporters.partial_success import OnRejected, parse_partial_success
from receiver.exporters.responses import http_failure, unreachable, web_page_error
from receiver.model import SIGNALS, Signal
from receiver.net.tls import TLSSettings, client_ssl_context

_CONTENT_TYPES = {"proto": "application/x-protobuf", "json": "application/json"}
_MAX_RESPONSE_BYTES = 64 * 1024  # as much as the Collector reads
_MAX_INLINE_BYTES = 64 * 1024  # encoding more than this would block the loop


class HttpExporter:
    """Makes one attempt for each export(). Takes the Collector's keys `endpoint` (to which `/v1/traces` and so on are
    added), `traces_endpoint`, `metrics_endpoint` and `logs_endpoint` (used unchanged), `encoding`, `compression`,
    `headers`, `timeout` (seconds), `proxy_url`, `tls`. Redirects are not followed.

    Calls `on_rejected` for a partial success; `now` gives seconds since the Unix epoch. Raises ConfigError.
    """

    def __init__(
        self,
        name: str,
        endpoint: str = "",
        *,
        traces_endpoint: str = "",
        metrics_endpoint: str = "",
        logs_endpoint: str = "",
        encoding: Literal["proto", "json"] = "proto",
        compression: Literal["gzip", "none"] = "gzip",
        headers: Mapping[str, str] | None = None,
        timeout: float = 5.0,
        proxy_url: str = "",
        tls: TLSSettings | None = None,
        on_rejected: OnRejected | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        tls = tls or TLSSettings()
        signal_endpoints: dict[Signal, str] = {
            "logs": logs_endpoint,
            "metrics": metrics_endpoint,
            "traces": traces_endpoint,
        }
        self.name = name
        self._urls = {signal: signal_endpoints[signal] or _signal_url(endpoint, signal) for signal in SIGNALS}
        for url in filter(None, self._urls.values()):
            http_url(url)
        if not any(self._urls.values()):
            raise ConfigError("endpoint: must be given, for example http://localhost:4318")
        self._encoding = encoding
        self._gzip = compression == "gzip"
        self._headers = {
            "User-Agent": USER_AGENT,
            **http_headers(headers or {}),
            "Content-Type": _CONTENT_TYPES[encoding],
            **({"Content-Encoding": "gzip"} if self._gzip else {}),
        }
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._proxy = proxy_url or None
        self._ssl = client_ssl_context(tls)
        self._server_name = tls.server_name_override or None
        self._on_rejected = on_rejected
        self._now = now
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Make the session. It connects when there is something to send."""
        self._session = aiohttp.ClientSession(
            timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=True
        )

    async def export(self, signal: Signal, body: bytes, items: int) -> None:
        """Send one serialized Export request. Raises PermanentExportError or RetryableExportError."""
        if self._session is None:
            raise RuntimeError("export() before start()")
        url = self._urls[signal]
        if not url:
            raise PermanentExportError(f"{self.name} has no endpoint for {signal}")
        payload = await self._payload(signal, body)
        try:
            async with self._session.post(
                url,
                data=payload,
                headers=self._headers,
                ssl=self._ssl,
                server_hostname=self._server_name,
                proxy=self._proxy,
                allow_redirects=False,
            ) as response:
                content = await _read(response.content)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unreachable(_cause(error), _without_query(url)) from None
        if not 200 <= response.status < 300:
            raise http_failure(response.status, response.headers, content, _without_query(url), self._now())
        content_type = response.headers.get("Content-Type", "")
        if page := web_page_error(content_type, _without_query(url)):
            raise page
        rejection = parse_partial_success(signal, content, content_type)
        if rejection is not None and self._on_rejected is not None:
            self._on_rejected(signal, rejection.count, rejection.message)

    async def stop(self) -> None:
        """Close the session and its connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _payload(self, signal: Signal, body: bytes) -> bytes:
        try:
            if len(body) > _MAX_INLINE_BYTES:
                return await asyncio.to_thread(self._encode, signal, body)
            return self._encode(signal, body)
        except MalformedError as error:
            raise PermanentExportError(str(error)) from None

    def _encode(self, signal: Signal, body: bytes) -> bytes:
        if self._encoding == "json":
            body = otlp_json.from_protobuf(signal, body).encode()
        return gzip.compress(body, compresslevel=6, mtime=0) if self._gzip else body


def _signal_url(endpoint: str, signal: Signal) -> str:
    return f"{endpoint.rstrip('/')}/v1/{signal}" if endpoint else ""


def _without_query(url: str) -> str:
    """The URL for messages: some backends take their API key in the query."""
    return url.partition("?")[0]


def _cause(error: Exception) -> Exception:
    """The cause of aiohttp's error, whose own text repeats the address and shows bytes and Python objects."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return error.certificate_error
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return OSError(f"{error.host} cannot be resolved: {error.os_error.strerror}")
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno
        has_text = number in errno.errorcode and not isinstance(error.os_error, ssl.SSLError)
        return OSError(os.strerror(number)) if has_text and number else error.os_error
    if isinstance(error, aiohttp.ClientResponseError):
        return OSError(error.message.partition("\n")[0])
    return error


async def _read(content: aiohttp.StreamReader) -> bytes:
    """The beginning of a response, at most _MAX_RESPONSE_BYTES."""
    body = b""
    while len(body) < _MAX_RESPONSE_BYTES and (part := await content.read(_MAX_RESPONSE_BYTES - len(body))):
        body += part
    return body
