"""Cross-origin requests, as confighttp's `cors` block says: which pages of a browser may send.

Pure: from a request's headers to the headers of its answer. Without an allowed origin nothing is added.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

_ALWAYS_ALLOWED = ("accept", "content-type", "x-requested-with")  # confighttp's when allowed_headers is empty


@dataclass(frozen=True, slots=True)
class Cors:
    """Origins and allowed headers may hold `*`; `max_age` is in seconds, 0 leaves it to the browser."""

    allowed_origins: tuple[str, ...] = ()
    allowed_headers: tuple[str, ...] = ()
    exposed_headers: tuple[str, ...] = ()
    max_age: int = 0

    def answer(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers to add to the answer of an actual request."""
        origin = self._origin(headers)
        if not origin:
            return {"Vary": "Origin"}
        answer = {
            "Vary": "Origin",
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Credentials": "true",
        }
        if self.exposed_headers:
            answer["Access-Control-Expose-Headers"] = ", ".join(self.exposed_headers)
        return answer

    def preflight(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers of the answer to an OPTIONS request that asks whether a POST may follow."""
        vary = {"Vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"}
        origin = self._origin(headers)
        asked = _names(headers.get("Access-Control-Request-Headers", ""))
        method = headers.get("Access-Control-Request-Method", "")
        if not origin or method != "POST" or not all(map(self._header_allowed, asked)):
            return vary
        answer = vary | {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Credentials": "true",
            "Access-Control-Allow-Methods": "POST",
        }
        if asked:
            answer["Access-Control-Allow-Headers"] = ", ".join(asked)
        if self.max_age:
            answer["Access-Control-Max-Age"] = str(self.max_age)
        return answer

    def _origin(self, headers: Mapping[str, str]) -> str:
        """The request's origin if it is allowed: named back rather than `*`, as credentials demand."""
        origin = headers.get("Origin", "")
        allowed = (pattern.lower().replace("[", "[[]") for pattern in self.allowed_origins)
        return origin if origin and any(fnmatchcase(origin.lower(), pattern) for pattern in allowed) else ""

    def _header_allowed(self, name: str) -> bool:
        allowed = {header.lower() for header in self.allowed_headers} or _ALWAYS_ALLOWED
        return "*" in allowed or name == "origin" or name in allowed


def _names(header: str) -> list[str]:
    return [name for part in header.split(",") if (name := part.strip().lower())]
