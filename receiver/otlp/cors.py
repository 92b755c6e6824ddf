"""Cross-origin requests as confighttp's `cors` block configures them: which web pages may send telemetry.

Pure: from a request's headers to the headers of its response. No allowed origin, no header but Vary.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

_ALWAYS_ALLOWED = ("accept", "content-type", "x-requested-with")  # confighttp's when allowed_headers is empty


@dataclass(frozen=True, slots=True)
class CORSPolicy:
    """Origins and allowed headers may contain `*`; `max_age` is in seconds, 0 lets the browser decide."""

    allowed_origins: tuple[str, ...] = ()
    allowed_headers: tuple[str, ...] = ()
    exposed_headers: tuple[str, ...] = ()
    max_age: int = 0

    def response_headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers to add to the response of an actual request."""
        origin = self._origin(headers)
        if not origin:
            return {"Vary": "Origin"}
        response = {
            "Vary": "Origin",
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Credentials": "true",
        }
        if self.exposed_headers:
            response["Access-Control-Expose-Headers"] = ", ".join(self.exposed_headers)
        return response

    def preflight_headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers of the response to an OPTIONS request that asks whether a POST may follow."""
        vary = {"Vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"}
        origin = self._origin(headers)
        requested = _names(headers.get("Access-Control-Request-Headers", ""))
        method = headers.get("Access-Control-Request-Method", "")
        if not origin or method != "POST" or not all(map(self._header_allowed, requested)):
            return vary
        response = vary | {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Credentials": "true",
            "Access-Control-Allow-Methods": "POST",
        }
        if requested:
            response["Access-Control-Allow-Headers"] = ", ".join(requested)
        if self.max_age:
            response["Access-Control-Max-Age"] = str(self.max_age)
        return response

    def _origin(self, headers: Mapping[str, str]) -> str:
        """The request's origin if it is allowed; empty otherwise. Not `*`: credentials require the origin itself."""
        origin = headers.get("Origin", "")
        allowed = (pattern.lower().replace("[", "[[]") for pattern in self.allowed_origins)
        return origin if origin and any(fnmatchcase(origin.lower(), pattern) for pattern in allowed) else ""

    def _header_allowed(self, name: str) -> bool:
        allowed = {header.lower() for header in self.allowed_headers} or _ALWAYS_ALLOWED
        return "*" in allowed or name == "origin" or name in allowed


def _names(header: str) -> list[str]:
    return [name for part in header.split(",") if (name := part.strip().lower())]
