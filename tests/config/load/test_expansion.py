"""References in values: variables, files and YAML."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.config import OTLPGRPCExporter, Settings
from receiver.config.load.expansion import Expander
from receiver.config.model.section import Expanded

Read = Callable[..., Settings]
Refused = Callable[..., list[str]]

FILES = {
    "/token": "hunter2\n",
    "/number": "0123\n",
    "/block": "{settle: '${env:N}s', more: '${file:/list}'}",
    "/list": "[a, b]",
    "/loop": "[a, '${file:/loop}']",
}


def expanded(value: object, **environment: str) -> object:
    expander = Expander(environment, FILES.__getitem__, [])
    found = expander.expand({"a": value})
    assert expander.problems == []
    assert isinstance(found, dict)
    result = found["a"]
    return result.value if isinstance(result, Expanded) else result


def test_references_are_replaced(subtests: pytest.Subtests) -> None:
    for text, value in [
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
        ("${env:U:-${env:N}}", 5),
        ("${env:U:-${env:V:-7}}", 7),
        ("${env:U:-x${N}y}", "x5y"),
        ("http://${env:U:-${env:H:-h}}:${env:N}", "http://h:5"),
        ("${env:${env:NAME}}", 5),
        ("${env:U:-$$}", "$"),
        ("${env:U", "${env:U"),
        ("}${env:N}{", "}5{"),
        ("${file:/token}", "hunter2"),
        ("${file:/number}", "0123"),
        ("Bearer ${file:/token}", "Bearer hunter2"),
        ("${yaml:[1, true]}", [1, True]),
        ("${yaml:7}s", "7s"),
    ]:
        with subtests.test(text=text, value=value):
            assert expanded(text, N="5", E="", L="[a, b]", D="${env:N}", BROKEN="a: [", NAME="N") == value


def test_references_in_nested_values_are_replaced() -> None:
    assert expanded([{"b": "x${env:N}"}, 4, None], N="1") == [{"b": "x1"}, 4, None]


def test_references_in_a_referenced_file_are_replaced() -> None:
    found = expanded("${file:/block}", N="4")
    assert isinstance(found, dict)
    assert found["settle"] == "4s"
    assert found["more"] == Expanded(["a", "b"], "[a, b]")


def test_files_that_refer_to_themselves_are_refused() -> None:
    expander = Expander({}, FILES.__getitem__, [])
    expander.expand(["${file:/loop}"])
    (problem,) = expander.problems
    assert "more than 10 levels deep" in problem.text


def test_an_unset_variable_is_empty_with_a_warning(read: Read) -> None:
    settings = read("connectors: {agenttrace: {settle: '${env:SETTLE}', mcp_servers: ['x${env:S}']}}")
    assert (settings.connector.settle, settings.connector.mcp_servers) == (2 * 10**9, ("x",))
    assert settings.notices == (
        "connectors::agenttrace::settle: the environment variable SETTLE is not set, and counts as empty",
        "connectors::agenttrace::mcp_servers::0: the environment variable S is not set, and counts as empty",
    )


def test_an_unset_variable_in_an_unused_default_gets_no_warning(read: Read) -> None:
    text = "connectors: {agenttrace: {settle: '${env:SETTLE:-${env:OTHER}}', mcp_servers: ['${env:A:-${env:B:-b}}']}}"
    settings = read(text, SETTLE="3s")
    assert settings.connector.mcp_servers == ("b",)
    assert settings.notices == ()


def test_an_unset_variable_is_named_where_an_empty_value_is_invalid(
    refused: Refused, subtests: pytest.Subtests
) -> None:
    for key, value in [
        ("connectors::agenttrace::mcp_servers", "['${env:NO}']"),
        ("connectors::agenttrace::trace_mode", "${env:NO}"),
        ("exporters::otlp_grpc::endpoint", "${env:NO}"),
        ("exporters::otlp_grpc::endpoint", "'${env:NO}:4317'"),
        ("exporters::otlp_grpc", "{endpoint: 'b:1', headers: {authorization: '${env:NO}'}}"),
        ("exporters::otlp_grpc", "{endpoint: 'b:1', tls: {ca_file: '${env:NO}'}}"),
        ("receivers::otlp::protocols::grpc::auth", "{bearer_token: '${env:NO}'}"),
        ("receivers::otlp::protocols::grpc::auth", "${env:NO}"),
        ("receivers::otlp::protocols::grpc::tls", "{cert_file: c, key_file: k, client_ca_file: '${env:NO}'}"),
        ("receivers::otlp::protocols::grpc::tls", "${env:NO}"),
    ]:
        with subtests.test(key=key, value=value):
            lines = refused("", (f"{key}={value}",))
            assert any(
                "the environment variable NO is not set; set it, or write ${env:NO:-default}" in line for line in lines
            )
            assert all(line.startswith(key) for line in lines)


def test_an_unset_variable_does_not_hide_other_problems(refused: Refused) -> None:
    lines = refused("exporters: {otlp_grpc: {endpoint: '${env:BACKEND}', timeout: 5}}")
    assert len(lines) == 2
    assert lines[0].startswith("exporters::otlp_grpc::endpoint: the environment variable BACKEND is not set")
    assert lines[1] == "exporters::otlp_grpc::timeout: 5 has no unit; write 5s for seconds"


def test_a_malformed_reference_is_refused_with_the_right_form(refused: Refused, subtests: pytest.Subtests) -> None:
    for text in ["${env:}", "${env:1A}", "${}", "${nonsense:x}"]:
        with subtests.test(text=text):
            lines = refused(f"connectors: {{agenttrace: {{settle: '{text}'}}}}")
            assert len(lines) == 1
            assert "write ${env:NAME}" in lines[0]


def test_a_reference_that_fails_is_one_problem(refused: Refused, subtests: pytest.Subtests) -> None:
    for text, message in [
        ("${env:A:-${env:B}", "is not closed"),
        ("${https://x/y}", "is not fetched here; download it"),
        ("${file:/nowhere}", "the file /nowhere is not read here"),
    ]:
        with subtests.test(text=text, message=message):
            (line,) = refused(f"connectors: {{agenttrace: {{settle: '{text}'}}}}", B="1")
            assert line.startswith("connectors::agenttrace::settle: ")
            assert message in line


def test_a_secret_from_a_variable_stays_text_whatever_yaml_reads_in_it(read: Read, subtests: pytest.Subtests) -> None:
    for secret in ["123", "0123", "true", "a: b", "[x]", "'quoted'", "null", "p$$w${x}"]:
        with subtests.test(secret=secret):
            text = "exporters: {otlp: {endpoint: 'b:1', headers: {k: '${env:S}'}}}"
            exporter = read(text, S=secret).exporters["otlp"]
            assert isinstance(exporter, OTLPGRPCExporter)
            assert exporter.headers["k"].get_secret_value() == secret


def test_a_variable_may_hold_a_whole_block(read: Read) -> None:
    settings = read("connectors: {agenttrace: '${env:A}'}\nreceivers: '${env:R}'", A="{settle: 4s}", R="{otlp/x: }")
    assert settings.connector.settle == 4 * 10**9
    assert list(settings.receivers) == ["otlp/x"]


def test_numbers_booleans_and_lists_from_variables_have_their_types(read: Read) -> None:
    connector = read(
        "connectors: {agenttrace: {max_spans_per_trace: '${env:N}', infer: '${env:B}', mcp_servers: '${env:L}'}}",
        N="7",
        B="false",
        L="[a, b]",
    ).connector
    assert (connector.max_spans_per_trace, connector.infer, connector.mcp_servers) == (7, False, ("a", "b"))


@given(st.text("ab${}:-/ \n"))
def test_any_text_can_be_escaped_with_double_dollars(text: str) -> None:
    assert expanded(text.replace("$", "$$")) == text


@given(st.text("ab${}:-/ \n", min_size=1))
def test_any_text_expands_or_is_refused_and_a_variables_text_is_kept_whole(text: str) -> None:
    expander = Expander({"A": text}, FILES.__getitem__, [])
    assert expander.expand(["<${env:A}>"]) == [f"<{text}>"]
    assert isinstance(expander.expand([f"<{text}"]), list)


AUTH = "receivers: {otlp: {protocols: {grpc: {auth: {bearer_token: '${env:TOKEN}'}}}}}"
AT = "receivers::otlp::protocols::grpc"


def test_an_unset_variable_that_set_overrides_gets_no_warning(read: Read, subtests: pytest.Subtests) -> None:
    for change in ["::auth::bearer_token=x", "::auth={bearer_token: x}", "=", "::auth::bearer_token=${env:GIVEN}"]:
        with subtests.test(change=change):
            assert not [one for one in read(AUTH, (AT + change,), GIVEN="x").notices if "TOKEN" in one]


def test_an_unset_variable_that_set_does_not_override_gets_a_warning(
    refused: Refused, subtests: pytest.Subtests
) -> None:
    for change in ["::auth::bearer_token=${env:TOKEN}", "::max_concurrent_streams=5"]:
        with subtests.test(change=change):
            (line,) = refused(AUTH, (AT + change,))
            assert line.startswith(f"{AT}::auth::bearer_token: the environment variable TOKEN is not set")


def test_a_wrong_value_of_set_is_not_attributed_to_the_variable_that_it_overrides(refused: Refused) -> None:
    (line,) = refused("connectors: {agenttrace: {settle: '${env:SETTLE}'}}", ("connectors::agenttrace::settle=5",))
    assert line.startswith("connectors::agenttrace::settle: ")
    assert "SETTLE" not in line


def test_an_unset_variable_in_the_same_block_as_a_set_key_gets_a_warning(read: Read) -> None:
    text = "connectors: {agenttrace: {settle: '${env:SETTLE}', mcp_servers: ['a${env:S}']}}"
    message = read(text, ("connectors::agenttrace::mcp_servers=[b]",)).notices
    assert message == (
        "connectors::agenttrace::settle: the environment variable SETTLE is not set, and counts as empty",
    )
