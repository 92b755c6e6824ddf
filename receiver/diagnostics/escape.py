"""Escapes text from outside for a terminal and a one-line log: it can neither move the cursor, change colours, reverse
the direction of writing nor start a new line. Pure.
"""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with every character that is not printable escaped as Python does it: `\\x1b`, `\\n`."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
