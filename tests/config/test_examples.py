"""Program and JSON schema accept and refuse the same examples, and a printed example loads again."""

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from receiver.config import Settings, effective, load, schema
from receiver.config.load import yaml_text
from tests.config.examples import BAD, GOOD, SEEN

Read = Callable[..., Settings]
Refused = Callable[..., list[str]]

EDITOR = Draft202012Validator(schema())


def underlined(tree: Any) -> list[str]:
    """The errors that an editor would show. None is an empty file."""
    return [error.message for error in EDITOR.iter_errors(tree if tree is not None else {})]


@pytest.mark.parametrize("name", GOOD)
def test_a_good_example_loads(read: Read, name: str) -> None:
    read(GOOD[name])


@pytest.mark.parametrize("name", GOOD)
def test_the_json_schema_accepts_a_good_example(name: str) -> None:
    assert underlined(yaml_text.parse(GOOD[name])) == []


@pytest.mark.parametrize("name", GOOD)
def test_a_printed_example_loads_to_the_same_and_fits_the_json_schema(read: Read, name: str) -> None:
    printed = effective(read(GOOD[name]))
    again = load([("again", printed)], [], {})
    assert effective(again) == printed
    assert underlined(yaml.safe_load(printed)) == []


@pytest.mark.parametrize("name", BAD)
def test_a_bad_example_is_refused_in_one_line(refused: Refused, name: str) -> None:
    text, path, message = BAD[name]
    (line,) = [one for one in refused(text) if message in one]
    assert line.startswith((f"{path}: ", f"{path}::"))


@pytest.mark.parametrize("name", BAD)
def test_the_json_schema_rejects_the_bad_examples_that_it_can(name: str) -> None:
    assert bool(underlined(yaml_text.parse(BAD[name][0]))) == (name in SEEN)
