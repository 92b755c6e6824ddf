"""Reads YAML as the Collector does: with YAML 1.2 scalars (`yes` and `1:30` are text) and no duplicate keys.

The result has only maps, lists, text, numbers, booleans and null; other tags are refused. So is text whose aliases of
aliases would fill the memory, since the text may come from a variable that others set.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml
from yaml.constructor import ConstructorError

MAX_CHARACTERS = 1 << 20  # the longest configurations that people write have some thousand lines
MAX_VALUES = 100_000  # after aliases
MAX_DEPTH = 100
_MAX_MESSAGE = 200  # characters of a message of the YAML library
_PREFIX = "tag:yaml.org,2002:"
_ALLOWED_TAGS = ("null", "bool", "int", "float", "str", "seq", "map")


class _Loader(yaml.SafeLoader):
    """SafeLoader with YAML 1.2 scalars, text for every key, and an error for duplicate keys."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    yaml_constructors = {
        tag: constructor
        for tag, constructor in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag.removeprefix(_PREFIX) in _ALLOWED_TAGS
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge" or not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise ConstructorError(None, None, f"the key {key.value!r} is given twice", key.start_mark)
            seen.add(key.value)
            key.tag = "tag:yaml.org,2002:str"
        return super().construct_mapping(node, deep)


# These patterns match nothing that PyYAML's dumper writes unquoted as text, so printed YAML reads back the same.
for _name, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(0|[1-9][0-9]*)", list("-+0123456789")),
    ("float", r"[-+]?[0-9]+\.[0-9]*([eE][-+][0-9]+)?", list("-+0123456789")),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(rf"^(?:{_pattern})$"), _first)


def parse(text: str) -> object:
    """The tree of a text. Raises ValueError with a message of one line that has the text's line number."""
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"longer than {MAX_CHARACTERS} characters; split it into several files")
    try:
        return _constructed(_Loader(text))
    except yaml.MarkedYAMLError as error:
        raise ValueError(_message(error)) from None
    except RecursionError:
        raise ValueError(f"not YAML: nested deeper than {MAX_DEPTH} levels") from None
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(f"not YAML: {' '.join(str(error).split())[:_MAX_MESSAGE]}") from None


def _constructed(loader: _Loader) -> object:
    node = loader.get_single_node()
    if node is None:
        return None
    _check_size(node, {}, 0)
    return loader.construct_document(node)


def _message(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    if error.problem == "but found another document":
        return f"{where}a second document begins; give it as a file of its own, with another --config"
    if error.problem == "found character '\\t' that cannot start any token":
        return f"{where}a tab; indent with spaces"
    return f"{where}{error.problem or error.context or 'not YAML'}"


def _check_size(node: yaml.Node, sizes: dict[int, int], depth: int) -> int:
    """The number of values in a node, with its aliases expanded. Raises ConstructorError beyond the bounds."""
    if depth > MAX_DEPTH:
        raise ConstructorError(None, None, f"nested deeper than {MAX_DEPTH} levels", node.start_mark)
    if id(node) in sizes:
        if not sizes[id(node)]:
            raise ConstructorError(None, None, "an alias that contains itself", node.start_mark)
        return sizes[id(node)]
    sizes[id(node)] = 0  # until its children are counted
    size = 1 + sum(_check_size(child, sizes, depth + 1) for child in _children(node))
    if size > MAX_VALUES:
        raise ConstructorError(None, None, f"more than {MAX_VALUES} values, aliases included", node.start_mark)
    sizes[id(node)] = size
    return size


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [child for pair in node.value for child in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []
