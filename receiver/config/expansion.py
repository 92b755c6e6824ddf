"""`${env:NAME}`, `${env:NAME:-default}` and `$$` in a tree that was read from YAML. Pure: the environment is given.

A value that is nothing but one reference takes the type that YAML sees in the variable's text; a reference inside
a longer text is text. As in the Collector, the default is for a variable that is not set (an empty one is set), and
what a variable holds is not expanded again. Stricter than the Collector: a variable that is neither set nor has a
default is an error, not an empty value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from receiver.config import yaml_text
from receiver.config.problem import Path, Problem

_REFERENCE = re.compile(r"\$\$|\$\{([^}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Expanded:
    """A value that came whole out of a variable: as YAML sees it, and as text, for where text is wanted."""

    value: object
    text: str

    def __repr__(self) -> str:
        return "Expanded(…)"  # it may be a secret


def expand(tree: object, environment: Mapping[str, str], problems: list[Problem], path: Path = ()) -> object:
    """The tree with every reference replaced; what could not be is null, and named in `problems`."""
    if isinstance(tree, dict):
        return {key: expand(item, environment, problems, (*path, str(key))) for key, item in tree.items()}
    if isinstance(tree, list):
        return [expand(item, environment, problems, (*path, str(at))) for at, item in enumerate(tree)]
    if isinstance(tree, str) and "$" in tree:
        return _expand_text(tree, environment, problems, path)
    return tree


def _expand_text(
    text: str, environment: Mapping[str, str], problems: list[Problem], path: Path
) -> str | Expanded | None:
    try:
        whole = _REFERENCE.fullmatch(text)
        if whole and whole[1] is not None:
            return _typed(_look_up(whole[1], environment))
        return _REFERENCE.sub(lambda found: "$" if found[1] is None else _look_up(found[1], environment), text)
    except ValueError as error:
        problems.append(Problem(path, str(error)))
        return None


def _look_up(reference: str, environment: Mapping[str, str]) -> str:
    name, colon, default = reference.removeprefix("env:").partition(":-")
    if not _NAME.fullmatch(name) or "${" in default:
        raise ValueError(
            f"${{{reference}}} is not understood; write ${{env:NAME}} or ${{env:NAME:-default}}, and $$ for $"
        )
    if name in environment:
        return environment[name]
    if not colon:
        raise ValueError(f"the environment variable {name} is not set; set it, or write ${{env:{name}:-default}}")
    return default


def _typed(text: str) -> str | Expanded:
    try:
        value = yaml_text.parse(text)
    except ValueError:
        return text
    return text if value == text else Expanded(value, text)
