"""Endpoints and headers as people write them."""

import pytest

from receiver.errors import ConfigError
from receiver.exporters.endpoint import GrpcTarget, grpc_metadata, grpc_target, http_headers, http_url


def test_grpc_endpoints(subtests):
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


@pytest.mark.parametrize("endpoint", ["", "http://", "http://:4317", "http://host:port", "host:99999"])
def test_grpc_endpoints_that_cannot_be(endpoint):
    with pytest.raises(ConfigError, match="endpoint: "):
        grpc_target(endpoint)


@pytest.mark.parametrize("endpoint", ["localhost:4318", "tempo", "ftp://tempo", "http://"])
def test_an_http_endpoint_is_a_url(endpoint):
    with pytest.raises(ConfigError, match="write http://host:4318"):
        http_url(endpoint)


def test_grpc_headers_are_lower_case_and_binary_where_they_say_so():
    assert grpc_metadata({"X-Scope-OrgID": "dev", "trace-bin": "ab"}) == (
        ("x-scope-orgid", "dev"),
        ("trace-bin", b"ab"),
    )


@pytest.mark.parametrize("check", [grpc_metadata, http_headers])
@pytest.mark.parametrize("headers", [{"authorization": "s3cret\r\nx: y"}, {"na me": "s3cret"}, {"": "s3cret"}])
def test_headers_that_cannot_be_sent_are_told_without_their_value(check, headers):
    with pytest.raises(ConfigError) as caught:
        check(headers)

    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("endpoint", ["ftp://x", "file:///tmp/x", "grpc://localhost:4317"])
def test_a_scheme_that_nobody_speaks_is_refused_at_once(endpoint):
    with pytest.raises(ConfigError, match="is not spoken here"):
        grpc_target(endpoint)
