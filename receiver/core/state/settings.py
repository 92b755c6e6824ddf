"""The core's settings. Durations are in nanoseconds; the defaults are those of docs/contract.md 4."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SECOND = 1_000_000_000
MILLISECOND = 1_000_000

# OpenCode's own tools whose names hold an underscore, and so look like an MCP server's. Seen in 1.1 to 1.18.
BUILTIN_TOOLS = frozenset(
    {
        "apply_patch",
        "list_mcp_resources",
        "list_mcp_resource_templates",
        "plan_enter",
        "plan_exit",
        "read_mcp_resource",
        "repo_clone",
        "repo_overview",
        "web_fetch",
        "web_search",
        "notebook_edit",
        "ask_user",
        "todo_read",
        "todo_write",
        "lsp_diagnostics",
        "lsp_hover",
        "background_output",
        "background_cancel",
        "mcp_tool",  # Claude Code's word for an MCP tool that is not to be named
    }
)


@dataclass(frozen=True, slots=True)
class BuilderSettings:
    """The connector's settings, in the core's terms."""

    idle_timeout: int = 60 * SECOND
    inactivity_timeout: int = 600 * SECOND
    settle: int = 2 * SECOND
    trace_mode: Literal["session", "turn"] = "session"
    child_sessions: Literal["nested", "linked"] = "nested"
    remote_parent: Literal["child", "link"] = "child"
    max_spans_per_trace: int = 10_000
    max_trace_age: int = 24 * 3600 * SECOND
    mcp_servers: tuple[str, ...] = ()
    builtin_tools: frozenset[str] = BUILTIN_TOOLS
    capture_content: frozenset[str] = frozenset({"errors"})
    infer: bool = True
    openinference: bool = False
    live_markers: bool = False
    max_attributes: int = 64
    max_attribute_bytes: int = 2048
    max_events: int = 128

    @property
    def joint(self) -> int:
        """Two things this close (ns) are never in different segments, whatever the session said between them."""
        return max(0, min(self.idle_timeout, self.inactivity_timeout))
