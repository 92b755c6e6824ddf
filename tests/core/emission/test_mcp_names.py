"""MCP names, by the rules of docs/contract.md 6.4."""

from __future__ import annotations

from hashlib import sha256

import pytest

from receiver.core.emission.mcp_names import McpName, resolve, sanitized
from receiver.core.state.settings import BUILTIN_TOOLS

KNOWN = ("my", "notes.v2", "team-notes", "plan")


def named(name, *, server=None, tool=None, servers=KNOWN, infer=True, mcp=None):
    stated = {"stated_server": server, "stated_tool": tool, "mcp": mcp}
    return resolve(name, **stated, servers=servers, builtin=BUILTIN_TOOLS, infer=infer)


@pytest.mark.parametrize(
    ("name", "server", "tool"),
    [
        ("my_db_run_query", "my", "db_run_query"),
        ("notes_v2_list_notes", "notes.v2", "list_notes"),
        ("team-notes_list-notes", "team-notes", "list-notes"),
    ],
)
def test_a_known_server_is_the_prefix(name, server, tool):
    assert named(name) == McpName(server, tool, False)


def test_of_several_known_servers_that_fit_the_longest_is_taken_and_marked():
    assert named("my_db_run_query", servers=("my", "my_db")) == McpName("my_db", "run_query", True)
    assert named("my_db_run_query", servers=("my_db", "my")) == McpName("my_db", "run_query", True)
    assert named("my_other_query", servers=("my", "my_db")) == McpName("my", "other_query", False)


def test_a_stated_server_beats_a_known_one():
    assert named("my_db_run_query", server="my") == McpName("my", "db_run_query", False)
    assert named("my_db_run_query", server="my", tool="run") == McpName("my", "run", False)


def test_a_stated_server_that_is_no_prefix_leaves_the_name_whole():
    assert named("run_query", server="db") == McpName("db", "run_query", False)


def test_a_stated_server_makes_even_a_builtin_name_an_mcp_tool():
    assert named("web_search", server="web") == McpName("web", "search", False)


def test_without_a_known_server_the_first_underscore_is_a_guess():
    assert named("db_run_query", servers=()) == McpName("db", "run_query", True)


def test_without_infer_no_server_is_guessed():
    assert named("db_run_query", servers=(), infer=False) is None
    assert named("my_db_ping", servers=("my", "my_db"), infer=False) is None
    assert named("my_db_ping", servers=("my_db",), infer=False) == McpName("my_db", "ping", False)


def test_a_builtin_tool_is_never_an_mcp_tool(subtests):
    for name in [*sorted(BUILTIN_TOOLS), "read", "bash", "webfetch"]:
        with subtests.test(name=name):
            assert named(name) is None


@pytest.mark.parametrize("name", ["", "_", "__", "_read", "read_"])
def test_a_name_without_both_parts_is_not_an_mcp_tool(name):
    assert named(name, servers=()) is None


def test_the_name_of_a_server_alone_is_not_a_call_of_it():
    assert named("my_", servers=("my",)) is None


def test_names_are_sanitized_as_opencode_does_it():
    assert sanitized("notes.v2 (team)/é-x") == "notes_v2__team___-x"


def test_a_tool_that_is_stated_not_to_be_of_an_mcp_server_is_none_even_if_a_known_server_fits():
    assert named("exec_command", servers=(), mcp=False) is None
    assert named("my_db_run_query", servers=("my",), mcp=False) is None
    assert named("my_db_run_query", servers=("my",), mcp=True) == McpName("my", "db_run_query", False)


def test_a_server_that_is_stated_by_its_digest_is_found_among_the_known():
    digest = sha256(b"lab_db").hexdigest()
    name = f"{digest}/{sha256(b'run_query').hexdigest()}"
    assert named(name, server=digest, tool="t", servers=("my", "lab_db")) == McpName("lab_db", "t", False)
    assert named(name, server=digest, tool="t", servers=("my",)) == McpName(digest, "t", False)
