"""Finished tool calls as events, with the id that the model gave the call or without one."""

from __future__ import annotations

from typing import Literal, TypedDict, Unpack

from receiver.dialects.shared.tool_errors import error_type
from receiver.events import CallEvent, CallReportEvent


class CallFacts(TypedDict, total=False):
    """What a record says of a finished call, whether it names the call's id or not."""

    status: Literal["completed", "error"]
    error: str | None
    error_type: str | None
    child: str | None
    agent: str | None
    skill: str | None
    mcp_server: str | None
    mcp_tool: str | None
    description: str | None
    label: str | None
    context: str | None


def finished_call(
    session: str, call: str | None, *, rank: int, tool: str, start: int, end: int, **facts: Unpack[CallFacts]
) -> CallEvent | CallReportEvent:
    """A call with its id, or a report of one without."""
    if call is None:
        return CallReportEvent(session=session, rank=rank, tool=tool, start=start, end=end, **facts)
    return CallEvent(session=session, call=call, rank=rank, tool=tool, start=start, end=end, **facts)


class Outcome(TypedDict):
    """How a call ended."""

    status: Literal["completed", "error"]
    error: str | None
    error_type: str | None


def outcome(failed: bool, error: str | None, interrupted: bool = False) -> Outcome:
    """The outcome of one of OpenCode's calls; `error` is its error text."""
    if not failed:
        return Outcome(status="completed", error=None, error_type=None)
    return Outcome(status="error", error=error, error_type=error_type(error, interrupted))
