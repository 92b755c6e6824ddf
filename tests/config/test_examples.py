"""What people write: taken or refused by the program and the schema alike, and printed so that it reads back."""

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
    """What an editor would say. Nothing at all is an empty file."""
    return [error.message for error in EDITOR.iter_errors(tree if tree is not None else {})]


def test_what_is_good_is_taken(read: Read, subtests: pytest.Subtests) -> None:
    for name in GOOD:
        with subtests.test(name=name):
            read(GOOD[name])


def test_an_editor_is_content_with_it(subtests: pytest.Subtests) -> None:
    for name in GOOD:
        with subtests.test(name=name):
            assert underlined(yaml_text.parse(GOOD[name])) == []


def test_what_is_printed_of_it_means_the_same_and_pleases_an_editor(read: Read, subtests: pytest.Subtests) -> None:
    for name in GOOD:
        with subtests.test(name=name):
            printed = effective(read(GOOD[name]))
            again = load([("again", printed)], [], {})
            assert effective(again) == printed
            assert underlined(yaml.safe_load(printed)) == []


def test_what_is_bad_is_refused_in_one_line(refused: Refused, subtests: pytest.Subtests) -> None:
    for name in BAD:
        with subtests.test(name=name):
            text, path, told = BAD[name]
            (line,) = [one for one in refused(text) if told in one]
            assert line.startswith((f"{path}: ", f"{path}::"))


def test_an_editor_underlines_what_it_can_see(subtests: pytest.Subtests) -> None:
    for name in BAD:
        with subtests.test(name=name):
            assert bool(underlined(yaml_text.parse(BAD[name][0]))) == (name in SEEN)
