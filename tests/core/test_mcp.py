"""MCP names, by the table of contract 6.4."""

from __future__ import annotations

import pytest

from receiver.core.mcp import McpName, resolve, sanitized
from receiver.core.settings import BUILTIN_TOOLS

KNOWN = ("my", "my_db", "notes.v2", "team-notes", "plan")


def named(name, *, server=None, tool=None, servers=KNOWN, infer=True):
    return resolve(name, stated_server=server, stated_tool=tool, servers=servers, builtin=BUILTIN_TOOLS, infer=infer)


@pytest.mark.parametrize(
    ("name", "server", "tool"),
    [
        ("my_db_run_query", "my_db", "run_query"),
        ("my_other_query", "my", "other_query"),
        ("notes_v2_list_notes", "notes.v2", "list_notes"),
        ("team-notes_list-notes", "team-notes", "list-notes"),
    ],
)
def test_the_longest_known_server_wins(name, server, tool):
    assert named(name) == McpName(server, tool, False)


def test_what_is_stated_beats_what_is_known():
    assert named("my_db_run_query", server="my") == McpName("my", "db_run_query", False)
    assert named("my_db_run_query", server="my", tool="run") == McpName("my", "run", False)


def test_a_stated_server_that_is_no_prefix_leaves_the_name_whole():
    assert named("run_query", server="db") == McpName("db", "run_query", False)


def test_a_stated_server_makes_even_a_builtin_name_an_mcp_tool():
    assert named("web_search", server="web") == McpName("web", "search", False)


def test_otherwise_the_first_underscore_is_a_guess():
    assert named("db_run_query", servers=()) == McpName("db", "run_query", True)


def test_a_guess_is_not_made_where_nothing_may_be_inferred():
    assert named("db_run_query", servers=(), infer=False) is None
    assert named("my_db_ping", infer=False) == McpName("my_db", "ping", False)


@pytest.mark.parametrize("name", [*sorted(BUILTIN_TOOLS), "read", "bash", "webfetch"])
def test_a_builtin_tool_is_never_an_mcp_tool(name):
    assert named(name) is None


@pytest.mark.parametrize("name", ["", "_", "__", "_read", "read_"])
def test_a_name_without_both_parts_is_not_an_mcp_tool(name):
    assert named(name, servers=()) is None


def test_the_name_of_a_server_alone_is_not_a_call_of_it():
    assert named("my_", servers=("my",)) is None


def test_sanitized_as_opencode_does():
    assert sanitized("notes.v2 (team)/é-x") == "notes_v2__team___-x"
