"""Checks the `authorization` header as the Collector's bearertokenauth and basicauth extensions do.

Pure: an authenticator takes the header's value and refuses by raising. Every credential is compared, each in constant
time, so that the response time reveals nothing. Secrets stay out of `repr` and of messages.
"""

from __future__ import annotations

import binascii
import hmac
from base64 import b64decode
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from receiver.errors import UnauthenticatedError


@dataclass(frozen=True, slots=True)
class BearerAuth:
    """Accepts any of `tokens` after `scheme` (case-insensitive); with an empty scheme, the token alone."""

    tokens: tuple[str, ...] = field(repr=False)
    scheme: str = "Bearer"

    @property
    def challenge(self) -> str:
        """For the WWW-Authenticate header."""
        return self.scheme or "Bearer"

    def check(self, authorization: str | None) -> None:
        """Raises UnauthenticatedError unless the header's value is one of the tokens."""
        if authorization is None:
            raise UnauthenticatedError("no credentials: send them in the authorization header")
        if not _any_equal(_credentials(self.scheme, authorization), self.tokens):
            raise UnauthenticatedError("the bearer token is not valid")


@dataclass(frozen=True, slots=True)
class BasicAuth:
    """Accepts any of `users`, which are (name, password) pairs."""

    users: tuple[tuple[str, str], ...] = field(repr=False)
    challenge = 'Basic realm="opencode-trace-receiver", charset="UTF-8"'

    def check(self, authorization: str | None) -> None:
        """Raises UnauthenticatedError unless the header's value is one of the pairs."""
        if authorization is None:
            raise UnauthenticatedError("no credentials: send them in the authorization header")
        pairs = (f"{name}:{password}" for name, password in self.users)
        if not _any_equal(_decode(_credentials("Basic", authorization)), pairs):
            raise UnauthenticatedError("the user name or the password is not valid")


Auth: TypeAlias = BearerAuth | BasicAuth


def _credentials(scheme: str, authorization: str) -> str:
    if not scheme:
        return authorization.strip()
    given, _, credentials = authorization.strip().partition(" ")
    return credentials.strip() if given.lower() == scheme.lower() else ""


def _decode(credentials: str) -> str:
    try:
        return b64decode(credentials, validate=True).decode()
    except (binascii.Error, ValueError):
        return ""


def _any_equal(given: str, allowed: Iterable[str]) -> bool:
    given_bytes = given.encode("utf-8", "surrogateescape")
    equal = False
    for credential in allowed:
        equal |= hmac.compare_digest(given_bytes, credential.encode())
    return equal and bool(given)
