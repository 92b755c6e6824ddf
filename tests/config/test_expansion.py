"""Environment variables in values."""

from collections.abc import Callable

import pytest

from receiver.config import OTLPGRPCExporter, Settings
from receiver.config.expansion import Expanded, expand

Read = Callable[..., Settings]
Refused = Callable[..., list[str]]


def expanded(value: object, **environment: str) -> object:
    problems: list[object] = []
    found = expand({"a": value}, environment, problems)  # type: ignore[arg-type]
    assert problems == []
    assert isinstance(found, dict)
    result = found["a"]
    return result.value if isinstance(result, Expanded) else result


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${env:N}", 5),
        ("${N}", 5),
        ("x${env:N}y", "x5y"),
        ("${env:N}${env:N}", "55"),
        ("${env:U:-7}", 7),
        ("${env:U:-}", None),
        ("${env:U:-http://a:1/b}", "http://a:1/b"),
        ("${env:E:-default}", None),
        ("<${env:E}>", "<>"),
        ("$$", "$"),
        ("$${env:N}", "${env:N}"),
        ("$$$${env:N}", "$${env:N}"),
        ("$N", "$N"),
        ("a$", "a$"),
        ("${env:L}", ["a", "b"]),
        ("${env:D}", "${env:N}"),
        ("${env:BROKEN}", "a: ["),
    ],
)
def test_references(text: str, value: object) -> None:
    assert expanded(text, N="5", E="", L="[a, b]", D="${env:N}", BROKEN="a: [") == value


def test_references_work_deep_down_and_leave_the_rest_alone() -> None:
    assert expanded([{"b": "x${env:N}"}, 4, None], N="1") == [{"b": "x1"}, 4, None]


def test_a_variable_that_is_not_set_is_an_error_that_names_it(refused: Refused) -> None:
    lines = refused("connectors: {agenttrace: {settle: '${env:SETTLE}', mcp_servers: ['${env:S}']}}")
    assert lines == [
        "connectors::agenttrace::settle: the environment variable SETTLE is not set; "
        "set it, or write ${env:SETTLE:-default}",
        "connectors::agenttrace::mcp_servers::0: the environment variable S is not set; "
        "set it, or write ${env:S:-default}",
    ]


def test_a_variable_that_is_not_set_hides_no_other_problem_and_causes_none(refused: Refused) -> None:
    lines = refused("exporters: {otlp_grpc: {endpoint: '${env:BACKEND}', timeout: 5}}")
    assert len(lines) == 2
    assert lines[0].startswith("exporters::otlp_grpc::endpoint: the environment variable BACKEND is not set")
    assert lines[1] == "exporters::otlp_grpc::timeout: 5 has no unit; write 5s for seconds"


@pytest.mark.parametrize("text", ["${file:/etc/x}", "${env:}", "${env:1A}", "${}", "${env:A:-${env:B}}"])
def test_what_is_no_reference_is_an_error_that_says_how_to_write_one(refused: Refused, text: str) -> None:
    lines = refused(f"connectors: {{agenttrace: {{settle: '{text}'}}}}")
    assert len(lines) == 1
    assert "write ${env:NAME}" in lines[0]


@pytest.mark.parametrize("secret", ["123", "0123", "true", "a: b", "[x]", "'quoted'", "null", "p$$w${x}"])
def test_a_secret_stays_what_it_is_whatever_yaml_would_see_in_it(read: Read, secret: str) -> None:
    text = "exporters: {otlp: {endpoint: 'b:1', headers: {k: '${env:S}'}}}"
    exporter = read(text, S=secret).exporters["otlp"]
    assert isinstance(exporter, OTLPGRPCExporter)
    assert exporter.headers["k"].get_secret_value() == secret


def test_a_whole_block_can_come_out_of_a_variable(read: Read) -> None:
    settings = read("connectors: {agenttrace: '${env:A}'}\nreceivers: '${env:R}'", A="{settle: 4s}", R="{otlp/x: }")
    assert settings.connector.settle == 4 * 10**9
    assert list(settings.receivers) == ["otlp/x"]


def test_numbers_booleans_and_lists_come_typed(read: Read) -> None:
    connector = read(
        "connectors: {agenttrace: {max_spans_per_trace: '${env:N}', infer: '${env:B}', mcp_servers: '${env:L}'}}",
        N="7",
        B="false",
        L="[a, b]",
    ).connector
    assert (connector.max_spans_per_trace, connector.infer, connector.mcp_servers) == (7, False, ("a", "b"))
