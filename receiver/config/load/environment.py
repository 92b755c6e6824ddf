"""The standard OTEL_EXPORTER_OTLP_* variables as the default exporter's settings. Pure: the environment is given.

OTel's own rules: an empty variable is not set; the traces variable beats the general one; the general endpoint is a
base to which HTTP adds /v1/traces, the traces endpoint is used as it is; a gRPC endpoint's scheme says whether TLS is
spoken. Where no protocol is stated, port 4317 means gRPC, 4318 HTTP, and of any other port the exporter that is named
says it, or HTTP is meant, since a wrong guess loses everything.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from urllib.parse import unquote, urlsplit

from receiver.config.load.merging import Tree
from receiver.config.model.components import canonical
from receiver.config.model.problem import Problem

PREFIX = "OTEL_EXPORTER_OTLP_"
_PARTS = {"headers": ("HEADERS",), "tls": ("CLIENT_KEY", "CLIENT_CERTIFICATE"), "timeout": ("TIMEOUT",)}
_PROTOCOLS = ("grpc", "http/protobuf", "http/json")


class _Variables:
    """The variables of the traces exporter, by the last part of their names."""

    def __init__(self, environment: Mapping[str, str], problems: list[Problem]) -> None:
        self._environment = environment
        self._problems = problems

    def name(self, part: str) -> str:
        """The variable that counts, or an empty text."""
        names = (f"{PREFIX}TRACES_{part}", f"{PREFIX}{part}")
        return next((name for name in names if self._environment.get(name, "").strip()), "")

    def get(self, part: str) -> str:
        """Its value, or an empty text."""
        return self._environment.get(self.name(part), "").strip()

    def refuse(self, part: str, text: str) -> None:
        """Name what is wrong with its value."""
        self._problems.append(Problem((self.name(part),), text))


def default_exporter(environment: Mapping[str, str], problems: list[Problem], named: Collection[str] = ()) -> Tree:
    """One exporter by its id: OTLP where an endpoint is set, otherwise `debug`. It may be one of the `named` ids, and
    then is spelled as there."""
    variables = _Variables(environment, problems)
    if not variables.get("ENDPOINT"):
        return {"debug": {"verbosity": "normal"}}
    ids = {canonical("exporters", name): name for name in named}
    protocol = _protocol(variables, ids)
    shared = _shared(variables)
    if protocol == "grpc":
        return {ids.get("otlp_grpc", "otlp_grpc"): {"endpoint": variables.get("ENDPOINT"), **shared}}
    encoding = "json" if protocol == "http/json" else "proto"
    return {ids.get("otlp_http", "otlp_http"): {**_http_endpoint(variables), "encoding": encoding, **shared}}


def endpoint_variable(environment: Mapping[str, str]) -> str:
    """The variable that the default exporter's endpoint came from, or an empty text."""
    return _Variables(environment, []).name("ENDPOINT")


def variable_of(key: str, environment: Mapping[str, str]) -> str:
    """The variable that a key of the default exporter came from, or an empty text."""
    variables = _Variables(environment, [])
    parts = _PARTS.get(key, ("ENDPOINT",) if key.endswith("endpoint") else ())
    return next((name for name in map(variables.name, parts) if name), "")


def _protocol(variables: _Variables, named: Collection[str]) -> str:
    stated = variables.get("PROTOCOL")
    if stated and stated not in _PROTOCOLS:
        variables.refuse("PROTOCOL", f"{stated!r} is not one of {', '.join(_PROTOCOLS)}")
    if stated:
        return stated
    endpoint = variables.get("ENDPOINT")
    if not _splits(endpoint):
        return "http/protobuf"  # whose exporter says what is wrong with it
    # Without a scheme it cannot be a URL, so it is not for HTTP.
    if "://" not in endpoint or urlsplit(endpoint).netloc.endswith(":4317"):
        return "grpc"
    if urlsplit(endpoint).netloc.endswith(":4318") or "otlp_http" in named or "otlp_grpc" not in named:
        return "http/protobuf"
    return "grpc"


def _splits(endpoint: str) -> bool:
    try:
        urlsplit(endpoint)
    except ValueError:
        return False
    return True


def _http_endpoint(variables: _Variables) -> Tree:
    value = variables.get("ENDPOINT")
    if variables.name("ENDPOINT").startswith(f"{PREFIX}TRACES_"):
        return {"traces_endpoint": value}
    return {"endpoint": value}


def _shared(variables: _Variables) -> Tree:
    tree: Tree = {"headers": _headers(variables), "tls": _tls(variables)}
    if compression := variables.get("COMPRESSION"):
        if compression not in ("gzip", "none"):
            variables.refuse("COMPRESSION", f"{compression!r} is not one of gzip, none")
        else:
            tree["compression"] = compression
    if timeout := variables.get("TIMEOUT"):
        if timeout.isdecimal() and int(timeout) > 0:
            tree["timeout"] = f"{timeout}ms"
        else:
            variables.refuse("TIMEOUT", f"{timeout!r} is not a number of milliseconds above 0")
    return tree


def _headers(variables: _Variables) -> Tree:
    """`key=value` pairs with commas between them, percent-encoded."""
    headers: Tree = {}
    for pair in variables.get("HEADERS").split(","):
        key, equals, value = pair.partition("=")
        if not pair.strip():
            continue
        if not equals or not key.strip() or not value.strip():
            variables.refuse("HEADERS", "is not a list such as key1=value1,key2=value2")  # a value may be a secret
            continue
        headers[unquote(key.strip())] = unquote(value.strip())
    return headers


def _tls(variables: _Variables) -> Tree:
    tree: Tree = {}
    for key, part in (("ca_file", "CERTIFICATE"), ("cert_file", "CLIENT_CERTIFICATE"), ("key_file", "CLIENT_KEY")):
        if path := variables.get(part):
            tree[key] = path
    if variables.get("INSECURE").lower() == "true":
        tree["insecure"] = True
    return tree
