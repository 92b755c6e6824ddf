"""Merging of files, and of --set over them."""

from collections.abc import Callable

import pytest

from receiver.config import Settings, load
from receiver.config.load.merging import assignment, merge
from receiver.errors import ConfigError

Read = Callable[..., Settings]
Refused = Callable[..., list[str]]


def test_maps_merge_deeply_and_lists_are_replaced() -> None:
    below = {"a": {"b": 1, "c": [1, 2]}, "d": 1}
    above = {"a": {"c": [3], "e": 2}}
    assert merge(below, above) == {"a": {"b": 1, "c": [3], "e": 2}, "d": 1}


def test_merging_changes_neither_tree() -> None:
    below, above = {"a": {"b": 1}}, {"a": {"c": 2}}
    merge(below, above)
    assert (below, above) == ({"a": {"b": 1}}, {"a": {"c": 2}})


def test_later_files_win() -> None:
    files = [
        ("a", "connectors: {agenttrace: {settle: 1s, idle_timeout: 9s}}"),
        ("b", "connectors: {agenttrace: {settle: 3s}}"),
    ]
    connector = load(files, [], {"HOME": "/h"}).connector
    assert (connector.settle, connector.idle_timeout) == (3 * 10**9, 9 * 10**9)


def test_a_later_null_restores_the_default() -> None:
    files = [("a", "connectors: {agenttrace: {settle: 1s}}"), ("b", "connectors: {agenttrace: }")]
    assert load(files, [], {"HOME": "/h"}).connector.settle == 2 * 10**9


def test_set_wins_over_files_and_is_yaml(read: Read) -> None:
    sets = (
        "connectors::agenttrace::settle=5s",
        "connectors::agenttrace::infer=false",
        "connectors::agenttrace::mcp_servers=[a, b]",
        "connectors::agenttrace::settle=6s",
    )
    connector = read("connectors: {agenttrace: {settle: 1s}}", sets).connector
    assert (connector.settle, connector.infer, connector.mcp_servers) == (6 * 10**9, False, ("a", "b"))


def test_set_reaches_components_with_a_name_and_values_with_an_equals_sign(read: Read) -> None:
    settings = read("", ("exporters::file/x::path=/tmp/a=b",))
    assert settings.exporters["file/x"].path == "/tmp/a=b"  # type: ignore[union-attr]


def test_set_expands_variables(read: Read) -> None:
    assert read("", ("connectors::agenttrace::settle=${env:S}",), S="8s").connector.settle == 8 * 10**9


def test_set_of_one_protocol_leaves_the_other_enabled(read: Read) -> None:
    protocols = read("", ("receivers::otlp::protocols::grpc::endpoint=localhost:5000",)).receivers["otlp"].protocols
    assert protocols.grpc is not None
    assert protocols.grpc.endpoint == "localhost:5000"
    assert protocols.http is not None


def test_a_key_may_be_a_path_anywhere_in_a_file(read: Read) -> None:
    text = "exporters::otlp_grpc:\n  endpoint: 'b:1'\n  retry_on_failure::multiplier: 2.0\nexporters::debug:\n"
    assert list(read(text).exporters) == ["otlp_grpc", "debug"]
    assert read(text).exporters["otlp_grpc"].retry_on_failure.multiplier == 2  # type: ignore[union-attr]


def test_set_accepts_dots_where_there_is_no_double_colon(read: Read) -> None:
    assert read("", ("connectors.agenttrace.settle=5s",)).connector.settle == 5 * 10**9
    assert "otlp_grpc/v1.2" in read("", ("exporters::otlp_grpc/v1.2::endpoint=b:1",)).exporters


def test_the_value_of_set_may_have_path_keys(read: Read) -> None:
    settings = read("", ("exporters={otlp_grpc::endpoint: 'b:1', debug: }",))
    assert set(settings.exporters) == {"otlp_grpc", "debug"}


def test_a_path_key_with_an_empty_part_is_refused(refused: Refused, subtests: pytest.Subtests) -> None:
    for key in ["exporters::", "::exporters", "exporters::::debug"]:
        with subtests.test(key=key):
            (line,) = refused(f"'{key}': {{}}")
            assert line.startswith(f"{key}: unknown section")


def test_an_invalid_set_is_refused(subtests: pytest.Subtests) -> None:
    for text in ["a::b", "=x", "::a=x", "a::::b=x", ""]:
        with subtests.test(text=text), pytest.raises(ValueError, match="is not key::path=value"):
            assignment(text)


def test_all_invalid_sets_are_reported(refused: Refused) -> None:
    lines = refused("", ("a", "b::c=[", "d"))
    assert len(lines) == 3
    assert lines[1].startswith("--set b::c: line 1")


def test_all_invalid_files_are_reported() -> None:
    with pytest.raises(ConfigError) as error:
        load([("a.yaml", "x: ["), ("b.yaml", "- 1"), ("c.yaml", "")], [], {"HOME": "/h"})
    lines = str(error.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["a.yaml", "b.yaml"]
