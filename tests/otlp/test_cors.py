"""Which web pages may send telemetry from a browser."""

import pytest

from receiver.otlp.cors import CORSPolicy

ORIGIN = "https://app.example.com"


def preflight(cors, origin=ORIGIN, method="POST", headers="content-type"):
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": headers,
    }
    return cors.preflight_headers(asked)


@pytest.mark.parametrize("pattern", [ORIGIN, "https://*.example.com", "*", "HTTPS://APP.example.com"])
def test_an_allowed_origin_is_in_the_response(pattern):
    answer = CORSPolicy(allowed_origins=(pattern,)).response_headers({"Origin": ORIGIN})
    assert answer["Access-Control-Allow-Origin"] == ORIGIN
    assert answer["Vary"] == "Origin"


@pytest.mark.parametrize("pattern", ["https://example.com", "http://*.example.com", "https://[a]pp.example.com"])
def test_other_origins_get_no_cors_headers(pattern):
    cors = CORSPolicy(allowed_origins=(pattern,))
    assert set(cors.response_headers({"Origin": ORIGIN})) == {"Vary"}
    assert set(preflight(cors)) == {"Vary"}
    assert set(cors.response_headers({})) == {"Vary"}


def test_a_preflight_response_has_method_headers_and_max_age():
    answer = preflight(CORSPolicy(allowed_origins=("*",), allowed_headers=("X-Key",), max_age=7200), headers="X-Key")
    assert answer["Access-Control-Allow-Methods"] == "POST"
    assert answer["Access-Control-Allow-Headers"] == "x-key"
    assert answer["Access-Control-Max-Age"] == "7200"


def test_a_preflight_for_another_header_or_method_gets_no_cors_headers():
    cors = CORSPolicy(allowed_origins=("*",), allowed_headers=("X-Key",))
    assert set(preflight(cors, headers="X-Other")) == {"Vary"}
    assert set(preflight(cors, method="DELETE")) == {"Vary"}
    assert "Access-Control-Allow-Origin" in preflight(
        CORSPolicy(allowed_origins=("*",), allowed_headers=("*",)), headers="X-Any"
    )


def test_default_allowed_headers_are_confighttps():
    cors = CORSPolicy(allowed_origins=("*",))
    assert "Access-Control-Allow-Origin" in preflight(cors, headers="content-type, x-requested-with")
    assert set(preflight(cors, headers="authorization")) == {"Vary"}


def test_exposed_headers_are_in_the_response():
    assert (
        CORSPolicy(("*",), exposed_headers=("A", "B")).response_headers({"Origin": ORIGIN})[
            "Access-Control-Expose-Headers"
        ]
        == "A, B"
    )
