"""MCP names: OpenCode names an MCP tool `{server}_{tool}`, both sanitized, and both may have underscores
(docs/contract.md 6.4).

Best first: the server that the event states; the longest known server that is a prefix (configured, or named by this
producer); otherwise all before the first underscore, which is a guess. A tool of OpenCode's own is never an MCP tool,
nor is one of which the event says so: other agents' own tools have underscores too (`exec_command`). A server that is
stated by the SHA-256 digest of its name (Copilot CLI) is found again among the known ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

_DIGEST = re.compile(r"[0-9a-f]{64}")
_CLAUDE_CODE = "mcp__"
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True, slots=True)
class McpName:
    """A server, by the name that its configuration gives it where that is known, and its own name of the tool."""

    server: str
    tool: str
    inferred: bool


def sanitized(name: str) -> str:
    """A name as OpenCode writes it into a tool's name."""
    return _UNSAFE.sub("_", name)


def _digest(name: str) -> str:
    return sha256(name.encode("utf-8", "replace")).hexdigest()


def _of_claude_code(name: str, server: str, tool: str | None, servers: Iterable[str]) -> McpName:
    """Claude Code states both parts as they are in `mcp__{server}__{tool}`, split at the first two underscores. The
    server's own name is the longest known one that fits."""
    rest = name.removeprefix(_CLAUDE_CODE)
    fitting = [s for s in set(servers) if rest.startswith(sanitized(s) + "__") and len(rest) > len(s) + 2]
    if not fitting:
        return McpName(server, tool or rest.removeprefix(f"{server}__"), False)
    found = min(fitting, key=lambda s: (-len(s), s))
    return McpName(found, rest[len(found) + 2 :], len(fitting) > 1)


def resolve(
    name: str,
    *,
    stated_server: str | None,
    stated_tool: str | None,
    servers: Iterable[str],
    builtin: frozenset[str],
    mcp: bool | None = None,
    infer: bool = True,
) -> McpName | None:
    """Which server and tool a tool's name means; None if it is no MCP tool (or, without `infer`, cannot be known)."""
    if stated_server and name.startswith(_CLAUDE_CODE):
        return _of_claude_code(name, stated_server, stated_tool, servers)
    if stated_server and _DIGEST.fullmatch(stated_server):
        stated_server = next((s for s in sorted(servers) if _digest(s) == stated_server), stated_server)
    if stated_server:
        prefix = sanitized(stated_server) + "_"
        rest = name[len(prefix) :] if name.startswith(prefix) else name
        return McpName(stated_server, stated_tool or rest, False)
    if mcp is False or name in builtin or "_" not in name.strip("_"):
        return None
    fitting = [s for s in set(servers) if name.startswith(sanitized(s) + "_") and len(name) > len(s) + 1]
    if fitting and (infer or len(fitting) == 1):
        server = min(fitting, key=lambda s: (-len(s), s))  # `my` and `my_db` both fit my_db_ping: the longest, marked
        return McpName(server, name[len(server) + 1 :], len(fitting) > 1)
    if not infer:
        return None
    server, _, tool = name.partition("_")
    return McpName(server, tool, True) if server and tool else None
