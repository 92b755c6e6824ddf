"""Checks of addresses against one another."""

from collections.abc import Callable

import pytest

from receiver.config import Settings

Read = Callable[..., Settings]
Refused = Callable[..., list[str]]


def test_a_grpc_exporter_to_the_own_receiver_is_an_error(refused: Refused, subtests: pytest.Subtests) -> None:
    for listen, endpoint in [
        ("localhost:4317", "localhost:4317"),
        ("localhost:4317", "http://127.0.0.1:4317"),
        ("0.0.0.0:4317", "[::1]:4317"),
        (":4317", "localhost:4317"),
        ("10.0.0.1:4317", "10.0.0.1:4317"),
    ]:
        with subtests.test(listen=listen, endpoint=endpoint):
            (line,) = refused(f"""
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: "{listen}"}}}}}}}}
exporters: {{otlp: {{endpoint: "{endpoint}"}}}}
""")
            assert line.startswith("exporters::otlp::endpoint: ")
            assert "this program's own receiver" in line


def test_an_http_exporter_to_the_own_receiver_is_an_error(refused: Refused) -> None:
    (line,) = refused(
        "exporters: {otlp_http: {endpoint: 'http://b', traces_endpoint: 'http://localhost:4318/v1/traces'}}"
    )
    assert line.startswith("exporters::otlp_http::traces_endpoint: ")


def test_a_backend_at_another_address_is_no_error(read: Read, subtests: pytest.Subtests) -> None:
    for endpoint in ["tempo:4317", "localhost:14317", "10.0.0.2:4317"]:
        with subtests.test(endpoint=endpoint):
            assert read(f"exporters: {{otlp: {{endpoint: '{endpoint}'}}}}").graph.built == ("otlp",)


def test_an_unused_exporter_may_have_the_own_receivers_address(read: Read) -> None:
    read("""
exporters: {otlp: {endpoint: "localhost:4317"}, debug: }
service: {pipelines: {logs: {receivers: [otlp], exporters: [debug]}}}
""")


def test_two_endpoints_cannot_share_an_address(refused: Refused) -> None:
    lines = refused(
        "", ("service::telemetry::metrics::address=0.0.0.0:13133", "extensions::admin::endpoint=127.0.0.1:4318")
    )
    assert lines == [
        "extensions::admin::endpoint: 127.0.0.1:4318 is taken by receivers::otlp::protocols::http::endpoint; "
        "choose another port",
        "service::telemetry::metrics::address: 0.0.0.0:13133 is taken by extensions::health_check::endpoint; "
        "choose another port",
    ]


def test_port_0_may_repeat_and_disabled_metrics_use_no_port(read: Read) -> None:
    read("", ("extensions::admin::endpoint=localhost:0", "extensions::health_check::endpoint=localhost:0"))
    read("", ("service::telemetry::metrics={level: none, address: 'localhost:4317'}",))


def test_endpoints_open_to_the_network_get_a_warning(read: Read) -> None:
    notices = read("""
receivers:
  otlp: {protocols: {grpc: {endpoint: "0.0.0.0:4317"}, http: {endpoint: "0.0.0.0:4318", auth: {bearer_token: x}}}}
extensions: {health_check: {endpoint: "0.0.0.0:13133"}, admin: {endpoint: "10.0.0.1:13134"}}
""").notices
    assert [notice.partition(": ")[0] for notice in notices] == [
        "receivers::otlp::protocols::grpc::endpoint",
        "extensions::admin::endpoint",
    ]
