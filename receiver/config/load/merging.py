"""Trees laid over one another as the Collector does: maps merge deeply, all else is replaced. Also `--set`, and keys
such as `a::b` that stand for a map in a map. Pure.
"""

from __future__ import annotations

from typing import TypeAlias

from receiver.config.load import yaml_text
from receiver.config.model.problem import Path, Problem
from receiver.config.model.section import Expanded

Tree: TypeAlias = dict[str, object]


def mapping(value: object) -> Tree | None:
    """The value as a map, out of a variable too; null is the empty map; None for anything else."""
    if isinstance(value, Expanded):
        value = value.value
    if value is None:
        return {}
    return value if isinstance(value, dict) else None


def merge(*trees: Tree) -> Tree:
    """Later trees over earlier ones. A later null replaces, as in the Collector: it brings the defaults back."""
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
    """Whether what a path leads to is lost when this tree is laid over it."""
    at: object = above
    for key in path:
        held = mapping(at)
        if at is None or held is None:
            return True
        if key not in held:
            return False
        at = held[key]
    return True


def unfolded(value: object) -> object:
    """The value with a map in a map wherever a key is a path, such as `exporters::debug::verbosity`."""
    if isinstance(value, list):
        return [unfolded(one) for one in value]
    if not isinstance(value, dict):
        return value
    merged: Tree = {}
    for key, inner in value.items():
        merged = merge(merged, _at(str(key).split("::"), unfolded(inner)))
    return merged


def _at(path: list[str], value: object) -> Tree:
    if not all(path):
        return {"::".join(path): value}  # which is no key that anybody knows
    for key in reversed(path[1:]):
        value = {key: value}
    return {path[0]: value}


def assignment(text: str) -> Tree:
    """The tree of one `key::path=value`; the value is YAML. Raises ValueError that says how to write it."""
    keys, equals, value = text.partition("=")
    delimiter = "::" if "::" in keys else "."  # the Collector takes either
    path = [key.strip() for key in keys.split(delimiter)]
    if not equals or not all(path):
        raise ValueError(f"--set {keys!r} is not key::path=value, such as connectors::agenttrace::settle=5s")
    try:
        tree: object = unfolded(yaml_text.parse(value))
    except ValueError as error:
        raise ValueError(f"--set {keys}: {error}") from None
    return _at(path, tree)


def assignments(texts: list[str], problems: list[Problem]) -> Tree:
    """Every `--set`, merged in order."""
    merged: Tree = {}
    for text in texts:
        try:
            merged = merge(merged, assignment(text))
        except ValueError as error:
            problems.append(Problem((), str(error)))
    return merged
