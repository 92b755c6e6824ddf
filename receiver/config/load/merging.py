"""Merges trees as the Collector does: maps deeply, anything else is replaced. Pure.

Also turns `--set` into trees, and keys such as `a::b` into a map in a map.
"""

from __future__ import annotations

from typing import TypeAlias

from receiver.config.load import yaml_text
from receiver.config.model.problem import Path, Problem
from receiver.config.model.section import Expanded

Tree: TypeAlias = dict[str, object]


def mapping(value: object) -> Tree | None:
    """The value as a map, even one that came from a variable; null is the empty map; None for anything else."""
    if isinstance(value, Expanded):
        value = value.value
    if value is None:
        return {}
    return value if isinstance(value, dict) else None


def merge(*trees: Tree) -> Tree:
    """Later trees over earlier ones. A later null replaces, as in the Collector: the key has its default again."""
    merged: Tree = {}
    for tree in trees:
        for key, value in tree.items():
            merged[key] = _over(merged.get(key), value)
    return merged


def _over(below: object, above: object) -> object:
    if above is None or below is None:
        return above
    over, under = mapping(above), mapping(below)
    if over is None or under is None:
        return above
    return merge(under, over)


def replaces(above: Tree, path: Path) -> bool:
    """Whether merging this tree over another replaces the other's value at a path."""
    value: object = above
    for key in path:
        block = mapping(value)
        if value is None or block is None:
            return True
        if key not in block:
            return False
        value = block[key]
    return True


def value_at(tree: Tree, path: Path) -> object:
    """The value at a path; None where there is none."""
    value: object = tree
    for key in path:
        value = (mapping(value) or {}).get(key)
    return value


def nested(value: object) -> object:
    """The value with a map in a map for each key that is a path, such as `exporters::debug::verbosity`."""
    if isinstance(value, list):
        return [nested(one) for one in value]
    if not isinstance(value, dict):
        return value
    merged: Tree = {}
    for key, inner in value.items():
        merged = merge(merged, _tree_of_path(str(key).split("::"), nested(inner)))
    return merged


def _tree_of_path(path: list[str], value: object) -> Tree:
    if not all(path):
        return {"::".join(path): value}  # validation refuses it as an unknown key
    for key in reversed(path[1:]):
        value = {key: value}
    return {path[0]: value}


def assignment(text: str) -> Tree:
    """The tree of one `key::path=value`; the value is YAML. Raises ValueError with the right form."""
    keys, equals, value = text.partition("=")
    delimiter = "::" if "::" in keys else "."  # the Collector takes either
    path = [key.strip() for key in keys.split(delimiter)]
    if not equals or not all(path):
        raise ValueError(f"--set {keys!r} is not key::path=value, such as connectors::agenttrace::settle=5s")
    try:
        tree: object = nested(yaml_text.parse(value))
    except ValueError as error:
        raise ValueError(f"--set {keys}: {error}") from None
    return _tree_of_path(path, tree)


def assignments(texts: list[str], problems: list[Problem]) -> Tree:
    """Every `--set`, merged in order."""
    merged: Tree = {}
    for text in texts:
        try:
            merged = merge(merged, assignment(text))
        except ValueError as error:
            problems.append(Problem((), str(error)))
    return merged
