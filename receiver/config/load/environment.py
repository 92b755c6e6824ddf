"""The standard OTEL_EXPORTER_OTLP_* variables as the default exporter's settings. Pure: the environment is passed in.

The rules are those of the OTLP exporter specification. An empty variable is not set. A TRACES variable wins over the
general one. The general endpoint is a base URL to which HTTP adds /v1/traces; the traces endpoint is used as it is. The
scheme of a gRPC endpoint decides about TLS. Without a PROTOCOL, port 4317 and an endpoint without a scheme mean gRPC,
and anything else means HTTP.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from receiver.config.load.merging import Tree
from receiver.config.model.components import canonical
from receiver.config.model.problem import Problem
from receiver.net.address import split_url

PREFIX = "OTEL_EXPORTER_OTLP_"
_PROTOCOLS = ("grpc", "http/protobuf", "http/json")
_CERTIFICATES = {"ca_file": "CERTIFICATE", "cert_file": "CLIENT_CERTIFICATE", "key_file": "CLIENT_KEY"}
_PARTS = ("ENDPOINT", "PROTOCOL", "HEADERS", "COMPRESSION", "TIMEOUT", *_CERTIFICATES.values(), "INSECURE")


@dataclass(frozen=True, slots=True)
class DefaultExporter:
    """The exporter that is there when the configuration names none.

    `sources` has the variable behind each key of `settings`; it is empty for the debug exporter, which is the default
    without an endpoint.
    """

    id: str
    settings: Tree
    sources: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def default_exporter(environment: Mapping[str, str], ids: Collection[str] = ()) -> DefaultExporter:
    """The default exporter of this environment. Where one of `ids` names it by an old name, it gets that id."""
    variables = _Variables(environment)
    if not variables.get("ENDPOINT"):
        return DefaultExporter("debug", {"verbosity": "normal"})
    protocol = _protocol(variables)
    settings: Tree = {}
    if protocol == "grpc":
        settings["endpoint"] = variables.get("ENDPOINT", "endpoint")
    else:
        of_traces = variables.name("ENDPOINT") == f"{PREFIX}TRACES_ENDPOINT"
        key = "traces_endpoint" if of_traces else "endpoint"
        settings[key] = variables.get("ENDPOINT", key)
        settings["encoding"] = "json" if protocol == "http/json" else "proto"
    settings |= _shared(variables)
    kind = "otlp_grpc" if protocol == "grpc" else "otlp_http"
    written = next((one for one in ids if canonical("exporters", one) == kind), kind)
    return DefaultExporter(written, settings, variables.sources, tuple(variables.problems))


def set_variables(environment: Mapping[str, str]) -> list[str]:
    """The names of all variables that are set and could configure the default exporter."""
    names = (f"{PREFIX}{signal}{part}" for part in _PARTS for signal in ("", "TRACES_"))
    return [name for name in names if environment.get(name, "").strip()]


class _Variables:
    """The variables of the traces exporter, by the last part of their names."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.sources: dict[str, str] = {}  # variables by the key that they set
        self.problems: list[Problem] = []

    def name(self, part: str) -> str:
        """The variable that counts, or an empty text."""
        names = (f"{PREFIX}TRACES_{part}", f"{PREFIX}{part}")
        return next((name for name in names if self._environment.get(name, "").strip()), "")

    def get(self, part: str, key: str = "") -> str:
        """The variable's value, or an empty text. `key` is the setting that it is for."""
        name = self.name(part)
        if key and name:
            self.sources[key] = name
        return self._environment.get(name, "").strip()

    def refuse(self, part: str, text: str) -> None:
        """Record what is wrong with the value."""
        self.problems.append(Problem((self.name(part),), text))


def _protocol(variables: _Variables) -> str:
    stated = variables.get("PROTOCOL")
    if stated and stated not in _PROTOCOLS:
        variables.refuse("PROTOCOL", f"{stated!r} is not one of {', '.join(_PROTOCOLS)}")
    if stated:
        return stated
    endpoint = variables.get("ENDPOINT")
    try:
        port_4317 = split_url(endpoint).port == 4317
    except ValueError:
        return "http/protobuf"  # the exporter's own check says what is wrong with the URL
    # An endpoint without a scheme cannot be a URL, so it is not for HTTP.
    return "grpc" if port_4317 or "://" not in endpoint else "http/protobuf"


def _shared(variables: _Variables) -> Tree:
    """The settings that both protocols have."""
    tree: Tree = {"headers": _headers(variables), "tls": _tls(variables)}
    if compression := variables.get("COMPRESSION", "compression"):
        if compression not in ("gzip", "none"):
            variables.refuse("COMPRESSION", f"{compression!r} is not one of gzip, none")
        else:
            tree["compression"] = compression
    if timeout := variables.get("TIMEOUT", "timeout"):
        if timeout.isdecimal() and int(timeout) > 0:
            tree["timeout"] = f"{timeout}ms"
        else:
            variables.refuse("TIMEOUT", f"{timeout!r} is not a number of milliseconds above 0")
    return tree


def _headers(variables: _Variables) -> Tree:
    """`key=value` pairs with commas between them, percent-encoded."""
    headers: Tree = {}
    for pair in variables.get("HEADERS", "headers").split(","):
        key, equals, value = pair.partition("=")
        if not pair.strip():
            continue
        if not equals or not key.strip() or not value.strip():
            variables.refuse("HEADERS", "is not a list such as key1=value1,key2=value2")  # a value may be a secret
            continue
        headers[unquote(key.strip())] = unquote(value.strip())
    return headers


def _tls(variables: _Variables) -> Tree:
    # The last one with a value is named in a problem: the client's key before its certificate before the authorities.
    tree: Tree = {key: path for key, part in _CERTIFICATES.items() if (path := variables.get(part, "tls"))}
    if variables.get("INSECURE").lower() == "true":
        tree["insecure"] = True
    return tree
