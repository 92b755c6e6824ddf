"""The label of one span in a tree, fitted to the terminal's width. Marks repeat in words what the colours show:

    ✗ reason                   the span failed
    @server                    the MCP server of the call
    replied once               the answer to a permission request
    → session ses_…            the child session that a task call started
    ⤷ continued from ses_…     the segment before this one; also "forked from", "task call", "candidate"
    ~parent ~start             facts that were inferred (`opencode.inferred`)
    late                       emitted after its parent span (`opencode.late`)
    ⤴ parent … not here        the parent span is not in this tree

Names and messages come from other programs: control characters in them are replaced.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from receiver import semconv as sc

_INDENT = 2  # columns
_GAP = 2  # columns between two parts
_MAX_TEXT = 200  # characters of one part
_ASCII = str.maketrans({"✗": "x", "→": "->", "⤷": "^", "⤴": "^", "·": "/", "…": "~", "µ": "u"})
_LINKS = {
    sc.LINK_CHILD: "→ session",
    sc.LINK_CONTINUED: "⤷ continued from",
    sc.LINK_FORK: "⤷ forked from",
    sc.LINK_TASK: "⤷ task call",
    sc.LINK_CANDIDATE: "⤷ candidate",
    sc.LINK_REMOTE: "⤷ remote parent",
    sc.LINK_TURN: "⤷ previous turn",
    sc.LINK_PARENT: "⤷ parent session",
}


def span_label(span: Span, *, orphan: bool = False, details: bool = False, trace_id: str = "") -> Label:
    """The label of a span. An `orphan` has a parent outside the tree, which is named; `details` adds all attributes and
    events; `trace_id` (hex) is shown if given."""
    attributes = decoded(span.attributes)
    failed = span.status.code == Status.STATUS_CODE_ERROR
    parts = [_part(span.name or "(no name)", "bold red" if failed else "bold")]
    parts.append(_part(duration(span.end_time_unix_nano - span.start_time_unix_nano), "cyan"))
    parts += _marks(span, attributes)
    if attributes.get(sc.OPERATION_NAME) == sc.INVOKE_AGENT:
        parts += [_part(total, "dim") for total in _totals(attributes)]
    if orphan:
        parts.append(_part(f"⤴ parent {span.parent_span_id.hex()} not here", "dim"))
    if trace_id:
        if (session := attributes.get(sc.SESSION_ID)) is not None:
            parts.append(_part(f"session {session}", "dim"))
        parts.append(_part(f"trace {trace_id}", "dim"))
    lines = [_part(_failure(span, attributes), "red")] if failed else []
    if details:
        lines += [_part(line, "dim") for line in _details(span, attributes)]
    return Label(parts, lines)


def title_label(title: str, trace_id: str) -> Label:
    """The label above several top spans. `trace_id` is hex."""
    return Label([_part(title, "bold"), _part(trace_id, "dim")])


def _marks(span: Span, attributes: Mapping[str, Any]) -> Iterator[Text]:
    if (server := attributes.get(sc.MCP_SERVER)) is not None:
        yield _part(f"@{server}", "blue")
    if (reply := attributes.get(sc.PERMISSION_REPLY)) is not None:
        yield _part(f"replied {reply}", "yellow")
    for link in span.links:
        yield _link(decoded(link.attributes), link, attributes)
    inferred = attributes.get(sc.INFERRED) or []
    for fact in inferred if isinstance(inferred, list) else [inferred]:
        yield _part(f"~{fact}", "dim")
    if attributes.get(sc.LATE):
        yield _part("late", "yellow")


def _link(link_attributes: Mapping[str, Any], link: Span.Link, attributes: Mapping[str, Any]) -> Text:
    kind = link_attributes.get(sc.LINK_TYPE)
    target = link_attributes.get(sc.LINKED_SESSION)
    if kind == sc.LINK_CHILD:
        target = target or attributes.get(sc.CHILD_SESSION_ID)
    return _part(f"{_LINKS.get(str(kind), '⤷ link to')} {target or link.span_id.hex()}", "green")


def _totals(attributes: Mapping[str, Any]) -> Iterator[str]:
    counts = [
        f"{attributes[name]:,} {word}"
        for name, word in ((sc.INPUT_TOKENS, "in"), (sc.OUTPUT_TOKENS, "out"))
        if isinstance(attributes.get(name), int)
    ]
    if counts:
        yield f"tokens {' · '.join(counts)}"
    cost = attributes.get(sc.COST)
    if isinstance(cost, float | int) and cost:
        yield f"${cost:,.4f}" if cost < 1 else f"${cost:,.2f}"
    if reason := attributes.get(sc.END_REASON):
        yield f"ended: {reason}"


def _failure(span: Span, attributes: Mapping[str, Any]) -> str:
    return f"✗ {span.status.message or attributes.get(sc.ERROR_TYPE) or 'failed'}"


def _details(span: Span, attributes: Mapping[str, Any]) -> Iterator[str]:
    yield f"span {span.span_id.hex()}"
    for name, value in attributes.items():
        yield f"{name}: {value}"
    for event in span.events:
        values = " ".join(f"{name}={value}" for name, value in decoded(event.attributes).items())
        yield f"event {event.name} +{duration(event.time_unix_nano - span.start_time_unix_nano)} {values}"


def duration(nanoseconds: int) -> str:
    """A duration in about three digits: `412µs`, `87ms`, `3.74s`, `2m 05s`, `1h 04m`."""
    if nanoseconds < 0:
        return f"-{duration(-nanoseconds)}"
    if nanoseconds == 0:
        return "0ms"
    if nanoseconds < 1_000_000:
        return f"{max(1, nanoseconds // 1000)}µs"
    milliseconds = round(nanoseconds / 1_000_000)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    seconds = milliseconds / 1000
    if round(seconds, 1) < 60:
        return f"{seconds:.2f}s" if round(seconds, 2) < 10 else f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m {rest:02}s" if minutes < 60 else f"{minutes // 60}h {minutes % 60:02}m"


def decoded(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    """Attributes as plain values; None for an attribute without a value."""
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return decoded(value.kvlist_value.values)
    return getattr(value, kind) if kind else None


def _part(text: str, style: str) -> Text:
    """A part of a label, on one line. It is wrapped only if it is wider than the terminal."""
    printable = "".join(char if char.isprintable() else " " for char in text[: 2 * _MAX_TEXT])
    line = " ".join(printable.split())
    return Text(line if len(line) <= _MAX_TEXT else f"{line[: _MAX_TEXT - 1]}…", style=style)


class Label:
    """Parts on as few lines as the width allows, then further lines. All lines but the first are indented, so that they
    do not look like siblings.
    """

    def __init__(self, parts: Sequence[Text], lines: Sequence[Text] = ()) -> None:
        self._parts = parts
        self._lines = lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = max(_INDENT + 8, options.max_width)
        line = Text()
        for part in (_readable(part, options) for part in self._parts):
            if line and cell_len(line.plain) + _GAP + cell_len(part.plain) > width:
                yield from _wrapped(line, console, width)
                line = Text(" " * _INDENT)
            elif line:
                line.append(" " * _GAP)
            line.append_text(part)
        yield from _wrapped(line, console, width)
        for extra in self._lines:
            yield from _wrapped(Text(" " * _INDENT).append_text(_readable(extra, options)), console, width)


def _wrapped(line: Text, console: Console, width: int) -> Iterator[Text]:
    if cell_len(line.plain) <= width:
        yield line
        return
    indent = Text(" " * _INDENT)
    for number, piece in enumerate(line.wrap(console, width - _INDENT)):
        piece.rstrip()
        yield Text.assemble(indent, piece) if number else piece


def _readable(part: Text, options: ConsoleOptions) -> Text:
    if not options.ascii_only:
        return part
    return Text(part.plain.translate(_ASCII).encode("ascii", "replace").decode(), style=part.style)
