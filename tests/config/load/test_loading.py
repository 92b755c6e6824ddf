"""Defaults, and files and --set over them."""

from collections.abc import Callable

import pytest

from receiver.config import DebugExporter, Input, OTLPGRPCExporter, Settings, load

Read = Callable[..., Settings]
Refused = Callable[..., list[str]]

SECOND = 10**9


def test_all_defaults_without_a_file(read: Read) -> None:
    settings = read()
    protocols = settings.receivers["otlp"].protocols
    assert protocols.grpc is not None
    assert protocols.http is not None
    assert protocols.grpc.endpoint == "localhost:4317"
    assert protocols.grpc.max_recv_msg_size_mib == 64
    assert protocols.http.endpoint == "localhost:4318"
    assert protocols.http.max_request_body_size == 20 * 1024 * 1024
    assert list(settings.exporters.values()) == [DebugExporter(verbosity="normal")]
    assert settings.storage.directory == "/home/me/.local/state/opencode-trace-receiver"
    assert settings.storage.fsync
    assert settings.health_check is not None
    assert settings.health_check.endpoint == "localhost:13133"
    assert settings.admin is not None
    assert settings.admin.endpoint == "localhost:13134"
    assert settings.service.telemetry.metrics.address == "localhost:8888"
    assert settings.graph.inputs == {signal: Input(connector=True) for signal in ("logs", "metrics", "traces")}
    assert settings.graph.built == ("debug",)
    assert settings.notices == ()


def test_the_connectors_defaults(read: Read) -> None:
    assert read().connector.model_dump() == {
        "idle_timeout": "1m",
        "inactivity_timeout": "10m",
        "settle": "2s",
        "trace_mode": "session",
        "child_sessions": "nested",
        "remote_parent": "child",
        "max_spans_per_trace": 10_000,
        "max_trace_age": "24h",
        "mcp_servers": (),
        "builtin_tools": (),
        "capture_content": ("errors",),
        "infer": True,
        "conventions": ("gen_ai",),
        "adopt_spans": True,
        "live_markers": False,
    }


def test_a_file_with_only_a_connector_changes_only_that(read: Read) -> None:
    settings, default = read("connectors: {agenttrace: {idle_timeout: 5s}}"), read()
    assert settings.connector.idle_timeout == 5 * SECOND
    assert (settings.receivers, settings.exporters, settings.graph) == (
        default.receivers,
        default.exporters,
        default.graph,
    )


def test_exporters_of_a_file_get_the_built_traces(read: Read) -> None:
    settings = read("exporters: {otlp: {endpoint: 'b:4317'}, file: {path: x}}")
    assert settings.graph.built == ("otlp", "file")


def test_an_exporter_of_set_replaces_the_default_exporter(read: Read) -> None:
    assert read("", ("exporters::otlp_grpc::endpoint=b:4317",)).graph.built == ("otlp_grpc",)


def test_set_changes_the_default_exporter(read: Read) -> None:
    assert read("", ("exporters::debug::verbosity=detailed",)).exporters == {
        "debug": DebugExporter(verbosity="detailed")
    }
    settings = read("", ("exporters::otlp_grpc::timeout=9s",), OTEL_EXPORTER_OTLP_ENDPOINT="http://b:4317")
    exporter = settings.exporters["otlp_grpc"]
    assert isinstance(exporter, OTLPGRPCExporter)
    assert (exporter.endpoint, exporter.timeout) == ("http://b:4317", 9 * SECOND)


def test_only_the_named_protocols_are_enabled(read: Read) -> None:
    assert read("receivers: {otlp: {protocols: {http: }}}").receivers["otlp"].protocols.grpc is None
    both = read("receivers: {otlp: }").receivers["otlp"].protocols
    assert both.grpc is not None
    assert both.http is not None


def test_only_the_named_extensions_and_the_store_run(read: Read) -> None:
    settings = read("service: {extensions: [health_check]}\nextensions: {health_check: {path: /live}}")
    assert settings.health_check is not None
    assert settings.health_check.path == "/live"
    assert settings.admin is None
    assert settings.storage.directory
    assert read("service: {extensions: []}").health_check is None


def test_an_empty_section_changes_nothing(read: Read, subtests: pytest.Subtests) -> None:
    for section in ["receivers", "connectors", "exporters", "extensions", "service"]:
        with subtests.test(section=section):
            assert read(f"{section}:") == read(f"{section}: {{}}") == read()


def test_a_block_without_a_value_exists_with_its_defaults(read: Read) -> None:
    http = (
        read("receivers: {otlp: {protocols: {http: {cors: , max_request_body_size: }}}}")
        .receivers["otlp"]
        .protocols.http
    )
    assert http is not None
    assert http.cors is not None
    assert http.max_request_body_size == 20_971_520


def test_the_directory_of_the_store(subtests: pytest.Subtests) -> None:
    for text, environment, directory in [
        ("", {"HOME": "/h", "XDG_STATE_HOME": "/s/"}, "/s/opencode-trace-receiver"),
        ("", {"HOME": "/h", "XDG_STATE_HOME": "relative"}, "/h/.local/state/opencode-trace-receiver"),
        ("extensions: {file_storage: {directory: ~/x}}", {"HOME": "/h"}, "/h/x"),
        ("extensions: {file_storage: {directory: /var/lib/x}}", {}, "/var/lib/x"),
        ("extensions: {file_storage/mine: {fsync: false}}", {"HOME": "/h"}, "/h/.local/state/opencode-trace-receiver"),
        ("extensions: {file_storage: }", {"HOME": "/h"}, "/h/.local/state/opencode-trace-receiver"),
    ]:
        with subtests.test(text=text, environment=environment, directory=directory):
            assert load([("a", text)], [], environment).storage.directory == directory


def test_a_store_without_a_directory_is_an_error(refused: Refused) -> None:
    (line,) = refused("", HOME="")
    assert line.startswith("extensions::file_storage::directory: the store has no directory")


def test_the_settings_cannot_be_changed(read: Read) -> None:
    settings = read()
    with pytest.raises(ValueError, match="frozen"):
        settings.connector.settle = 1  # type: ignore[misc]
    with pytest.raises(AttributeError):
        settings.graph = None  # type: ignore[misc, assignment]
