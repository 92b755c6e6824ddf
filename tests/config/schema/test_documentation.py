"""The page and the schema say what the models say."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from receiver.config import load, schema
from receiver.config.model.components import COMPONENTS
from receiver.config.model.section import Section, section_in
from receiver.config.model.service import Service
from receiver.config.schema.json_schema import text
from receiver.config.schema.reference import page, reference
from tests.support.paths import DOCS

PAGE = DOCS / "configuration.md"
ROOT = PAGE.parents[1]
SCHEMA = ROOT / "docs" / "configuration.schema.json"
ON_THE_PAGE = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
EXAMPLES = [*ON_THE_PAGE, (ROOT / "deploy" / "receiver.yaml").read_text(encoding="utf-8")]
KINDS = [Service, *(kind for known in COMPONENTS.values() for kind in known.values())]


def sections(kind: type[Section]) -> Iterator[type[Section]]:
    yield kind
    for field in kind.model_fields.values():
        inner = section_in(field.annotation)
        if inner is not None:
            yield from sections(inner)


def test_the_page_is_up_to_date() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text, "run: python -m receiver.config.schema.reference docs/configuration.md"


@pytest.mark.parametrize("example", ON_THE_PAGE)
def test_every_example_of_the_page_loads(example: str) -> None:
    assert load([("example", example)], [], {"HOME": "/h", "RECEIVER_TOKEN": "x"}).notices == ()


def test_a_page_without_a_place_for_the_reference_is_refused() -> None:
    with pytest.raises(ValueError, match="no place"):
        page("# nothing")


def test_every_block_and_every_key_is_described(subtests: pytest.Subtests) -> None:
    for section in {one for kind in KINDS for one in sections(kind)}:
        with subtests.test(section=section):
            assert section.__doc__
            for name, field in section.model_fields.items():
                assert field.description, name
                assert "|" not in field.description, name


def test_the_reference_holds_every_default_of_the_contract() -> None:
    lines = reference().splitlines()
    assert any(line.startswith("| `idle_timeout` | duration above 0 | `60s` |") for line in lines)
    assert any(
        line.startswith("| `capture_content` | list of `prompts`") and "| `[errors]` |" in line for line in lines
    )


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    if isinstance(node, list):
        for value in node:
            yield from references(value)


def test_the_schema_is_whole() -> None:
    whole = schema()
    json.dumps(whole)
    assert set(references(whole)) <= {f"#/$defs/{name}" for name in whole["$defs"]}
    assert set(whole["properties"]) == {"receivers", "connectors", "exporters", "extensions", "service"}
    assert any(key.startswith("^otlp(") for key in whole["properties"]["exporters"]["anyOf"][0]["patternProperties"])


def test_the_schemas_file_is_up_to_date() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == text(), "run: make docs"


def said_of(configuration: Any) -> list[str]:
    """What an editor would underline."""
    return [error.message for error in Draft202012Validator(schema()).iter_errors(configuration)]


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_editor_is_content_with_what_is_valid(example: str) -> None:
    Draft202012Validator.check_schema(schema())
    assert said_of(yaml.safe_load(example)) == []


@pytest.mark.parametrize(
    "wrong",
    [
        "exporter: {}",
        "receivers: {otpl: {}}",
        "receivers: {otlp: {protocols: {grpc: {endpont: 'localhost:1'}}}}",
        "connectors: {agenttrace: {trace_mode: turns}}",
        "service: {telemetry: {logs: {encoding: xml}}}",
    ],
)
def test_an_editor_underlines_what_is_wrong(wrong: str) -> None:
    assert said_of(yaml.safe_load(wrong))


def test_the_schema_writes_durations_as_a_file_does() -> None:
    idle = schema()["$defs"]["AgentTrace"]["properties"]["idle_timeout"]
    assert idle["default"] == "60s"
    assert any(form.get("type") == "string" for form in idle["anyOf"])


def test_no_form_of_a_value_hides_what_its_key_means() -> None:
    """yaml-language-server shows the description of the form that comes nearest to a value that fits none of them."""
    for block in schema()["$defs"].values():
        for key, value in block.get("properties", {}).items():
            assert value["description"], key
            assert not [form for form in value.get("anyOf", ()) if "description" in form], key
    assert "description" not in schema()["$defs"]["Reference"]
