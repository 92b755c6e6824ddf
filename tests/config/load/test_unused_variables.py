"""OTEL_EXPORTER_OTLP_* do not count where the configuration names exporters, and one warning says so."""

from collections.abc import Callable

from receiver.config import OTLPGRPCExporter, Settings

Read = Callable[..., Settings]
Refused = Callable[..., list[str]]
P = "OTEL_EXPORTER_OTLP_"
FILE = "exporters: {file: {path: x}}"


def test_an_exporter_of_a_file_takes_nothing_from_the_variables(read: Read) -> None:
    variables = {P + "ENDPOINT": "b:4317", P + "HEADERS": "key=secret", P + "TIMEOUT": "9000"}
    for name in ("otlp_grpc", "otlp", "otlp_grpc/mine"):
        exporter = read(f"exporters: {{{name}: {{endpoint: 'c:4317'}}}}", **variables).exporters[name]
        assert isinstance(exporter, OTLPGRPCExporter)
        assert (exporter.target, exporter.headers, exporter.timeout) == ("c:4317", {}, 5_000_000_000)


def test_variables_that_do_not_count_may_be_wrong(read: Read) -> None:
    settings = read(FILE, **{P + "ENDPOINT": "http://[", P + "TIMEOUT": "wrong", P + "PROTOCOL": "thrift"})
    assert list(settings.exporters) == ["file"]


def test_one_warning_names_the_variables_that_are_set_and_the_remedy(read: Read) -> None:
    variables = {
        P + "ENDPOINT": "http://c:4317",
        P + "TRACES_HEADERS": "a=b",
        P + "TIMEOUT": "",
        P + "LOGS_ENDPOINT": "x",
    }
    (warning,) = read("exporters: {debug: , file: {path: x}}", **variables).notices
    assert warning == (
        f"{P}ENDPOINT, {P}TRACES_HEADERS: not used, since the configuration names its exporters (debug, file); "
        f"write ${{env:{P}ENDPOINT}} where one of them is to have the value"
    )


def test_the_warning_comes_for_exporters_of_set_too(read: Read) -> None:
    (warning,) = read("", ("exporters::file::path=x",), **{P + "ENDPOINT": "http://c:4317"}).notices
    assert warning.startswith(f"{P}ENDPOINT: not used")


def test_there_is_no_warning_without_variables(read: Read) -> None:
    assert read(FILE).notices == ()
    assert read(FILE, **{P + "ENDPOINT": " "}).notices == ()


def test_a_variable_that_the_configuration_refers_to_is_used(read: Read) -> None:
    references = (
        f"exporters: {{otlp_grpc: {{endpoint: '${{env:{P}ENDPOINT}}'}}}}",
        f"exporters: {{otlp_grpc: {{endpoint: '${{env:MINE:-${{env:{P}ENDPOINT}}}}'}}}}",
    )
    for text in references:
        settings = read(text, **{P + "ENDPOINT": "http://c:4317"})
        assert settings.notices == ()
        exporter = settings.exporters["otlp_grpc"]
        assert isinstance(exporter, OTLPGRPCExporter)
        assert exporter.target == "c:4317"


def test_an_exporter_of_a_file_without_an_endpoint_is_refused_with_the_remedy(refused: Refused) -> None:
    for name in ("otlp_grpc", "otlp", "otlp_http", "otlp_grpc/mine"):
        for body in ("", "{timeout: 9s}"):
            required, unused = refused(f"exporters: {{{name}: {body}}}", **{P + "ENDPOINT": "http://b:4317"})
            assert required.startswith(f"exporters::{name}")
            assert unused.startswith(f"{P}ENDPOINT: not used")
            assert unused.endswith(f"write ${{env:{P}ENDPOINT}} where one of them is to have the value")


def test_errors_of_other_sections_do_not_mention_the_variables(refused: Refused) -> None:
    (line,) = refused(f"{FILE}\nreceivers: {{filelog: }}", **{P + "ENDPOINT": "http://b:4317"})
    assert line.startswith("receivers::filelog: ")
