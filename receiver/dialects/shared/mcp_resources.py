"""OpenCode's built-in tools that read MCP resources. Their arguments name a configured MCP server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from receiver.dialects.shared.fields import as_id
from receiver.events import ServerEvent
from receiver.model import Value

RESOURCE_TOOLS = ("read_mcp_resource", "list_mcp_resources")


def resource_server(tool: str | None, arguments: Mapping[str, Value], time: int) -> Iterator[ServerEvent]:
    """The server that a call of one of these tools names."""
    if tool in RESOURCE_TOOLS and (server := as_id(arguments.get("server"))):
        yield ServerEvent(server=server, time=time)
