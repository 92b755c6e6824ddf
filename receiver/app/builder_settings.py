"""The core's settings from the connector's section. Apart from factory.py, since offline `build` needs no servers."""

from __future__ import annotations

from receiver import config
from receiver.core.state.settings import BUILTIN_TOOLS, BuilderSettings


def builder_settings(connector: config.AgentTrace) -> BuilderSettings:
    """The core's settings from the connector's section."""
    return BuilderSettings(
        idle_timeout=connector.idle_timeout,
        inactivity_timeout=connector.inactivity_timeout,
        settle=connector.settle,
        trace_mode=connector.trace_mode,
        child_sessions=connector.child_sessions,
        remote_parent=connector.remote_parent,
        max_spans_per_trace=connector.max_spans_per_trace,
        max_trace_age=connector.max_trace_age,
        mcp_servers=tuple(connector.mcp_servers),
        builtin_tools=BUILTIN_TOOLS | frozenset(connector.builtin_tools),
        capture_content=frozenset(connector.capture_content),
        infer=connector.infer,
        live_markers=connector.live_markers,
        openinference="openinference" in connector.conventions,
    )
