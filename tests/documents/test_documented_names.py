"""docs/trace.md names exactly what is written: attributes of spans, of their events and links, span events, and end
reasons. What is written is read from semconv.py and from the spans of recordings.
"""

from __future__ import annotations

import re
from functools import cache

from receiver import semconv
from receiver.core.state.settings import BuilderSettings
from receiver.model import Span
from receiver.pipeline.offline import build
from tests.golden.rewrite import RECORDINGS, requests_of
from tests.support.core_runs import trees
from tests.support.factories import a_session, at, logs_request, relay_record
from tests.support.paths import DOCS

PAGE = (DOCS / "trace.md").read_text(encoding="utf-8")
CONTENT = frozenset({"prompts", "arguments", "results", "paths", "titles", "errors"})
ALL = BuilderSettings(live_markers=True, openinference=True, capture_content=CONTENT)
OWN = ("opencode.", "gen_ai.", "mcp.")  # the namespaces of which the page names nothing that is not written

NEVER_GIVEN = {"shutdown"}  # of semconv.END_REASONS: no session ends by it, it stays open in the store
NEVER_WRITTEN = {"session.forked"}  # of semconv.NOTES
FACTS = {"mcp.server"}  # values of `opencode.inferred`


@cache
def documented() -> set[str]:
    """Everything between backticks; `.completion` stands for `llm.token_count.completion`."""
    names = re.findall(r"`([^`\n]+)`", PAGE)
    return {f"llm.token_count{name}" if name.startswith(".") else name for name in names}


@cache
def recorded_spans() -> list[Span]:
    """The spans of all recordings with everything switched on, and of one of them in traces of five spans."""
    spans = [span for folder in RECORDINGS for span in build(requests_of(folder), ALL).spans]
    return spans + build(requests_of(RECORDINGS[0]), BuilderSettings(max_spans_per_trace=5)).spans


def constants() -> set[str]:
    """The names and fixed values in semconv.py."""
    held = {value for name, value in vars(semconv).items() if name.isupper() and isinstance(value, str)}
    return held - {semconv.SCOPE_NAME, semconv.SCHEMA_URL}


def event_attributes() -> set[str]:
    """The attributes of the recordings' span events."""
    return {name for span in recorded_spans() for event in span.events for name, _ in event.attributes}


def test_every_name_in_semconv_is_documented_letter_by_letter() -> None:
    assert {name for name in constants() if name not in documented() and "." in name} == set()


def test_every_attribute_of_a_recorded_span_is_documented() -> None:
    written = {name for span in recorded_spans() for name, _ in span.attributes}
    written |= {name for span in recorded_spans() for link in span.links for name, _ in link.attributes}
    assert len(written) > 60
    assert written - documented() == set()


def test_every_span_event_and_its_attributes_are_documented() -> None:
    events = {event.name for span in recorded_spans() for event in span.events}
    assert events | set(semconv.NOTES) - NEVER_WRITTEN == set(semconv.NOTES) - NEVER_WRITTEN
    assert set(semconv.NOTES) - documented() == NEVER_WRITTEN
    assert event_attributes() - documented() == set()


def test_every_documented_name_is_written() -> None:
    named = {name for name in documented() if name.startswith(OWN) and re.fullmatch(r"[a-z_.]+", name)}
    assert len(named) > 50
    assert named - constants() - set(semconv.NOTES) - event_attributes() == FACTS


def test_every_link_type_that_is_given_is_documented_and_every_documented_one_is_in_semconv() -> None:
    table = PAGE.partition("## Links")[2].partition("## ")[0]
    rows = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    assert rows == {value for name, value in vars(semconv).items() if name.startswith("LINK_") and name != "LINK_TYPE"}


def end_reasons(spans: list[Span]) -> set[str]:
    return {str(value) for span in spans for name, value in span.attributes if name == semconv.END_REASON}


def test_every_end_reason_that_is_given_is_documented_and_the_other_way_round() -> None:
    times = {"created": at(0) // 1_000_000, "archived": at(9) // 1_000_000}
    archived = relay_record("session.updated", 9, {"info": {"id": "ses_z", "time": times}}, session_id="ses_z")
    given = end_reasons(recorded_spans())
    given |= end_reasons(trees(a_session().created(0).call("bash", 1, 2).deleted(3)))
    given |= end_reasons(build([logs_request(archived)], BuilderSettings()).spans)
    sentence = re.search(r"`opencode\.end_reason` says which:(.*?)\n\n", PAGE, re.DOTALL)
    assert sentence is not None
    assert given == set(re.findall(r"`(\w+)`", sentence[1]))
    assert given == set(semconv.END_REASONS) - NEVER_GIVEN
