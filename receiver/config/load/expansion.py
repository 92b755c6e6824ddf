"""Replaces `${env:NAME}`, `${env:NAME:-default}`, `${file:path}`, `${yaml:text}` and `$$` in a tree read from YAML.

Pure: the environment and the function that reads a file are passed in. A value that is one whole reference takes the
type that YAML sees in its text; a reference inside a longer text is text. As in the Collector, a default applies to a
variable that is not set (an empty one is set) and may contain references, and a variable that is neither set nor has a
default is empty, with a warning. Unlike there, a variable's text is not expanded again and keeps its `$$`: it may be a
password.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from receiver.config.load import yaml_text
from receiver.config.model.problem import Path, Problem
from receiver.config.model.section import Expanded

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAX_DEPTH = 10  # levels of files that refer to files

ReadFile = Callable[[str], str]  # raises ValueError


@dataclass(frozen=True, slots=True)
class Unset:
    """A variable that the value at `path` refers to, and that is not set."""

    path: Path
    name: str

    def problem(self) -> Problem:
        """The error where an empty value is invalid."""
        return Problem(
            self.path,
            f"the environment variable {self.name} is not set; set it, or write ${{env:{self.name}:-default}}",
        )

    def notice(self) -> str:
        """The warning where an empty value is valid."""
        return f"{'::'.join(self.path)}: the environment variable {self.name} is not set, and counts as empty"


@dataclass(frozen=True, slots=True)
class _Found:
    """An expanded text and the variables that are not set. A `block` is configuration that is expanded in turn."""

    text: str
    missing: tuple[str, ...] = ()
    block: bool = False


@dataclass(slots=True)
class Expander:
    """Replaces references, and lists the environment variables that they name in `references`.

    A reference that cannot be replaced becomes null; its path goes to `failed` and its error to `problems`.
    """

    environment: Mapping[str, str]
    read_file: ReadFile
    problems: list[Problem]
    failed: list[Path] = field(default_factory=list)
    references: set[str] = field(default_factory=set)
    unset: list[Unset] = field(default_factory=list)

    def expand(self, tree: object, path: Path = (), depth: int = 0) -> object:
        """The tree with every reference replaced."""
        if isinstance(tree, dict):
            return {key: self.expand(item, (*path, str(key)), depth) for key, item in tree.items()}
        if isinstance(tree, list):
            return [self.expand(item, (*path, str(at)), depth) for at, item in enumerate(tree)]
        if isinstance(tree, str) and "$" in tree:
            return self._in_text(tree, path, depth)
        return tree

    def _in_text(self, text: str, path: Path, depth: int) -> object:
        try:
            whole = self._whole(text)
            found = whole or self._replaced(text, 0, inside=False)[0]
            self.unset.extend(Unset(path, name) for name in found.missing)
            return self._typed(found, path, depth) if whole else found.text
        except ValueError as error:
            self.problems.append(Problem(path, str(error)))
            self.failed.append(path)
            return None

    def _whole(self, text: str) -> _Found | None:
        """The replacement of a text that is one whole reference; None for any other."""
        if not (text.startswith("${") and text.endswith("}")):
            return None
        reference, end = self._replaced(text, 2, inside=True)
        return self._look_up(reference) if end == len(text) else None

    def _replaced(self, text: str, at: int, *, inside: bool) -> tuple[_Found, int]:
        """The expanded text from `at` to the end or, inside a reference, to its closing brace; and the next index."""
        out: list[str] = []
        missing: list[str] = []
        while at < len(text):
            if text.startswith("$$", at):
                out.append("$")
                at += 2
            elif text.startswith("${", at) and "}" in text[at:]:
                reference, at = self._replaced(text, at + 2, inside=True)
                found = self._look_up(reference)
                out.append(found.text)
                missing.extend(found.missing)
            elif inside and text[at] == "}":
                return _Found("".join(out), tuple(missing)), at + 1
            else:
                out.append(text[at])
                at += 1
        if inside:
            raise ValueError("a reference is not closed; write ${env:NAME} or ${env:NAME:-default}, and $$ for $")
        return _Found("".join(out), tuple(missing)), at

    def _look_up(self, reference: _Found) -> _Found:
        scheme, _, rest = reference.text.partition(":")
        if scheme == "yaml":
            return replace(reference, text=rest, block=True)
        if scheme == "file":
            return replace(reference, text=self.read_file(rest).removesuffix("\n"), block=True)
        if scheme in ("http", "https"):
            raise ValueError(f"${{{scheme}:…}} is not fetched here; download it, and write ${{file:path}}")
        name, colon, default = reference.text.removeprefix("env:").partition(":-")
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"${{{reference.text}}} is not a reference; write ${{env:NAME}} or ${{env:NAME:-default}}, and $$ for $"
            )
        self.references.add(name)
        if name in self.environment:
            return _Found(self.environment[name])  # its default is not used, so nothing in it is missing
        return replace(reference, text=default) if colon else _Found("", (name,))

    def _typed(self, found: _Found, path: Path, depth: int) -> object:
        try:
            value = yaml_text.parse(found.text)
        except ValueError:
            return found.text
        if found.block and isinstance(value, dict | list):
            if depth == _MAX_DEPTH:
                raise ValueError(f"files refer to files more than {_MAX_DEPTH} levels deep")
            value = self.expand(value, path, depth + 1)
        return found.text if value == found.text else Expanded(value, found.text)
