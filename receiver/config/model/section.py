"""The frozen base class of every block of settings, and the types of their values."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    Strict,
    WithJsonSchema,
    model_validator,
)

from receiver.config.model import duration
from receiver.net.address import split_host_port


@dataclass(frozen=True, slots=True)
class TypeName:
    """The name of a type in the documentation."""

    name: str


@dataclass(frozen=True, slots=True)
class Expanded:
    """The value of a whole reference such as `${env:NAME}`: as YAML reads it, and as text for text settings."""

    value: object
    text: str

    def __repr__(self) -> str:
        return "Expanded(…)"  # it may be a secret


class Section(BaseModel):
    """A block of settings: frozen; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _with_yaml_defaults(cls, data: object) -> object:
        """A key without a value has its default; a block without a value exists with its defaults. Types references."""
        if not isinstance(data, Mapping):
            return data
        given = {key: _typed(cls, key, value) for key, value in data.items()}
        return {key: value for key, value in given.items() if value is not None}


def _typed(section: type[Section], key: object, value: object) -> object:
    field = section.model_fields.get(str(key))
    if field is None:
        return value if value is not None else ""  # not None, so that pydantic still sees the unknown key
    if section_in(field.annotation) is not None:
        plain = value.value if isinstance(value, Expanded) else value
        return {} if plain is None and get_origin(field.annotation) is not tuple else plain
    return _unwrap(value, field.annotation)


def _unwrap(value: object, annotation: Any) -> object:
    """The value of a reference; its text if the setting is text, since a password may look like a number or a map."""
    annotation = _bare(annotation)
    if _is_text(annotation):
        return value.text if isinstance(value, Expanded) else value
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(value, Expanded):
        value = value.value
    if isinstance(value, dict) and origin is Mapping:
        return {key: _unwrap(item, arguments[1]) for key, item in value.items()}
    if isinstance(value, list) and origin is tuple:
        return [_unwrap(item, arguments[0]) for item in value]
    return value


def _bare(annotation: Any) -> Any:
    """The type without its metadata and without its `| None`."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return _bare(next(one for one in get_args(annotation) if one is not type(None)))
    return annotation


def _is_text(annotation: Any) -> bool:
    if get_origin(annotation) is Literal:
        return isinstance(get_args(annotation)[0], str)
    return annotation in (str, SecretStr)


def section_in(annotation: Any) -> type[Section] | None:
    """The block class of a field's type: the type itself, an optional one, or the values of a map."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    found = (section_in(argument) for argument in get_args(annotation))
    return next((section for section in found if section is not None), None)


def _positive(value: int) -> int:
    if value == 0:
        raise ValueError("must be longer than 0")
    return value


_CENTURY = 100 * 365 * 24 * 3600 * 10**9


def _within_a_century(value: int) -> int:
    """A time plus several durations must fit into 64 bits of nanoseconds."""
    if value > _CENTURY:
        raise ValueError("is longer than 100 years; write 876000h for practically never")
    return value


def _filled(value: SecretStr) -> SecretStr:
    if not value.get_secret_value():
        raise ValueError("is empty; set it, or leave the key out")
    return value


def _listening(value: str) -> str:
    split_host_port(value)
    return value


_DURATION_SCHEMA = WithJsonSchema(
    {"anyOf": [{"type": "string", "pattern": r"^\s*[-+]?(0|([0-9.]+(ns|us|µs|μs|ms|s|m|h))+)\s*$"}, {"const": 0}]}
)
_LISTEN_SCHEMA = WithJsonSchema({"type": "string", "pattern": r"^[^/]*:[0-9]+$"})
ALWAYS = WithJsonSchema({"const": True})

Flag: TypeAlias = Annotated[bool, Strict(), TypeName("boolean")]
Number: TypeAlias = Annotated[float, Strict(), Ge(0), TypeName("number")]
Size: TypeAlias = Annotated[int, Strict(), Ge(0), TypeName("integer, 0 or more")]
Count: TypeAlias = Annotated[int, Strict(), Gt(0), TypeName("integer, 1 or more")]
Share: TypeAlias = Annotated[float, Strict(), Ge(0), Le(1), TypeName("number from 0 to 1")]
Factor: TypeAlias = Annotated[float, Strict(), Ge(1), TypeName("number, 1 or more")]
Text: TypeAlias = Annotated[str, Field(min_length=1), TypeName("text")]
Secret: TypeAlias = Annotated[SecretStr, AfterValidator(_filled), TypeName("secret text")]
Listen: TypeAlias = Annotated[str, AfterValidator(_listening), _LISTEN_SCHEMA, TypeName("host:port")]
Duration: TypeAlias = Annotated[
    int,
    BeforeValidator(duration.parse),
    AfterValidator(_within_a_century),
    PlainSerializer(duration.render, return_type=str),
    _DURATION_SCHEMA,
    TypeName("duration"),
]
PositiveDuration: TypeAlias = Annotated[
    int,
    BeforeValidator(duration.parse),
    AfterValidator(_positive),
    AfterValidator(_within_a_century),
    PlainSerializer(duration.render, return_type=str),
    _DURATION_SCHEMA,
    TypeName("duration above 0"),
]


def in_any_case(*words: str) -> tuple[BeforeValidator, WithJsonSchema]:
    """Annotations for a choice of words that the Collector accepts in upper case too, and prints capitalized."""
    return (
        BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value),
        WithJsonSchema({"enum": [form(word) for word in words for form in (str, str.upper, str.capitalize)]}),
    )


def duration_field(default: str, description: str) -> Any:
    """A field of type Duration or PositiveDuration, with its default in Go's syntax."""
    return Field(default=duration.parse(default), description=description, json_schema_extra={"default": default})
