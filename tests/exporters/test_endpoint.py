"""An exporter's endpoint and headers."""

import pytest

from receiver.errors import ConfigError
from receiver.exporters.endpoint import GrpcTarget, grpc_metadata, grpc_target, http_headers, http_url


def test_grpc_endpoint_gives_target_plaintext_and_loopback(subtests):
    for endpoint, target in [
        ("tempo:4317", GrpcTarget("tempo:4317", None, False)),
        ("localhost:4317", GrpcTarget("localhost:4317", None, True)),
        ("http://127.0.0.1:4317", GrpcTarget("127.0.0.1:4317", True, True)),
        ("http://[::1]:4317/", GrpcTarget("[::1]:4317", True, True)),
        ("http://tempo", GrpcTarget("tempo:4317", True, False)),
        ("https://api.example.com", GrpcTarget("api.example.com:443", False, False)),
        ("https://api.example.com:4317/v1/traces", GrpcTarget("api.example.com:4317", False, False)),
        ("dns:///tempo:4317", GrpcTarget("dns:///tempo:4317", None, False)),
        ("unix:///run/otlp.sock", GrpcTarget("unix:///run/otlp.sock", None, False)),
    ]:
        with subtests.test(endpoint=endpoint, target=target):
            assert grpc_target(endpoint) == target


def test_a_malformed_grpc_endpoint_is_an_error(subtests):
    for endpoint in ["", "http://", "http://:4317", "http://host:port", "host:99999"]:
        with subtests.test(endpoint=endpoint), pytest.raises(ConfigError, match="endpoint: "):
            grpc_target(endpoint)


def test_an_http_endpoint_must_be_a_url(subtests):
    for endpoint in ["localhost:4318", "tempo", "ftp://tempo", "http://"]:
        with subtests.test(endpoint=endpoint), pytest.raises(ConfigError, match="write http://host:4318"):
            http_url(endpoint)


def test_grpc_metadata_keys_are_lower_case_and_bin_values_bytes():
    assert grpc_metadata({"X-Scope-OrgID": "dev", "trace-bin": "ab"}) == (
        ("x-scope-orgid", "dev"),
        ("trace-bin", b"ab"),
    )


def test_a_malformed_header_is_an_error_without_its_value(subtests):
    for check in [grpc_metadata, http_headers]:
        for headers in [{"authorization": "s3cret\r\nx: y"}, {"na me": "s3cret"}, {"": "s3cret"}]:
            with subtests.test(check=check, headers=headers):
                with pytest.raises(ConfigError) as caught:
                    check(headers)

                assert "s3cret" not in str(caught.value)


def test_an_unknown_scheme_of_a_grpc_endpoint_is_an_error(subtests):
    for endpoint in ["ftp://x", "file:///tmp/x", "grpc://localhost:4317"]:
        with subtests.test(endpoint=endpoint), pytest.raises(ConfigError, match="is not supported"):
            grpc_target(endpoint)
