"""Endpoints of the exporters, in all forms of the Collector and of OpenTelemetry."""

import pytest

from receiver.config import OTLPGRPCExporter, OTLPHTTPExporter


def test_the_target_and_tls_of_a_grpc_exporter(subtests: pytest.Subtests) -> None:
    for endpoint, insecure, target, plaintext in [
        ("b:4317", False, "b:4317", False),
        ("b:4317", True, "b:4317", True),
        ("http://b:4317", False, "b:4317", True),
        ("http://b:4317/", False, "b:4317", True),
        ("https://b:4317", True, "b:4317", False),
        ("https://b", False, "b:443", False),
        ("http://b", False, "b:80", True),
        ("[::1]:4317", False, "[::1]:4317", False),
        ("http://[::1]", False, "[::1]:80", True),
        ("dns:///b:4317", True, "dns:///b:4317", True),
    ]:
        with subtests.test(endpoint=endpoint, insecure=insecure, target=target, plaintext=plaintext):
            exporter = OTLPGRPCExporter.model_validate({"endpoint": endpoint, "tls": {"insecure": insecure}})
            assert (exporter.target, exporter.plaintext) == (target, plaintext)


def test_the_urls_of_an_http_exporter() -> None:
    exporter = OTLPHTTPExporter.model_validate({"endpoint": "http://b:4318/api/", "logs_endpoint": "http://l/x"})
    assert exporter.url("traces") == "http://b:4318/api/v1/traces"
    assert exporter.url("logs") == "http://l/x"
    only_traces = OTLPHTTPExporter.model_validate({"traces_endpoint": "http://b/x"})
    assert only_traces.url("traces") == "http://b/x"
    assert only_traces.url("logs") is None


def test_retry_and_queue_have_their_documented_defaults() -> None:
    exporter = OTLPGRPCExporter.model_validate({"endpoint": "b:1"})
    retry, queue = exporter.retry_on_failure, exporter.sending_queue
    assert exporter.timeout == 5 * 10**9
    assert (retry.initial_interval, retry.max_interval) == (5 * 10**9, 30 * 10**9)
    assert (retry.multiplier, retry.randomization_factor, retry.max_elapsed_time) == (1.5, 0.5, 0)
    assert (queue.sizer, queue.queue_size, queue.num_consumers) == ("items", 100_000, 1)
    assert (queue.batch.max_size, queue.batch.max_bytes) == (8192, 4_000_000)
