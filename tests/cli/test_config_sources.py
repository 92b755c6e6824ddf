"""The sources of `--config`, like the Collector's, and the warnings of `validate`."""

import json

import pytest

from receiver.config import schema

SETTLE = "connectors: {agenttrace: {settle: %s}}"


def test_config_reads_files_by_path_and_by_the_file_scheme(run_text, home):
    (home / "a:b.yaml").write_text(SETTLE % "7s")
    for name in ("a:b.yaml", "file:a:b.yaml", f"file:{home}/a:b.yaml", f"{home}/a:b.yaml"):
        code, out, err = run_text("print-config", "--config", name)
        assert (code, err) == (0, "")
        assert "settle: 7s" in out


def test_config_reads_env_and_yaml_sources_and_the_later_one_wins(run_text, monkeypatch):
    monkeypatch.setenv("CONFIGURATION", SETTLE % "7s")
    assert "settle: 7s" in run_text("print-config", "--config", "env:CONFIGURATION")[1]
    text = "yaml:connectors::agenttrace::settle: 8s"
    assert "settle: 8s" in run_text("print-config", "--config", "env:CONFIGURATION", "--config", text)[1]
    assert "settle: 7s" in run_text("print-config", "--config", text, "--config", "env:CONFIGURATION")[1]


def test_set_overrides_config_wherever_it_stands(run_text):
    arguments = ("--set", "connectors.agenttrace.settle=9s", "--config", "yaml:connectors::agenttrace::settle: 8s")
    assert "settle: 9s" in run_text("print-config", *arguments)[1]


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("env:NOWHERE", "--config env:NOWHERE: the environment variable NOWHERE is not set"),
        ("https://x/y.yaml", "--config https://x/y.yaml: URLs are not supported; download the file and give its path"),
        ("file:/nowhere.yaml", "--config /nowhere.yaml: cannot be read (No such file or directory); name a YAML file"),
        ("\0", "--config \0: cannot be read (embedded null byte); name a YAML file"),
        ("yaml:a: [", "--config yaml:…: line 1, column 5"),
        ("yaml:hunter2", "--config yaml:…: must be a map of sections"),
    ],
)
def test_an_unreadable_source_gives_a_one_line_error(run_text, name, error):
    code, out, err = run_text("validate", "--config", name)
    assert (code, out) == (1, "")
    assert err.startswith(f"opencode-trace-receiver: {error}")
    assert err.count("\n") == 1
    assert "hunter2" not in err


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_byte_order_mark_is_ignored(run_text, home, encoding):
    (home / "a.yaml").write_text("connectors: {agenttrace: {settle: 7s}}", encoding=encoding)
    assert "settle: 7s" in run_text("print-config", "--config", "a.yaml")[1]


def test_a_file_reference_is_expanded_and_its_secret_not_printed(run_text, home):
    (home / "token").write_text("hunter2\n")
    (home / "more.yaml").write_text("{settle: '${env:NO:-6s}'}")
    text = (
        "exporters: {otlp_grpc: {endpoint: 'b:4317', headers: {authorization: 'Bearer ${file:token}'}}}\n"
        "connectors: {agenttrace: '${file:more.yaml}'}"
    )
    code, out, err = run_text("print-config", "--config", f"yaml:{text}")
    assert (code, err) == (0, "")
    assert "hunter2" not in out
    assert "settle: 6s" in out


def test_the_error_for_a_missing_referenced_file_names_the_key(run_text):
    code, _, err = run_text("validate", "--set", "connectors::agenttrace::settle=${file:/nowhere}")
    assert code == 1
    assert err == (
        "opencode-trace-receiver: connectors::agenttrace::settle: "
        "the file /nowhere cannot be read (No such file or directory)\n"
    )


def test_validate_accepts_several_files_after_one_config_option(run_text, home):
    for name, settle in (("a.yaml", "1s"), ("b.yaml", "soon")):
        (home / name).write_text(SETTLE % settle)
    assert run_text("validate", "--config", "b.yaml", "a.yaml")[0] == 0
    assert run_text("validate", "--config", "a.yaml", "b.yaml")[0] == 1


def test_validate_prints_the_warnings_of_run(run_text):
    code, out, err = run_text(
        "validate",
        "--set=receivers::otlp::protocols::grpc::endpoint=:4317",
        "--set=connectors::agenttrace::settle=${env:NO}",
    )
    assert (code, out) == (0, "the configuration is valid\n")
    assert [line.split(": ")[1:3] for line in err.splitlines()] == [
        ["warning", "connectors::agenttrace::settle"],
        ["warning", "receivers::otlp::protocols::grpc::endpoint"],
    ]


def test_the_printed_default_configuration_prints_the_same_again(run_text, home):
    printed = run_text("print-config")[1]
    (home / "again.yaml").write_text(printed)
    assert run_text("print-config", "--config", "again.yaml") == (0, printed, "")


def test_print_config_schema_reads_no_configuration(run_text):
    code, out, err = run_text("print-config", "--schema", "--config", "nowhere.yaml")
    assert (code, err) == (0, "")
    assert json.loads(out) == schema()
