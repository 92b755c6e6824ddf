"""Turns a merged tree into Settings: validates each component by its model, and each reference by the definitions.

Turns pydantic's errors into lines for people. A line repeats a value only where it cannot be a secret.
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
from receiver.config.schema.unsupported_keys import component_remedy, processor_remedy, unsupported_key

_S = TypeVar("_S", bound=Section)

_REMEDIES = {
    "receivers": "put a Collector in front for the others, which sends OTLP here",
    "exporters": "put a Collector behind for the others",
    "connectors": "put a Collector in front or behind for the others",
    "extensions": "take it out",
}
_MESSAGES = {
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
    """The tree's settings; None if anything is wrong. All errors go to `problems`."""
    before = len(problems)
    for key in tree:
        if key not in SECTIONS:
            problems.extend(_unknown_section(str(key), tree[key]))
    found = {section: dict(_components(section, tree.get(section), problems)) for section in COMPONENTS}
    service = _validated(Service, tree.get("service"), ("service",), problems)
    if service is None:
        return None
    # References are checked against the defined names, valid or not, so that a mistake is reported once.
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
        problems.append(Problem(path, _MESSAGES["model_type"]))
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
    """The message and remedy for one of pydantic's errors."""
    name, context, value = found["type"], found.get("ctx", {}), found["input"]
    if name == "extra_forbidden":
        key = str(found["loc"][-1])
        block = _block(kind, found["loc"][:-1])
        return (
            _unsupported(unsupported_key(block, key))
            or f"unknown key; {suggestion(key, block.model_fields if block else ())}"
        )
    if name == "value_error":
        return str(context["error"])
    if name == "missing" and found["loc"] == ("directory",):
        return "the store has no directory, since HOME is not set; set this key"
    if name == "literal_error":
        return f"{_shown(value)} {_choices(context['expected'])}"
    if name in ("greater_than", "greater_than_equal", "less_than_equal"):
        bound = {"greater_than": ("gt", "above"), "greater_than_equal": ("ge", "at least")}.get(name, ("le", "at most"))
        return f"{value} is out of range; must be {bound[1]} {context[bound[0]]:g}"
    text = _MESSAGES.get(name, found["msg"])
    return f"{text}, not {_shown(value)}" if name in ("bool_type", "int_type", "float_type") else text


def _block(kind: type[Section], at: tuple[Any, ...]) -> type[Section] | None:
    """The class of the block at a path in a component."""
    here: type[Section] | None = kind
    for part in at:
        field = here.model_fields.get(str(part)) if here is not None else None
        here = section_in(field.annotation) if field is not None else here  # a map's key leads to its values
    return here


def _unknown_type(section: str, name: str) -> str:
    hint = component_remedy(section, name) or suggestion(name, COMPONENTS[section])
    remedy = f"; {_REMEDIES[section]}" if hint.startswith("known here") else ""
    return f"unknown type {name!r} in {section}; {hint}{remedy}"


def _unsupported(why: str) -> str:
    return f"is not supported here: {why}" if why else ""


def _unknown_section(section: str, body: object) -> Iterator[Problem]:
    if section != "processors":
        yield Problem((section,), f"unknown section; {suggestion(section, SECTIONS)}")
        return
    for name in mapping(body) or ():
        yield Problem((section, str(name)), f"there are no processors here: {processor_remedy(type_of(str(name)))}")
    if not mapping(body):
        yield Problem((section,), "there are no processors here; take the key out")


def _choices(expected: str) -> str:
    choices = expected.replace("'", "")
    return f"is not one of {choices}" if " or " in choices else f"is not supported here; only {choices} is"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, str | int | float) else "this value"


def _check_extensions(defined: tuple[str, ...], service: Service, problems: list[Problem]) -> None:
    for name in service.extensions:
        if name not in defined:
            text = f'references extension "{name}" which is not configured; {suggestion(name, defined)}'
            problems.append(Problem(("service", "extensions"), text))
    seen: dict[str, str] = {}
    for name in defined:
        first = seen.setdefault(type_of(name), name)
        if first != name:
            problems.append(Problem(("extensions", name), f"there is another one of this type, {first}; keep one"))
