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


def test_a_good_example_loads(read: Read, subtests: pytest.Subtests) -> None:
    for name in GOOD:
        with subtests.test(name=name):
            read(GOOD[name])


def test_the_json_schema_accepts_a_good_example(subtests: pytest.Subtests) -> None:
    for name in GOOD:
        with subtests.test(name=name):
            assert underlined(yaml_text.parse(GOOD[name])) == []


def test_a_printed_example_loads_to_the_same_and_fits_the_json_schema(read: Read, subtests: pytest.Subtests) -> None:
    for name in GOOD:
        with subtests.test(name=name):
            printed = effective(read(GOOD[name]))
            again = load([("again", printed)], [], {})
            assert effective(again) == printed
            assert underlined(yaml.safe_load(printed)) == []


def test_a_bad_example_is_refused_in_one_line(refused: Refused, subtests: pytest.Subtests) -> None:
    for name in BAD:
        with subtests.test(name=name):
            text, path, message = BAD[name]
            (line,) = [one for one in refused(text) if message in one]
            assert line.startswith((f"{path}: ", f"{path}::"))


def test_the_json_schema_rejects_the_bad_examples_that_it_can(subtests: pytest.Subtests) -> None:
    for name in BAD:
        with subtests.test(name=name):
            assert bool(underlined(yaml_text.parse(BAD[name][0]))) == (name in SEEN)
