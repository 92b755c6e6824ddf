"""From a merged tree to Settings: every component against its model, every reference against what is defined.

Also the one place where pydantic's findings become our lines. They repeat a value only where it cannot be a secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, cast

from pydantic import ValidationError

from receiver.config.load.merging import Tree, mapping
from receiver.config.model.components import COMPONENTS, SECTIONS, kind_of, type_of
from receiver.config.model.graph import Ids, resolve
from receiver.config.model.problem import Path, Problem, suggestion
from receiver.config.model.section import Section, section_in
from receiver.config.model.service import Service
from receiver.config.model.settings import Settings
from receiver.config.schema.unsupported_keys import instead, processor, reason

_S = TypeVar("_S", bound=Section)

_BEYOND = {
    "receivers": "a Collector in front takes the others, and sends OTLP here",
    "exporters": "a Collector behind sends to the others",
    "connectors": "a Collector in front or behind has the others",
    "extensions": "take it out",
}
_KINDS = {
    "string_type": "must be text; quote it",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "tuple_type": "must be a list, such as [a, b]",
    "dict_type": "must be a map of keys and values",
    "mapping_type": "must be a map of keys and values",
    "model_type": "must be a block of keys and values",
    "missing": "is required; set it",
    "string_too_short": "is empty; set it, or leave the key out",
    "too_short": "is empty; name at least one",
    "invalid_key": "is not a text key; quote it",
}


def settings(tree: Tree, problems: list[Problem]) -> Settings | None:
    """The tree's settings; None where something is wrong, all of which is in `problems`."""
    before = len(problems)
    for key in tree:
        if key not in SECTIONS:
            problems.extend(_unknown_section(str(key), tree[key]))
    found = {section: dict(_components(section, tree.get(section), problems)) for section in COMPONENTS}
    service = _validated(Service, tree.get("service"), ("service",), problems)
    if service is None:
        return None
    # Against what is named, not what is valid, so that one mistake is not told twice.
    named = {section: tuple(str(key) for key in mapping(tree.get(section)) or {}) for section in COMPONENTS}
    if any(mapping(tree.get(section)) is None for section in COMPONENTS):
        return None
    ids = Ids(named["receivers"], named["connectors"], named["exporters"])
    graph = resolve(ids, service.pipelines, problems)
    _check_extensions(named["extensions"], service, problems)
    if len(problems) > before:
        return None
    return Settings(
        receivers=cast(Any, found["receivers"]),
        connectors=cast(Any, found["connectors"]),
        exporters=cast(Any, found["exporters"]),
        extensions=cast(Any, found["extensions"]),
        service=service,
        graph=graph,
    )


def _components(section: str, value: object, problems: list[Problem]) -> Iterator[tuple[str, Section]]:
    bodies = mapping(value)
    if bodies is None:
        problems.append(Problem((section,), "must be a map of components, such as `otlp: {…}`"))
        return
    for key, body in bodies.items():
        path = (section, str(key))
        try:
            kind = kind_of(section, str(key))
        except ValueError as error:
            problems.append(Problem(path, str(error)))
            continue
        if kind is None:
            problems.append(Problem(path, _unknown_type(section, type_of(str(key)))))
            continue
        component = _validated(kind, body, path, problems)
        if component is not None:
            yield str(key), component


def _validated(kind: type[_S], body: object, path: Path, problems: list[Problem]) -> _S | None:
    given = mapping(body)
    if given is None:
        problems.append(Problem(path, _KINDS["model_type"]))
        return None
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        # include_input stays off: an input may be a secret.
        for found in error.errors(include_url=False):
            at = tuple(str(part) for part in found["loc"] if part != "[key]")
            problems.append(Problem((*path, *at), _text(kind, cast(Mapping[str, Any], found))))
        return None


def _text(kind: type[Section], found: Mapping[str, Any]) -> str:
    """What a finding of pydantic's means, and what to do."""
    name, context, value = found["type"], found.get("ctx", {}), found["input"]
    if name == "extra_forbidden":
        key = str(found["loc"][-1])
        block = _block(kind, found["loc"][:-1])
        return _absent(reason(block, key)) or f"unknown key; {suggestion(key, block.model_fields if block else ())}"
    if name == "value_error":
        return str(context["error"])
    if name == "missing" and found["loc"] == ("directory",):
        return "where the store lies is not known, since HOME is not set; set this key"
    if name == "literal_error":
        return f"{_shown(value)} {_choices(context['expected'])}"
    if name in ("greater_than", "greater_than_equal", "less_than_equal"):
        bound = {"greater_than": ("gt", "above"), "greater_than_equal": ("ge", "at least")}.get(name, ("le", "at most"))
        return f"{value} is out of range; must be {bound[1]} {context[bound[0]]:g}"
    told = _KINDS.get(name, found["msg"])
    return f"{told}, not {_shown(value)}" if name in ("bool_type", "int_type", "float_type") else told


def _block(kind: type[Section], at: tuple[Any, ...]) -> type[Section] | None:
    """The block at a place within a component."""
    here: type[Section] | None = kind
    for part in at:
        field = here.model_fields.get(str(part)) if here is not None else None
        here = section_in(field.annotation) if field is not None else here  # a map's key leads to its values
    return here


def _unknown_type(section: str, name: str) -> str:
    hint = instead(section, name) or suggestion(name, COMPONENTS[section])
    beyond = f"; {_BEYOND[section]}" if hint.startswith("known here") else ""
    return f"unknown type {name!r} in {section}; {hint}{beyond}"


def _absent(why: str) -> str:
    return f"is not taken here: {why}" if why else ""


def _unknown_section(section: str, body: object) -> Iterator[Problem]:
    if section != "processors":
        yield Problem((section,), f"unknown section; {suggestion(section, SECTIONS)}")
        return
    for name in mapping(body) or ():
        yield Problem((section, str(name)), f"there are no processors here: {processor(type_of(str(name)))}")
    if not mapping(body):
        yield Problem((section,), "there are no processors here; take the key out")


def _choices(expected: str) -> str:
    choices = expected.replace("'", "")
    return f"is not one of {choices}" if " or " in choices else f"is not taken here; only {choices} is"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, str | int | float) else "what is there"


def _check_extensions(defined: tuple[str, ...], service: Service, problems: list[Problem]) -> None:
    for name in service.extensions:
        if name not in defined:
            text = f'references extension "{name}" which is not configured; {suggestion(name, defined)}'
            problems.append(Problem(("service", "extensions"), text))
    seen: dict[str, str] = {}
    for name in defined:
        first = seen.setdefault(type_of(name), name)
        if first != name:
            problems.append(Problem(("extensions", name), f"there is one of this type already, {first}; keep one"))
