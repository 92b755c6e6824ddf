"""The `agenttrace` connector's settings: how events become traces. The core's own terms for them are not known here."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from receiver.config.model.section import Count, Duration, Flag, PositiveDuration, Section, Text, duration_field

Content = Literal["prompts", "arguments", "results", "paths", "titles", "errors"]
Convention = Literal["gen_ai", "openinference"]


class AgentTrace(Section):
    """Logs, metrics and spans in, rebuilt traces out."""

    idle_timeout: PositiveDuration = duration_field(
        "60s", "a session that said it is idle closes after this much quiet"
    )
    inactivity_timeout: PositiveDuration = duration_field(
        "10m", "a session that never says so closes after this much quiet"
    )
    settle: Duration = duration_field("2s", "a finished call waits this long for stragglers before its span leaves")
    trace_mode: Literal["session", "turn"] = Field(
        default="session", description="what is one trace: a whole session, or each turn of it"
    )
    child_sessions: Literal["nested", "linked"] = Field(
        default="nested",
        description="child sessions in their parent's trace, or in a trace each, joined by span links",
    )
    remote_parent: Literal["child", "link"] = Field(
        default="child", description="a session with a traceparent becomes that span's child, or only links to it"
    )
    max_spans_per_trace: Count = Field(
        default=10_000, description="a longer trace goes on in a linked continuation trace"
    )
    max_trace_age: PositiveDuration = duration_field("24h", "an older trace goes on in a linked continuation trace")
    mcp_servers: tuple[Text, ...] = Field(
        default=(), description="MCP servers' names known in advance; others are learned or guessed"
    )
    builtin_tools: tuple[Text, ...] = Field(
        default=(), description="further tools with an underscore in their name that are no MCP tools"
    )
    capture_content: tuple[Content, ...] = Field(
        default=("errors",), description="content that may appear in what is built, kept or shown"
    )
    infer: Flag = Field(default=True, description="reconstruct what the events leave out; false: only what is stated")
    conventions: tuple[Convention, ...] = Field(
        default=("gen_ai",),
        min_length=1,
        description="attribute names to write: gen_ai always, openinference (for Phoenix and others) beside it",
    )
    adopt_spans: Flag = Field(
        default=True,
        description="known spans are evidence and leave once, in the session's trace; others pass through",
    )
    live_markers: Flag = Field(
        default=False, description='zero-duration "started" children for those who watch; never a second copy of a span'
    )
