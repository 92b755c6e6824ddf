"""A trace as a `rich` tree: which span is below which, and in what order. Pure; prints nothing. label.py has the text
of a line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from rich.tree import Tree

from receiver import semconv as sc
from receiver.terminal.label import decoded, span_label, title_label

_Children: TypeAlias = Mapping[bytes, Sequence[Span]]


def spans_of(requests: Iterable[ExportTraceServiceRequest]) -> Iterator[Span]:
    """All spans of the requests, in order."""
    for request in requests:
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                yield from scope.spans


def by_trace(spans: Iterable[Span]) -> dict[bytes, list[Span]]:
    """Spans by trace id, in order of appearance; the first of several copies of a span."""
    traces: dict[bytes, dict[bytes, Span]] = {}
    for span in spans:
        traces.setdefault(span.trace_id, {}).setdefault(span.span_id, span)
    return {trace_id: list(unique.values()) for trace_id, unique in traces.items()}


def is_root(span: Span) -> bool:
    """Whether a span is the root of its trace: it has no parent, or it is the root session's span with a remote parent.
    A session's span that names no root session is the root session's.
    """
    if not span.parent_span_id:
        return True
    attributes = decoded(span.attributes)
    return attributes.get(sc.OPERATION_NAME) == sc.INVOKE_AGENT and not attributes.get(sc.ROOT_SESSION_ID)


def trace_trees(requests: Iterable[ExportTraceServiceRequest]) -> list[Tree]:
    """One tree for each trace, ordered by the start of its first span."""
    traces = by_trace(spans_of(requests))
    ordered = sorted(traces.values(), key=lambda spans: min(_order(span) for span in spans))
    return [trace_tree(spans) for spans in ordered]


def trace_tree(spans: Sequence[Span], *, title: str = "", details: bool = False) -> Tree:
    """The tree of one trace's spans (at least one): the root first, children by start.

    With a title, or several top spans, a line with the trace id is above them. `details` adds all attributes and
    events.
    """
    span_ids = {span.span_id for span in spans}
    children: dict[bytes, list[Span]] = {}
    for span in sorted(spans, key=_order):
        children.setdefault(span.parent_span_id if span.parent_span_id in span_ids else b"", []).append(span)
    orphans_last = sorted(children.get(b"", ()), key=lambda span: not is_root(span))
    tops = _with_cycles(orphans_last, spans, children)
    trace_id = spans[0].trace_id.hex()
    if len(tops) == 1 and not title:
        tree = Tree(span_label(tops[0], orphan=_is_orphan(tops[0], span_ids), details=details, trace_id=trace_id))
        return _grow(tree, [(tree, tops[0])], children, details)
    tree = Tree(title_label(title or "trace", trace_id))
    labels = [span_label(top, orphan=_is_orphan(top, span_ids), details=details) for top in tops]
    branches = [(tree.add(label), top) for label, top in zip(labels, tops, strict=True)]
    return _grow(tree, branches, children, details)


def _grow(tree: Tree, branches: list[tuple[Tree, Span]], children: _Children, details: bool) -> Tree:
    # Without recursion: a trace may be deeper than Python's stack.
    added = {span.span_id for _, span in branches}
    while branches:
        branch, span = branches.pop()
        for child in children.get(span.span_id, ()):
            if child.span_id not in added:
                added.add(child.span_id)
                branches.append((branch.add(span_label(child, details=details)), child))
    return tree


def _is_orphan(span: Span, span_ids: set[bytes]) -> bool:
    return bool(span.parent_span_id) and span.parent_span_id not in span_ids


def _with_cycles(tops: Sequence[Span], spans: Sequence[Span], children: _Children) -> list[Span]:
    """The top spans, and the first span of each cycle, whose spans are below no top span."""
    found = list(tops)
    reached: set[bytes] = set()
    _reach(found, children, reached)
    for span in sorted(spans, key=_order):
        if span.span_id not in reached:
            found.append(span)
            _reach([span], children, reached)
    return found


def _reach(tops: Sequence[Span], children: _Children, reached: set[bytes]) -> None:
    waiting = list(tops)
    while waiting:
        span = waiting.pop()
        if span.span_id not in reached:
            reached.add(span.span_id)
            waiting.extend(children.get(span.span_id, ()))


def _order(span: Span) -> tuple[int, int, str, bytes]:
    return span.start_time_unix_nano, span.end_time_unix_nano, span.name, span.span_id
