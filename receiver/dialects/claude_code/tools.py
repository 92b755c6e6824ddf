"""Claude Code's tool calls: what was called, and how its permission was decided.

Built-in tools keep their names (`Bash`, `Read`). `Agent` (formerly `Task`) is a task call, `Skill` a skill call. An
MCP tool is `mcp__<server>__<tool>`, split at the first two double underscores. Unless the user logs details, an MCP
tool is only called `mcp_tool`, which BUILTIN_TOOLS in the core's settings keeps from being read as server and tool,
and neither agents nor skills are named.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from receiver.dialects.shared.fields import Captured, as_id, as_text, first_set, from_json
from receiver.events import GUESSED, CallEvent
from receiver.model import Attributes, Value

TASK, SKILL = "task", "skill"
_KINDS = {"Task": TASK, "Agent": TASK, "Skill": SKILL}
_MCP = "mcp__"
MCP_PLACEHOLDER = "mcp_tool"  # every MCP tool's name in events; its true one is in tool_parameters, if anywhere
PLACEHOLDERS = ("custom", "third-party", "custom_skill")  # in place of names that Claude Code must not log
# permission replies in OpenCode's words; `auto` where nobody was asked
_ACCEPTED = {"user_permanent": "always", "user_temporary": "once", "config": "auto", "hook": "auto"}


@dataclass(frozen=True, slots=True)
class Tool:
    """What was called."""

    name: str | None = None
    agent: str | None = None
    skill: str | None = None
    mcp_server: str | None = None
    mcp_tool: str | None = None
    description: str | None = None
    file_path: str | None = None
    arguments: str | None = None

    @property
    def is_named(self) -> bool:
        """Whether the name is that of a tool, and no placeholder."""
        return self.name != MCP_PLACEHOLDER


def named(session: str, call: str, what: Tool) -> Iterator[CallEvent]:
    """The name of a call's tool, where it is a placeholder: any other record's name is better."""
    if not what.is_named:
        yield CallEvent(session=session, call=call, rank=GUESSED, tool=what.name)


def tool(attributes: Attributes, captured: Captured) -> Tool:
    """The tool that an event or a span names."""
    stated = as_id(attributes.get("tool_name"))
    name = _KINDS.get(stated, stated) if stated else None
    parameters, arguments = from_json(attributes.get("tool_parameters")), from_json(attributes.get("tool_input"))
    server, mcp_tool = as_id(parameters.get("mcp_server_name")), as_id(parameters.get("mcp_tool_name"))
    if name and name.startswith(_MCP):
        of_server, _, of_tool = name.removeprefix(_MCP).partition("__")
        if of_server and of_tool:
            server, mcp_tool = server or of_server, mcp_tool or of_tool
    elif name == MCP_PLACEHOLDER and server and mcp_tool:
        name = f"{_MCP}{server}__{mcp_tool}"
    return Tool(
        name=name,
        agent=_name(_first(parameters, arguments, attributes, "subagent_type")) if name == TASK else None,
        skill=_name(_first(parameters, attributes, arguments, "skill_name", "skill")) if name == SKILL else None,
        mcp_server=server,
        mcp_tool=mcp_tool if server else None,
        description=as_text(arguments.get("description")) if name == TASK else None,
        file_path=as_text(first_set(attributes, "file_path")) or as_text(arguments.get("file_path")),
        arguments=as_text(attributes.get("tool_input")) if "arguments" in captured else None,
    )


def _name(value: Value) -> str | None:
    """A name that Claude Code may log."""
    found = as_id(value)
    return found if found not in PLACEHOLDERS else None


def _first(one: Attributes, other: Attributes, third: Attributes, *names: str) -> Value:
    return next((v for holder in (one, other, third) if (v := first_set(holder, *names)) is not None), None)


def reply(decision: Value, source: Value) -> str | None:
    """How a permission was answered; None if there is no answer."""
    if decision == "reject":
        return "reject"
    if decision != "accept":
        return None
    return _ACCEPTED.get(source, "accept") if isinstance(source, str) else "accept"
