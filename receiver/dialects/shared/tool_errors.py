"""Reads OpenCode's error texts of tool calls: a class for `error.type`, and a task's child session.

`error.type` is never free text. A task names its child in its error or its output. The texts are those of OpenCode
1.1.65, 1.2.27 and 1.18.33, and those in the sources of OpenCode 2.
"""

from __future__ import annotations

import re

_TASK_ID = re.compile(r"task_id: (ses_[0-9A-Za-z]+)|<task id=\"(ses_[0-9A-Za-z]+)\"|\(sessionID: (ses_[0-9A-Za-z_]+)\)")
_DECLINED = "declined this tool call"  # OpenCode 2
_CLASSES = (
    (
        "cancelled",
        ("Task cancelled", "Subagent cancelled", "Tool execution aborted", "execution interrupted", "Aborted"),
    ),
    ("permission_rejected", ("rejected permission", "permission to use this specific tool call", _DECLINED)),
    ("invalid_arguments", ("called with invalid arguments", "invalid arguments", "arguments were malformed")),
    ("depth_limit", ("Subagent depth limit",)),
    ("unknown_agent", ("Unknown agent type", "Unknown agent:")),
    ("subagent_failed", ("Subagent failed",)),
    ("not_found", ("not found", "No such file")),
    ("timeout", ("timed out", "Timeout")),
)


def error_type(text: str | None, interrupted: bool = False) -> str:
    """The class of a failed call's error; `tool_error` where the text is unknown."""
    if interrupted and _DECLINED not in (text or ""):
        return "cancelled"
    for name, marks in _CLASSES:
        if text and any(mark in text for mark in marks):
            return name
    return "tool_error"


def child_in(text: str | None) -> str | None:
    """The session id in the error or the output of a task, if there is one."""
    found = _TASK_ID.search(text or "")
    return (found[1] or found[2] or found[3]) if found else None
