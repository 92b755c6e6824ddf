"""The configuration page and the JSON schema match the models."""

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


def test_the_reference_in_the_page_is_up_to_date() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text, "run: python -m receiver.config.schema.reference docs/configuration.md"


def test_every_example_of_the_page_loads(subtests: pytest.Subtests) -> None:
    for example in ON_THE_PAGE:
        with subtests.test(example=example):
            assert load([("example", example)], [], {"HOME": "/h", "RECEIVER_TOKEN": "x"}).notices == ()


def test_a_page_without_the_reference_markers_is_an_error() -> None:
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


def test_the_json_schema_is_valid_and_complete() -> None:
    whole = schema()
    json.dumps(whole)
    assert set(references(whole)) <= {f"#/$defs/{name}" for name in whole["$defs"]}
    assert set(whole["properties"]) == {"receivers", "connectors", "exporters", "extensions", "service"}
    assert any(key.startswith("^otlp(") for key in whole["properties"]["exporters"]["anyOf"][0]["patternProperties"])


def test_the_json_schema_file_is_up_to_date() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == text(), "run: make docs"


def said_of(configuration: Any) -> list[str]:
    """The errors that an editor would show."""
    return [error.message for error in Draft202012Validator(schema()).iter_errors(configuration)]


def test_the_json_schema_accepts_valid_configurations(subtests: pytest.Subtests) -> None:
    for example in EXAMPLES:
        with subtests.test(example=example):
            Draft202012Validator.check_schema(schema())
            assert said_of(yaml.safe_load(example)) == []


def test_the_json_schema_rejects_wrong_values(subtests: pytest.Subtests) -> None:
    for wrong in [
        "exporter: {}",
        "receivers: {otpl: {}}",
        "receivers: {otlp: {protocols: {grpc: {endpont: 'localhost:1'}}}}",
        "connectors: {agenttrace: {trace_mode: turns}}",
        "service: {telemetry: {logs: {encoding: xml}}}",
    ]:
        with subtests.test(wrong=wrong):
            assert said_of(yaml.safe_load(wrong))


def test_durations_in_the_json_schema_are_in_go_syntax() -> None:
    idle = schema()["$defs"]["AgentTrace"]["properties"]["idle_timeout"]
    assert idle["default"] == "60s"
    assert any(form.get("type") == "string" for form in idle["anyOf"])


def test_no_form_in_the_json_schema_has_a_description_of_its_own() -> None:
    """yaml-language-server shows the description of the form that comes nearest to a value that fits none of them."""
    for block in schema()["$defs"].values():
        for key, value in block.get("properties", {}).items():
            assert value["description"], key
            assert not [form for form in value.get("anyOf", ()) if "description" in form], key
    assert "description" not in schema()["$defs"]["Reference"]
