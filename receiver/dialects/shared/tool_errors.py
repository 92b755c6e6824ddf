"""What OpenCode's error texts of tool calls tell: a class for `error.type` (never free text), and the child session
that a task names in its error or its output. Texts seen in 1.1.65, 1.2.27 and 1.18.33.
"""

from __future__ import annotations

import re

_TASK_ID = re.compile(r"task_id: (ses_[0-9A-Za-z]+)|<task id=\"(ses_[0-9A-Za-z]+)\"")
_CLASSES = (
    ("cancelled", ("Task cancelled", "Tool execution aborted", "Aborted")),
    ("permission_rejected", ("rejected permission", "permission to use this specific tool call")),
    ("invalid_arguments", ("called with invalid arguments", "invalid arguments")),
    ("depth_limit", ("Subagent depth limit",)),
    ("unknown_agent", ("Unknown agent type",)),
    ("subagent_failed", ("Subagent failed",)),
    ("not_found", ("not found", "No such file")),
    ("timeout", ("timed out", "Timeout")),
)


def error_type(text: str | None, interrupted: bool = False) -> str:
    """The class of a failed call's error."""
    if interrupted:
        return "cancelled"
    for name, marks in _CLASSES:
        if text and any(mark in text for mark in marks):
            return name
    return "tool_error"


def child_in(text: str | None) -> str | None:
    """The session that the error or the output of a task names."""
    found = _TASK_ID.search(text or "")
    return (found[1] or found[2]) if found else None
