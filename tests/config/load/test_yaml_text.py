"""YAML is read as the Collector reads it."""

from itertools import pairwise

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from receiver.config.load import yaml_text


def test_yaml_1_1_scalars_are_text(subtests: pytest.Subtests) -> None:
    for text in ["yes", "on", "NO", "1:30", "2024-01-01", "0123", "1e5", "1_000", ".5"]:
        with subtests.test(text=text):
            assert yaml_text.parse(text) == text


def test_yaml_1_2_scalars_have_their_types(subtests: pytest.Subtests) -> None:
    for text, value in [
        ("true", True),
        ("12", 12),
        ("-3", -3),
        ("1.25", 1.25),
        ("~", None),
        ("", None),
        ("null", None),
    ]:
        with subtests.test(text=text, value=value):
            assert yaml_text.parse(text) == value


def test_keys_are_text() -> None:
    assert yaml_text.parse("1: a\ntrue: b") == {"1": "a", "true": "b"}


def test_anchors_and_merge_keys_work() -> None:
    assert yaml_text.parse("a: &x {b: 1}\nc: {<<: *x, d: 2}") == {"a": {"b": 1}, "c": {"b": 1, "d": 2}}


def test_invalid_yaml_is_refused_in_one_line_with_its_position(subtests: pytest.Subtests) -> None:
    for text, message in [
        ("a: [1", "line 1, column 6"),
        ("a: 1\nb: 2\na: 3", "line 3, column 1: the key 'a' is given twice"),
        ("a: !!python/object:os.system x", "line 1"),
        ("a: \x00", "not YAML"),
        ("? [a]\n: b", "line 1"),
        ("a: 1\n---\nb: 2", "line 2, column 1: a second document begins"),
        ("a:\n\tb: 1", "line 2, column 1: a tab; indent with spaces"),
        ("a: !!binary aGk=", "line 1, column 4: could not determine a constructor for the tag"),
        ("a: !!set {x, y}", "line 1"),
        ("a: !!timestamp 2020-01-01", "line 1"),
        ("a: &a [*a]", "line 1, column 4: an alias that contains itself"),
        ("a: &a {b: {c: *a}}", "an alias that contains itself"),
        ("a: " + "9" * 5000, "not YAML: Exceeds the limit"),
        ("a: " + "{a: " * 200 + "1" + "}" * 200, "nested deeper than 100 levels"),
        ("a" * (1 << 20) + "a", "longer than 1048576 characters"),
    ]:
        with subtests.test(text=text, message=message):
            with pytest.raises(ValueError, match=r"line|not YAML|longer") as error:
                yaml_text.parse(text)
            assert message in str(error.value)
            assert "\n" not in str(error.value)


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(ValueError, match="not YAML"):
        yaml_text.parse("[" * 20_000)


def test_aliases_of_aliases_are_refused_before_they_are_expanded() -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for below, name in pairwise("abcdefghijk"):
        lines.append(f"{name}: &{name} [{', '.join(['*' + below] * 9)}]")
    with pytest.raises(ValueError, match="more than 100000 values, aliases included"):
        yaml_text.parse("\n".join(lines))


def test_tags_of_plain_types_are_accepted() -> None:
    assert yaml_text.parse("a: !!str 5\nb: !!int '7'\nc: !!map {d: !!seq [1]}") == {"a": "5", "b": 7, "c": {"d": [1]}}


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"])))
def test_dumped_text_is_parsed_back_as_text(text: str) -> None:
    assert yaml_text.parse(yaml.safe_dump([text], allow_unicode=True)) == [text]
