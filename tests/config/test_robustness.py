"""Any file loads, or raises ConfigError with a line for each problem."""

from contextlib import suppress

import yaml
from hypothesis import given
from hypothesis import strategies as st

from receiver.config import Settings, effective, load
from receiver.config.model.components import COMPONENTS
from receiver.config.model.section import Section, section_in
from receiver.config.model.service import Service
from receiver.errors import ConfigError

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 70_000),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        ["", "5s", "0", "b:4317", "http://b", "localhost:4317", "otlp", "debug", "${env:SET}", "${env:NO}"]
    ),
    st.text(max_size=4),
)
ANYTHING = st.one_of(SCALARS, st.lists(SCALARS, max_size=2), st.dictionaries(st.text(max_size=3), SCALARS, max_size=2))


def keys(kind: type[Section]) -> set[str]:
    found = set(kind.model_fields)
    for field in kind.model_fields.values():
        inner = section_in(field.annotation)
        if inner is not None:
            found |= keys(inner)
    return found


WORDS = sorted(
    {"otlp", "otlp/2", "service", "logs", "traces", "traces/in", "nonsense", *COMPONENTS}
    | {name for known in COMPONENTS.values() for name in known}
    | keys(Service).union(*(keys(kind) for known in COMPONENTS.values() for kind in known.values()))
)
TREES = st.recursive(ANYTHING, lambda inner: st.dictionaries(st.sampled_from(WORDS), inner, max_size=4), max_leaves=12)
FILES = st.dictionaries(
    st.sampled_from(["service", *COMPONENTS]),
    st.one_of(
        ANYTHING,
        st.dictionaries(st.sampled_from([name for known in COMPONENTS.values() for name in known]), TREES, max_size=3),
        st.dictionaries(st.sampled_from(sorted(Service.model_fields)), TREES, max_size=3),
    ),
)


@given(FILES)
def test_any_tree_loads_or_raises_config_error(tree: object) -> None:
    try:
        settings = load([("a", yaml.safe_dump(tree, allow_unicode=True))], [], {"HOME": "/h", "SET": "{a: 1}"})
    except ConfigError:
        return
    assert isinstance(load([("again", effective(settings))], [], {}), Settings)


@given(st.text(st.characters(codec="utf-8"), max_size=40), st.lists(st.text(st.characters(codec="utf-8"), max_size=30)))
def test_any_text_loads_or_raises_config_error(text: str, sets: list[str]) -> None:
    with suppress(ConfigError):
        assert isinstance(load([("a", text)], sets, {"HOME": "/h"}), Settings)
