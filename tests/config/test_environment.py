"""OTEL_EXPORTER_OTLP_* as the default exporter."""

from collections.abc import Callable

import pytest

from receiver.config import OTLPGRPCExporter, OTLPHTTPExporter, Settings, effective

Read = Callable[..., Settings]
Refused = Callable[..., list[str]]
P = "OTEL_EXPORTER_OTLP_"


def only(settings: Settings) -> object:
    (exporter,) = settings.exporters.values()
    return exporter


@pytest.mark.parametrize(
    ("variables", "kind", "where"),
    [
        ({"ENDPOINT": "http://b:4317"}, OTLPGRPCExporter, "b:4317"),
        ({"ENDPOINT": "b:9999"}, OTLPGRPCExporter, "b:9999"),
        ({"ENDPOINT": "http://b:9999", "PROTOCOL": "grpc"}, OTLPGRPCExporter, "b:9999"),
        ({"ENDPOINT": "http://b:9999", "PROTOCOL": "http/json", "TRACES_PROTOCOL": "grpc"}, OTLPGRPCExporter, "b:9999"),
        ({"ENDPOINT": "http://b:4318"}, OTLPHTTPExporter, "http://b:4318/v1/traces"),
        ({"ENDPOINT": "http://b:4318/"}, OTLPHTTPExporter, "http://b:4318/v1/traces"),
        ({"ENDPOINT": "http://b:4317", "PROTOCOL": "http/protobuf"}, OTLPHTTPExporter, "http://b:4317/v1/traces"),
        ({"TRACES_ENDPOINT": "https://b/x"}, OTLPHTTPExporter, "https://b/x"),
        ({"ENDPOINT": "http://a:4317", "TRACES_ENDPOINT": "http://b:4318/x"}, OTLPHTTPExporter, "http://b:4318/x"),
        ({"ENDPOINT": "http://b:4318", "TRACES_ENDPOINT": ""}, OTLPHTTPExporter, "http://b:4318/v1/traces"),
    ],
)
def test_endpoint_and_protocol_choose_the_exporter(
    read: Read, variables: dict[str, str], kind: type, where: str
) -> None:
    settings = read(**{P + name: value for name, value in variables.items()})
    exporter = only(settings)
    assert isinstance(exporter, kind)
    assert where == (exporter.target if isinstance(exporter, OTLPGRPCExporter) else exporter.url("traces"))  # type: ignore[attr-defined]
    assert settings.graph.built == tuple(settings.exporters)


def test_the_other_variables_fill_its_keys(read: Read) -> None:
    settings = read(
        **{
            P + "ENDPOINT": "b:4317",
            P + "HEADERS": "api-key=a%20b%3D, x = y= ,",
            P + "COMPRESSION": "none",
            P + "TIMEOUT": "1500",
            P + "CERTIFICATE": "/ca",
            P + "CLIENT_CERTIFICATE": "/cert",
            P + "TRACES_CLIENT_KEY": "/key",
            P + "INSECURE": "TRUE",
        }
    )
    exporter = only(settings)
    assert isinstance(exporter, OTLPGRPCExporter)
    assert {key: value.get_secret_value() for key, value in exporter.headers.items()} == {"api-key": "a b=", "x": "y="}
    assert (exporter.compression, exporter.timeout, exporter.plaintext) == ("none", 1_500_000_000, True)
    assert (exporter.tls.ca_file, exporter.tls.cert_file, exporter.tls.key_file) == ("/ca", "/cert", "/key")
    assert "a b=" not in effective(settings) + repr(settings)


def test_json_is_an_encoding(read: Read) -> None:
    exporter = only(read(**{P + "ENDPOINT": "http://b:4318", P + "PROTOCOL": "http/json"}))
    assert isinstance(exporter, OTLPHTTPExporter)
    assert exporter.encoding == "json"


def test_exporters_of_a_file_make_them_void_even_where_they_are_wrong(read: Read) -> None:
    settings = read("exporters: {file: {path: x}}", **{P + "ENDPOINT": "http://b:4317", P + "TIMEOUT": "wrong"})
    assert list(settings.exporters) == ["file"]


def test_every_wrong_variable_is_named_and_no_secret_repeated(refused: Refused) -> None:
    lines = refused(
        **{
            P + "TRACES_ENDPOINT": "http://b:4317/x",
            P + "PROTOCOL": "grpc",
            P + "HEADERS": "hunter2",
            P + "COMPRESSION": "zstd",
            P + "TIMEOUT": "5s",
        }
    )
    assert [line.partition(":")[0] for line in lines] == [
        P + "HEADERS",
        P + "COMPRESSION",
        P + "TIMEOUT",
        P + "TRACES_ENDPOINT",
    ]
    assert "hunter2" not in "".join(lines)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("HEADERS", "a%20b=c", "is not a header's name"),
        ("TRACES_HEADERS", "a=b%0Ac", "must be printable ASCII"),
        ("CLIENT_KEY", "/k", "belong together"),
        ("TRACES_CLIENT_CERTIFICATE", "/c", "belong together"),
    ],
)
@pytest.mark.parametrize("endpoint", ["http://b:4317", "http://b:4318"])
def test_what_is_wrong_is_told_by_its_variable(
    refused: Refused, name: str, value: str, told: str, endpoint: str
) -> None:
    (line,) = refused(**{P + "ENDPOINT": endpoint, P + name: value})
    assert line.startswith(f"{P}{name}: ")
    assert told in line


def test_without_an_endpoint_the_others_say_nothing(read: Read) -> None:
    assert list(read(**{P + "PROTOCOL": "grpc", P + "HEADERS": "a=b"}).exporters) == ["debug"]


def test_an_unknown_protocol_is_named(refused: Refused) -> None:
    (line,) = refused(**{P + "ENDPOINT": "http://b:4317", P + "PROTOCOL": "thrift"})
    assert line == f"{P}PROTOCOL: 'thrift' is not one of grpc, http/protobuf, http/json"


@pytest.mark.parametrize(
    "endpoint", ["http://localhost:4317", "http://127.0.0.1:4318", "localhost:4317", "http://[::1]:4318"]
)
def test_an_endpoint_that_was_meant_for_the_agent_is_not_used_and_a_notice_says_so(read: Read, endpoint: str) -> None:
    settings = read(**{P + "ENDPOINT": endpoint})
    assert list(settings.exporters) == ["debug"]
    (notice,) = settings.notices
    assert notice.startswith(f"{P}ENDPOINT names this receiver itself")


def test_the_same_endpoint_is_used_when_the_doors_are_elsewhere(read: Read) -> None:
    settings = read(
        "receivers: {otlp: {protocols: {grpc: {endpoint: 'localhost:5317'}}}}", **{P + "ENDPOINT": "localhost:4317"}
    )
    assert list(settings.exporters) == ["otlp_grpc"]
