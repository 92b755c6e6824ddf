"""OTEL_EXPORTER_OTLP_* configure the default exporter, and --set changes it."""

from collections.abc import Callable

import pytest

from receiver.config import OTLPGRPCExporter, OTLPHTTPExporter, Settings, effective

Read = Callable[..., Settings]
Refused = Callable[..., list[str]]
P = "OTEL_EXPORTER_OTLP_"


def only(settings: Settings) -> object:
    (exporter,) = settings.exporters.values()
    return exporter


def test_endpoint_and_protocol_choose_the_exporter(read: Read, subtests: pytest.Subtests) -> None:
    for variables, kind, where in [
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
    ]:
        with subtests.test(variables=variables, kind=kind, where=where):
            settings = read(**{P + name: value for name, value in variables.items()})
            exporter = only(settings)
            assert isinstance(exporter, kind)
            assert where == (exporter.target if isinstance(exporter, OTLPGRPCExporter) else exporter.url("traces"))  # type: ignore[attr-defined]
            assert settings.graph.built == tuple(settings.exporters)


def test_the_other_variables_set_the_default_exporters_keys(read: Read) -> None:
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


def test_protocol_http_json_sets_the_encoding(read: Read) -> None:
    exporter = only(read(**{P + "ENDPOINT": "http://b:4318", P + "PROTOCOL": "http/json"}))
    assert isinstance(exporter, OTLPHTTPExporter)
    assert exporter.encoding == "json"


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


def test_a_problem_with_a_value_names_its_variable(refused: Refused, subtests: pytest.Subtests) -> None:
    for name, value, text in [
        ("HEADERS", "a%20b=c", "is not a header name"),
        ("TRACES_HEADERS", "a=b%0Ac", "must be printable ASCII"),
        ("CLIENT_KEY", "/k", "belong together"),
        ("TRACES_CLIENT_CERTIFICATE", "/c", "belong together"),
    ]:
        for endpoint in ["http://b:4317", "http://b:4318"]:
            with subtests.test(name=name, value=value, text=text, endpoint=endpoint):
                (line,) = refused(**{P + "ENDPOINT": endpoint, P + name: value})
                assert line.startswith(f"{P}{name}: ")
                assert text in line


def test_without_an_endpoint_the_other_variables_do_not_count(read: Read) -> None:
    assert list(read(**{P + "PROTOCOL": "grpc", P + "HEADERS": "a=b"}).exporters) == ["debug"]


def test_an_unknown_protocol_is_named(refused: Refused) -> None:
    (line,) = refused(**{P + "ENDPOINT": "http://b:4317", P + "PROTOCOL": "thrift"})
    assert line == f"{P}PROTOCOL: 'thrift' is not one of grpc, http/protobuf, http/json"


def test_an_endpoint_that_names_this_receiver_is_not_used_and_a_warning_says_so(
    read: Read, subtests: pytest.Subtests
) -> None:
    for endpoint in ["http://localhost:4317", "http://127.0.0.1:4318", "localhost:4317", "http://[::1]:4318"]:
        with subtests.test(endpoint=endpoint):
            settings = read(**{P + "ENDPOINT": endpoint})
            assert list(settings.exporters) == ["debug"]
            (warning,) = settings.notices
            assert warning.startswith(f"{P}ENDPOINT names this receiver itself")


def test_the_same_endpoint_is_used_where_the_receiver_listens_elsewhere(read: Read) -> None:
    settings = read(
        "receivers: {otlp: {protocols: {grpc: {endpoint: 'localhost:5317'}}}}", **{P + "ENDPOINT": "localhost:4317"}
    )
    assert list(settings.exporters) == ["otlp_grpc"]


def test_set_changes_one_key_and_leaves_the_others_to_the_variables(read: Read, subtests: pytest.Subtests) -> None:
    for name, variables in [
        ("otlp_grpc", {"ENDPOINT": "http://b:4317"}),
        ("otlp", {"ENDPOINT": "http://b:4317"}),
        ("otlp_grpc", {"ENDPOINT": "http://b:4318", "PROTOCOL": "grpc"}),
        ("otlp", {"TRACES_ENDPOINT": "https://b:4317"}),
        ("otlp_http", {"ENDPOINT": "http://b:4318"}),
        ("otlphttp", {"ENDPOINT": "http://b:14318"}),
        ("otlp_http", {"ENDPOINT": "http://b:4317", "PROTOCOL": "http/protobuf"}),
        ("otlp_http", {"TRACES_ENDPOINT": "http://b/x"}),
    ]:
        with subtests.test(name=name, variables=variables):
            variables = {P + key: value for key, value in variables.items()} | {P + "HEADERS": "a=b"}
            settings = read("", (f"exporters::{name}::timeout=9s",), **variables)
            exporter = settings.exporters[name]
            assert isinstance(exporter, OTLPGRPCExporter | OTLPHTTPExporter)
            assert (variables.get(P + "ENDPOINT") or variables[P + "TRACES_ENDPOINT"]) in (
                exporter.endpoint,
                getattr(exporter, "traces_endpoint", None),
            )
            assert list(exporter.headers) == ["a"]
            assert exporter.timeout == 9_000_000_000
            assert settings.graph.built == (name,)
            assert settings.notices == ()


def test_set_wins_over_the_variables_key_by_key_and_adds_other_exporters(read: Read) -> None:
    settings = read(
        "",
        (
            "exporters::otlp_grpc::endpoint=c:4317",
            "exporters::otlp_grpc::headers::x=z",
            "exporters::debug::verbosity=basic",
        ),
        **{P + "ENDPOINT": "b:4317", P + "HEADERS": "x=y,a=b", P + "TIMEOUT": "1500"},
    )
    exporter = settings.exporters["otlp_grpc"]
    assert isinstance(exporter, OTLPGRPCExporter)
    assert (exporter.target, exporter.timeout) == ("c:4317", 1_500_000_000)
    assert {key: value.get_secret_value() for key, value in exporter.headers.items()} == {"x": "z", "a": "b"}
    assert settings.graph.built == ("otlp_grpc", "debug")


def test_set_of_another_exporter_replaces_the_default_exporter(refused: Refused) -> None:
    for name, endpoint in (
        ("otlp_grpc", "http://b:4318"),
        ("otlp_http", "http://b:4317"),
        ("otlp_grpc/second", "http://b:4317"),
    ):
        required, unused = refused("", (f"exporters::{name}::timeout=9s",), **{P + "ENDPOINT": endpoint})
        assert required.startswith(f"exporters::{name}")
        assert unused.startswith(f"{P}ENDPOINT: not used")


def test_a_problem_with_a_key_of_set_names_the_key(refused: Refused) -> None:
    (line,) = refused("", ("exporters::otlp_grpc::endpoint=http://c:1/x",), **{P + "ENDPOINT": "b:4317"})
    assert line.startswith("exporters::otlp_grpc::endpoint: ")


def test_an_endpoint_that_names_this_receiver_is_an_error_where_set_names_the_exporter(refused: Refused) -> None:
    (line,) = refused("", ("exporters::otlp_grpc::timeout=9s",), **{P + "ENDPOINT": "http://localhost:4317"})
    assert line.startswith(f"{P}ENDPOINT: localhost:4317 is this program's own receiver")


def test_an_invalid_endpoint_names_its_variable(refused: Refused) -> None:
    (line,) = refused(**{P + "ENDPOINT": "http://["})
    assert line.startswith(f"{P}ENDPOINT: 'http://[' is not a URL")
