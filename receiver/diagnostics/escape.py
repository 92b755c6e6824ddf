"""Text that others wrote, made fit for a terminal and for one line: nothing in it can move the cursor, change colours,
turn the writing around or begin a line of its own. Pure.
"""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with everything that is no visible character or space written out, as Python does: `\\x1b`, `\\n`."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
