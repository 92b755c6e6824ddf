"""Problems of a configuration: one line each that begins with the key path. They are collected, then raised at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from receiver.errors import ConfigError

Path: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """`text` says what is wrong with the value at `path`, and what to do."""

    path: Path
    text: str

    def __str__(self) -> str:
        return f"{'::'.join(self.path)}: {self.text}" if self.path else self.text


def raise_if_any(problems: Iterable[Problem]) -> None:
    """Raises ConfigError with a line for each problem, if there is any."""
    lines = list(dict.fromkeys(str(problem) for problem in problems))
    if lines:
        raise ConfigError("\n".join(lines))


def suggestion(word: str, words: Iterable[str]) -> str:
    """A proposal for a mistyped word: `did you mean x?`, or else the list of the known ones."""
    choices = list(words)
    found = difflib.get_close_matches(word, choices, n=1)
    if found:
        return f"did you mean {found[0]}?"
    return f"known here: {', '.join(choices)}" if choices else "nothing is known here"
