"""Readers that push or serve the program's own metrics, with the Collector's keys."""

from collections.abc import Callable

import pytest

from receiver.config import OTLPMetricExporter, Settings

Read = Callable[..., Settings]

READERS = "service: {telemetry: {metrics: {readers: [{periodic: {exporter: {otlp: {%s}}}}]}}}"


def otlp(read: Read, text: str, **environment: str) -> OTLPMetricExporter:
    (reader,) = read(READERS % text, **environment).service.telemetry.metrics.readers
    return reader.periodic.exporter.otlp


def test_no_metrics_are_pushed_by_default(read: Read) -> None:
    assert read().service.telemetry.metrics.readers == ()
    assert read("service: {telemetry: {metrics: {readers: }}}").service.telemetry.metrics.readers == ()


def test_metric_readers_have_the_collectors_defaults(read: Read) -> None:
    (reader,) = read(READERS % "protocol: grpc, endpoint: 'm:4317'").service.telemetry.metrics.readers
    assert (reader.periodic.interval, reader.periodic.timeout) == (60_000, 30_000)
    assert reader.periodic.exporter.otlp.timeout == 10_000


def test_the_target_and_tls_of_a_grpc_metric_exporter(read: Read, subtests: pytest.Subtests) -> None:
    for written, target, plaintext in [
        ("endpoint: 'm:4317'", "m:4317", False),
        ("endpoint: 'm:4317', insecure: true", "m:4317", True),
        ("endpoint: 'http://m:4317'", "m:4317", True),
        ("endpoint: 'https://m', insecure: true", "m:443", False),
    ]:
        with subtests.test(written=written, target=target, plaintext=plaintext):
            found = otlp(read, f"protocol: grpc, {written}")
            assert (found.target, found.plaintext) == (target, plaintext)


def test_the_url_of_an_http_metric_exporter(read: Read, subtests: pytest.Subtests) -> None:
    for endpoint, target in [
        ("http://m:4318", "http://m:4318/v1/metrics"),
        ("https://m/", "https://m/v1/metrics"),
        ("http://m:9090/api/v1/otlp/v1/metrics", "http://m:9090/api/v1/otlp/v1/metrics"),
    ]:
        with subtests.test(endpoint=endpoint, target=target):
            assert otlp(read, f"protocol: http/protobuf, endpoint: '{endpoint}'").target == target


def test_metric_exporter_headers_may_be_a_map_or_a_list(read: Read, subtests: pytest.Subtests) -> None:
    for headers in ["{x-key: '${env:KEY}'}", "[{name: x-key, value: '${env:KEY}'}]"]:
        with subtests.test(headers=headers):
            found = otlp(read, f"protocol: grpc, endpoint: 'm:4317', headers: {headers}", KEY="0123")
            assert {name: value.get_secret_value() for name, value in found.headers.items()} == {"x-key": "0123"}


def test_pushing_metrics_to_the_own_receiver_is_allowed_with_a_warning(read: Read, subtests: pytest.Subtests) -> None:
    for otlp in [
        "protocol: grpc, endpoint: 'localhost:4317'",
        "protocol: http/protobuf, endpoint: 'http://127.0.0.1:4318'",
    ]:
        with subtests.test(otlp=otlp):
            (notice,) = read(READERS % otlp).notices
            assert notice.startswith("service::telemetry::metrics::readers::0::periodic::exporter::otlp::endpoint: ")
            assert "this program's own receiver" in notice
