"""What an operator can do about a backend's answer, where the answer is known to come from a certain mistake. Pure."""

from __future__ import annotations

# Words of gRPC's library, Python's ssl, aiohttp and Go's net/http, as tests/test_troubleshooting.py brings them about.
_REMEDIES = (
    ("Failed parsing HTTP/2", "no gRPC is spoken there: give the backend's gRPC port, often 4317, or use otlp_http"),
    ("missing selected ALPN", "no gRPC is spoken there: give the backend's gRPC port, often 4317, or use otlp_http"),
    ("Bad status line", "no HTTP is spoken there: give the backend's HTTP port, often 4318, or use otlp_grpc"),
    ("WRONG_VERSION_NUMBER", "no TLS is spoken there: write http://, or set tls::insecure"),
    ("CERTIFICATE_VERIFY_FAILED", "set tls::ca_file to the authority that the backend's certificate is of"),
    ("HTTP request to an HTTPS server", "write https://"),
    ("Connection reset by peer", "if TLS is spoken there, write https://"),
    ("Socket closed", "if TLS is spoken there, write https://"),
    ("UNAUTHENTICATED", "look at headers::authorization"),
    ("PERMISSION_DENIED", "look at headers::authorization"),
    ("HTTP 401", "look at headers::authorization"),
    ("HTTP 403", "look at headers::authorization"),
    ("HTTP 404", "look at the path of the endpoint"),
    ("UNIMPLEMENTED", "that takes no such signal: look at the endpoint"),
    ("errors resolving", "look at the host's name"),
    ("cannot be resolved", "look at the host's name"),
)
# Where no configuration is read, its keys are options.
_OPTIONS = (
    ("look at headers::authorization", "give --header authorization='Bearer …'"),
    ("or use otlp_http", "or --protocol http/protobuf"),
    ("or use otlp_grpc", "or --protocol grpc"),
    ("write http://, or set tls::insecure", "write http://"),
)


def with_remedy(message: str) -> str:
    """The message, with what to do about it where that is known."""
    remedy = next((remedy for words, remedy in _REMEDIES if words in message), "")
    return f"{message} ({remedy})" if remedy else message


def for_command_line(message: str) -> str:
    """What with_remedy() gave, in the words of a command that sends by itself."""
    for key, option in _OPTIONS:
        message = message.replace(f"{key})", f"{option})")
    return message
