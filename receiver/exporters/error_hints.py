"""Adds a hint to a backend's error where the error is known to come from a certain mistake. Pure."""

from __future__ import annotations

_NO_GRPC = "that port speaks no gRPC: use the backend's gRPC port, often 4317, or otlp_http"
_CHECK_TOKEN = "check headers::authorization"  # noqa: S105  no password
_CHECK_HOST = "check the host name"

# (words in the error, hint). The words are those of gRPC's library, Python's ssl, aiohttp and Go's net/http;
# tests/documents/test_troubleshooting_page.py causes them.
_HINTS = (
    ("Failed parsing HTTP/2", _NO_GRPC),
    ("missing selected ALPN", _NO_GRPC),
    ("Bad status line", "that port speaks no HTTP: use the backend's HTTP port, often 4318, or otlp_grpc"),
    ("WRONG_VERSION_NUMBER", "that port speaks no TLS: write http://, or set tls::insecure"),
    ("CERTIFICATE_VERIFY_FAILED", "set tls::ca_file to the CA that signed the backend's certificate"),
    ("HTTP request to an HTTPS server", "write https://"),
    ("Connection reset by peer", "if that port speaks TLS, write https://"),
    ("Socket closed", "if that port speaks TLS, write https://"),
    ("UNAUTHENTICATED", _CHECK_TOKEN),
    ("PERMISSION_DENIED", _CHECK_TOKEN),
    ("HTTP 401", _CHECK_TOKEN),
    ("HTTP 403", _CHECK_TOKEN),
    ("HTTP 404", "check the path of the endpoint"),
    ("UNIMPLEMENTED", "the backend does not take this signal: check the endpoint"),
    ("errors resolving", _CHECK_HOST),
    ("cannot be resolved", _CHECK_HOST),
)
# A command without a configuration has options instead of its keys.
_OPTIONS = (
    (_CHECK_TOKEN, "give --header authorization='Bearer …'"),
    ("or otlp_http", "or --protocol http/protobuf"),
    ("or otlp_grpc", "or --protocol grpc"),
    ("write http://, or set tls::insecure", "write http://"),
)


def with_hint(message: str) -> str:
    """The message, and in brackets what to do about it where that is known."""
    hint = next((hint for words, hint in _HINTS if words in message), "")
    return f"{message} ({hint})" if hint else message


def for_command_line(message: str) -> str:
    """A message of with_hint(), with command line options instead of configuration keys."""
    for key, option in _OPTIONS:
        message = message.replace(f"{key})", f"{option})")
    return message
