"""Trees as shown in a terminal of 80 columns without colour."""

import io

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from rich.console import Console

from receiver.terminal.label import duration
from receiver.terminal.tree import by_trace, trace_tree, trace_trees

MS = 1_000_000
SECOND = 1000 * MS


def span(number, parent, name, start=0, took=0, *, error=None, links=(), trace=1, **attributes):
    """A span; `__` in an attribute's name becomes a dot."""
    made = Span(
        trace_id=trace.to_bytes(16, "big"),
        span_id=number.to_bytes(8, "big"),
        parent_span_id=parent.to_bytes(8, "big") if parent else b"",
        name=name,
        start_time_unix_nano=SECOND + start,
        end_time_unix_nano=SECOND + start + took,
    )
    if error is not None:
        made.status.CopyFrom(Status(code=Status.STATUS_CODE_ERROR, message=error))
    fill(made.attributes, {key.replace("__", "."): value for key, value in attributes.items()})
    for kind, session in links:
        link = made.links.add(trace_id=bytes(16), span_id=b"\x0a" * 8)
        fill(link.attributes, {"opencode.link.type": kind, "opencode.link.session.id": session})
    return made


def fill(attributes, values):
    for key, value in values.items():
        into = attributes.add(key=key).value
        if isinstance(value, str):
            into.string_value = value
        elif isinstance(value, bool):
            into.bool_value = value
        elif isinstance(value, int):
            into.int_value = value
        elif isinstance(value, float):
            into.double_value = value
        elif isinstance(value, list):
            for item in value:
                into.array_value.values.add().string_value = item


def shown(tree, width=80, **settings):
    """The lines of a tree on a terminal without colour."""
    out = io.StringIO()
    Console(file=out, width=width, **settings).print(tree, highlight=False)
    return [line.rstrip() for line in out.getvalue().splitlines()]


AGENT = {"gen_ai__operation__name": "invoke_agent"}


def test_a_whole_session_as_a_tree():
    spans = [
        span(6, 5, "execute_tool grep", 1300 * MS, 83 * MS, session__id="ses_B"),
        span(5, 4, "invoke_agent explore", 1200 * MS, 2500 * MS, **AGENT, opencode__root_session__id="ses_A"),
        span(4, 1, "execute_tool task explore", 1100 * MS, 2700 * MS, links=[("child_session", "ses_B")]),
        span(3, 1, "tools/call run_query", 900 * MS, 94 * MS, error="no such table", mcp__server__name="my_db"),
        span(2, 1, "chat claude-sonnet-4", 100 * MS, 700 * MS, opencode__inferred=["parent", "start"]),
        span(
            1,
            0,
            "invoke_agent build",
            0,
            125 * SECOND,
            **AGENT,
            session__id="ses_A",
            gen_ai__usage__input_tokens=12034,
            gen_ai__usage__output_tokens=1203,
            opencode__cost__usd=0.0421,
            opencode__end_reason="idle",
        ),
    ]

    assert shown(trace_tree(spans)) == [
        "invoke_agent build  2m 05s  tokens 12,034 in · 1,203 out  $0.0421  ended: idle",
        "  session ses_A  trace 00000000000000000000000000000001",
        "├── chat claude-sonnet-4  700ms  ~parent  ~start",
        "├── tools/call run_query  94ms  @my_db",
        "│     ✗ no such table",
        "└── execute_tool task explore  2.70s  → session ses_B",
        "    └── invoke_agent explore  2.50s",
        "        └── execute_tool grep  83ms",
    ]


def test_links_are_shown_with_their_kind(subtests):
    for kind, mark in [
        ("continued_from", "⤷ continued from ses_X"),
        ("forked_from", "⤷ forked from ses_X"),
        ("task_call", "⤷ task call ses_X"),
        ("candidate", "⤷ candidate ses_X"),
        ("follows", "⤷ link to ses_X"),
    ]:
        with subtests.test(kind=kind, mark=mark):
            (line,) = shown(trace_tree([span(1, 0, "a", links=[(kind, "ses_X")])]), width=200)

            assert mark in line


def test_a_link_without_a_session_shows_its_span():
    assert "→ session 0a0a0a0a0a0a0a0a" in shown(trace_tree([span(1, 0, "a", links=[("child_session", "")])]))[0]


def test_children_are_ordered_by_start():
    spans = [span(1, 0, "root"), span(2, 1, "second", 2), span(3, 1, "first", 1), span(4, 1, "third", 3)]

    assert [line.split()[1] for line in shown(trace_tree(spans))[1:]] == ["first", "second", "third"]


def test_there_is_one_tree_for_each_trace_ordered_by_start():
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    spans.extend([span(1, 0, "later", 5, trace=1), span(1, 0, "earlier", 1, trace=2)])

    assert [shown(tree)[0].split()[0] for tree in trace_trees([request])] == ["earlier", "later"]


def test_a_second_copy_of_a_span_is_not_shown():
    copies = by_trace([span(1, 0, "first copy"), span(1, 0, "second copy")])

    assert [spans.name for spans in copies[(1).to_bytes(16, "big")]] == ["first copy"]


def test_orphans_are_shown_after_the_root_with_their_parents_id():
    lines = shown(trace_tree([span(3, 9, "orphan", 1), span(4, 3, "its child", 2), span(1, 0, "root", 5)]))

    assert lines == [
        "trace  00000000000000000000000000000001",
        "├── root  0ms",
        "└── orphan  0ms  ⤴ parent 0000000000000009 not here",
        "    └── its child  0ms",
    ]


def test_spans_in_a_cycle_are_shown_once():
    lines = shown(trace_tree([span(1, 2, "hen", 1), span(2, 1, "egg", 2)]))

    assert [line.split()[0] for line in lines] == ["hen", "└──"]


def test_a_span_that_is_its_own_parent_is_shown_once():
    assert len(shown(trace_tree([span(1, 1, "self")]))) == 1


def test_a_trace_may_be_deeper_than_pythons_stack():
    spans = [span(number, number - 1, f"n{number}") for number in range(1, 1500)]

    tree = trace_tree(spans)

    depth = 0
    while tree.children:
        tree, depth = tree.children[0], depth + 1
    assert depth == 1498


def test_labels_are_wrapped_at_the_width_without_losing_text(subtests):
    for width in [40, 60, 80]:
        with subtests.test(width=width):
            message = "the server sent something long " * 5
            lines = shown(trace_tree([span(1, 0, "root"), span(2, 1, "word " * 30, error=message)]), width=width)

            assert max(map(len, lines)) <= width
            text = " ".join(" ".join(line.strip("│├└─ ").split()) for line in lines)
            assert message.strip() in text
            assert ("word " * 30).strip() in text


def test_control_characters_are_replaced():
    evil = span(1, 0, "a\x1b[2Jb\nc", error="\x1b]0;title\x07x\u202ey", mcp__server__name="\x9b31m")

    text = "\n".join(shown(trace_tree([evil])))

    assert not set(text) & set("\x1b\x07\x9b\u202e")
    assert "a [2Jb c" in text


def test_rich_markup_in_names_is_shown_as_text():
    assert "[red]x[/red]" in shown(trace_tree([span(1, 0, "[red]x[/red]")]))[0]


def test_a_failure_without_a_message_shows_its_error_type():
    lines = shown(trace_tree([span(1, 0, "a", error="", error__type="timeout"), span(2, 1, "b", error="")]))

    assert lines[1].strip() == "✗ timeout" or lines[1].endswith("✗ timeout")
    assert lines[-1].strip("│ ") == "✗ failed"


def test_a_permissions_reply_is_shown():
    waited = span(1, 0, "permission bash", 0, 904 * MS, opencode__permission__reply="once")

    assert shown(trace_tree([waited]))[0].startswith("permission bash  904ms  replied once")


def test_late_spans_are_marked():
    assert "late" in shown(trace_tree([span(1, 0, "a", opencode__late=True)]))[0]


def test_an_ascii_terminal_gets_ascii():
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    spans = [span(1, 0, "root é"), span(2, 1, "task", links=[("child_session", "ses_B")], error="no")]

    Console(file=out, width=80).print(trace_tree(spans))

    out.flush()
    lines = out.buffer.getvalue().decode("ascii").splitlines()
    assert lines[0].startswith("root ?")
    assert lines[1].startswith("`-- task  0ms  -> session ses_B")
    assert lines[2].strip() == "x no"


def test_details_show_every_attribute_and_event():
    detailed = span(1, 0, "a", session__id="ses_A")
    event = detailed.events.add(name="user_prompt", time_unix_nano=SECOND + 5 * MS)
    fill(event.attributes, {"length": 12})

    text = "\n".join(shown(trace_tree([detailed], details=True)))

    assert "span 0000000000000001" in text
    assert "session.id: ses_A" in text
    assert "event user_prompt +5ms length=12" in text


def test_durations_have_about_three_digits(subtests):
    for nanoseconds, text in [
        (0, "0ms"),
        (400, "1µs"),
        (412_000, "412µs"),
        (999_600_000, "1.00s"),
        (87 * MS, "87ms"),
        (3740 * MS, "3.74s"),
        (9999 * MS, "10.0s"),
        (59_960 * MS, "1m 00s"),
        (12_340 * MS, "12.3s"),
        (125 * SECOND, "2m 05s"),
        (3840 * SECOND, "1h 04m"),
        (-5 * MS, "-5ms"),
    ]:
        with subtests.test(nanoseconds=nanoseconds, text=text):
            assert duration(nanoseconds) == text
