"""The `agenttrace` connector's settings: how events become traces."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from receiver.config.model.section import Count, Duration, Flag, PositiveDuration, Section, Text, duration_field

Content = Literal["prompts", "arguments", "results", "paths", "titles", "errors"]
Convention = Literal["gen_ai", "openinference"]


class AgentTrace(Section):
    """Builds traces from logs, metrics and spans."""

    idle_timeout: PositiveDuration = duration_field("60s", "close an idle session after this long without records")
    inactivity_timeout: PositiveDuration = duration_field(
        "10m", "close a session that never reported idle after this long without records"
    )
    settle: Duration = duration_field(
        "2s", "wait this long for late records before the span of a finished call is sent"
    )
    trace_mode: Literal["session", "turn"] = Field(
        default="session", description="one trace for each session, or one for each of its turns"
    )
    child_sessions: Literal["nested", "linked"] = Field(
        default="nested",
        description="put child sessions into their parent's trace, or into traces of their own, joined by span links",
    )
    remote_parent: Literal["child", "link"] = Field(
        default="child", description="make a session with a traceparent a child of that span, or only link to it"
    )
    max_spans_per_trace: Count = Field(default=10_000, description="continue a longer trace in a linked trace")
    max_trace_age: PositiveDuration = duration_field("24h", "continue an older trace in a linked trace")
    mcp_servers: tuple[Text, ...] = Field(default=(), description="names of MCP servers; others are learned or guessed")
    builtin_tools: tuple[Text, ...] = Field(
        default=(), description="more tools with an underscore in their name that are not MCP tools"
    )
    capture_content: tuple[Content, ...] = Field(
        default=("errors",), description="content that may be built, stored or shown"
    )
    infer: Flag = Field(default=True, description="reconstruct what records leave out; false: only what they state")
    conventions: tuple[Convention, ...] = Field(
        default=("gen_ai",),
        min_length=1,
        description="attribute names to write: gen_ai always; openinference (for Phoenix and others) in addition",
    )
    adopt_spans: Flag = Field(
        default=True,
        description="build the session's trace from the spans of known plugins, which are not sent themselves; other "
        "spans pass through",
    )
    live_markers: Flag = Field(
        default=False,
        description='send a zero-duration child span "started" when a session or task call starts; never a second copy '
        "of a span",
    )
