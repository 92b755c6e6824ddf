"""Slash commands, told alike by every dialect that tells of them."""

from __future__ import annotations

from receiver.dialects.shared.fields import as_text
from receiver.events import NoteEvent


def command_note(session: str, time: int, name: str, arguments: str | None, key: str = "") -> NoteEvent:
    """A slash command that was run, with the number of its arguments, if they are told; they themselves are content."""
    count = () if arguments is None else (("opencode.command.argument_count", len(arguments.split())),)
    return NoteEvent(
        session=session,
        time=time,
        name="command.executed",
        key=key,
        attributes=(("opencode.command.name", name), *count),
        content=(("opencode.command.arguments", told, "arguments"),) if (told := as_text(arguments)) else (),
    )
