"""What Claude Code says of a tool call beside its times: what was called, and how its permission was decided.

Its own tools keep their names (`Bash`, `Read`). `Agent` (`Task` before) is the vocabulary's task call, `Skill` its
skill call; an MCP tool is `mcp__<server>__<tool>`, split at the double underscores, the first ones if there are more.
Unless details are to be logged, a user's MCP tool is only `mcp_tool`, which settings.BUILTIN_TOOLS keeps from being
taken for a server's, and neither agents nor skills are named.
"""

from __future__ import annotations

from dataclasses import dataclass

from receiver.dialects.shared.fields import Wanted, as_id, as_text, first, from_json
from receiver.model import Attributes, Value

TASK, SKILL = "task", "skill"
_KINDS = {"Task": TASK, "Agent": TASK, "Skill": SKILL}
_MCP = "mcp__"
PLACEHOLDERS = ("custom", "third-party", "custom_skill")  # stand for names that are not to be logged
# how a permission is answered in OpenCode's words; `auto` where nobody was asked
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


def tool(attributes: Attributes, wanted: Wanted) -> Tool:
    """What the attributes of an event or a span say was called."""
    told = as_id(attributes.get("tool_name"))
    name = _KINDS.get(told, told) if told else None
    parameters, given = from_json(attributes.get("tool_parameters")), from_json(attributes.get("tool_input"))
    server, mcp_tool = as_id(parameters.get("mcp_server_name")), as_id(parameters.get("mcp_tool_name"))
    if name and name.startswith(_MCP):
        of_server, _, of_tool = name.removeprefix(_MCP).partition("__")
        if of_server and of_tool:
            server, mcp_tool = server or of_server, mcp_tool or of_tool
    return Tool(
        name=name,
        agent=as_id(_first(parameters, given, attributes, "subagent_type")) if name == TASK else None,
        skill=as_id(_first(parameters, attributes, given, "skill_name", "skill")) if name == SKILL else None,
        mcp_server=server,
        mcp_tool=mcp_tool if server else None,
        description=as_text(given.get("description")) if name == TASK else None,
        file_path=as_text(first(attributes, "file_path")) or as_text(given.get("file_path")),
        arguments=as_text(attributes.get("tool_input")) if "arguments" in wanted else None,
    )


def _first(one: Attributes, other: Attributes, third: Attributes, *names: str) -> Value:
    return next((v for holder in (one, other, third) if (v := first(holder, *names)) is not None), None)


def reply(decision: Value, source: Value) -> str | None:
    """How a permission was answered; None if that is not told."""
    if decision == "reject":
        return "reject"
    if decision != "accept":
        return None
    return _ACCEPTED.get(source, "accept") if isinstance(source, str) else "accept"
