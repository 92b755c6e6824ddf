"""Slash commands as notes. Every dialect that reports them uses this one form."""

from __future__ import annotations

from receiver.dialects.shared.fields import as_text
from receiver.events import NoteEvent


def command_note(session: str, time: int, name: str, arguments: str | None, key: str = "") -> NoteEvent:
    """A slash command that was run. `arguments` are content; their number is an attribute. None: not reported."""
    count = () if arguments is None else (("opencode.command.argument_count", len(arguments.split())),)
    return NoteEvent(
        session=session,
        time=time,
        name="command.executed",
        key=key,
        attributes=(("opencode.command.name", name), *count),
        content=(("opencode.command.arguments", text, "arguments"),) if (text := as_text(arguments)) else (),
    )
