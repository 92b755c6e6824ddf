"""Golden trees: each recording below this folder, and the text that its traces become. `python -m tests.golden.rewrite`
writes every tree.txt again; what changed is then reviewed as a difference. Judging is not here
(tests/support/trace_scoring.py).

    tests/golden/<producer>/<name>/otlp/       recorded Export requests of a real agent
    tests/golden/<producer>/<name>/expected.json   what the agent's own store says of that run
    tests/golden/<producer>/<name>/tree.txt    the traces, written here
    tests/golden/<producer>/<name>/tree.<mode>.txt     the same with settings that a user asked for (MODES)

The recordings of OpenCode: A: the plugin as published; B: with the features of its study; C: an event relay
(`opencode2-simulated`: what its plugin sent when a simulated host gave it OpenCode 2's documented events); D:
opencode-plugin-otel and the plugins that share its events. claude-code: Claude Code 2.1.332, or the version that the
name begins with; `spans-` where its beta spans were on. codex, copilot, qwen: their expected.json comes from the
agents' own session files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from receiver import semconv as sc
from receiver.core.state.settings import BuilderSettings
from receiver.model import KIND_CLIENT, KIND_INTERNAL, STATUS_ERROR, STATUS_OK, STATUS_UNSET, Request, Span
from receiver.pipeline.offline import Built, build
from receiver.recordings.files import read_recordings

HERE = Path(__file__).parent
RECORDINGS = sorted(path.parent for path in HERE.glob("*/*/otlp"))
MODES = {
    "marked": ("A/03-task-child", BuilderSettings(live_markers=True)),
    "turns": ("C/05-slash-command", BuilderSettings(trace_mode="turn")),
    "linked": ("C/04-parallel-nested", BuilderSettings(child_sessions="linked")),
}
MS = 1_000_000

_KINDS = {KIND_INTERNAL: "INTERNAL", KIND_CLIENT: "CLIENT"}
_STATUSES = {STATUS_UNSET: "", STATUS_OK: "OK", STATUS_ERROR: "ERROR"}
# what a reviewer looks at, in this order
_SHOWN = (
    sc.SESSION_ID,
    sc.ROOT_SESSION_ID,
    sc.AGENT_ID,
    sc.AGENT_NAME,
    sc.TOOL_CALL_ID,
    sc.TOOL_NAME,
    sc.OPENCODE_TOOL_NAME,
    sc.MCP_SERVER,
    sc.SKILL_NAME,
    sc.CHILD_SESSION_ID,
    sc.PERMISSION_REPLY,
    sc.LINES_ADDED,
    sc.LINES_REMOVED,
    sc.INPUT_TOKENS,
    sc.OUTPUT_TOKENS,
    sc.CACHE_READ_TOKENS,
    sc.REASONING_TOKENS,
    sc.COST,
    sc.SESSION_SEGMENT,
    sc.END_REASON,
    sc.ERROR_TYPE,
    sc.INFERRED,
    sc.LATE,
)


def requests_of(recording: Path) -> list[Request]:
    """The recorded requests, in order of arrival."""
    return [Request(r.signal, r.body, 0) for r in read_recordings([recording / "otlp"])]


def built_from(recording: Path, settings: BuilderSettings | None = None) -> Built:
    """What `build` makes of a recording, with the settings that nobody changed unless others are given."""
    return build(requests_of(recording), settings or BuilderSettings())


def tree_text(spans: Sequence[Span]) -> str:
    """The traces as text, in order of their beginnings; times in milliseconds after the root's."""
    return "\n".join("\n".join(_trace(root, spans)) + "\n" for root in sorted(_roots(spans), key=_order))


def _roots(spans: Sequence[Span]) -> list[Span]:
    return [s for s in spans if not s.parent_span_id]


def _order(span: Span) -> tuple[int, int, str, bytes]:
    return span.start, span.end, span.name, span.span_id


def _trace(root: Span, spans: Sequence[Span]) -> Iterator[str]:
    yield f"trace {root.trace_id.hex()}"
    yield from _branch(root, root.start, "  ", spans)


def _branch(span: Span, zero: int, indent: str, spans: Sequence[Span]) -> Iterator[str]:
    times = f"+{_ms(span.start - zero)} ms, {_ms(span.end - span.start)} ms long"
    yield f"{indent}{span.name}  [{' '.join(filter(None, (_KINDS[span.kind], _STATUSES[span.status_code])))}]  {times}"
    held = dict(span.attributes)
    said = [f"{name}={_value(held[name])}" for name in _SHOWN if name in held]
    yield f"{indent}    {' '.join(said)}"
    if span.status_message:
        yield f"{indent}    message: {span.status_message}"
    for event in span.events:
        attributes = "".join(f" {name}={_value(value)}" for name, value in event.attributes)
        yield f"{indent}    event {event.name} +{_ms(event.time - zero)} ms{attributes}"
    for link in span.links:
        target = next((s for s in spans if s.span_id == link.span_id), None)
        leads = f"{target.name} of {dict(target.attributes)[sc.SESSION_ID]}" if target else "NOWHERE"
        yield f"{indent}    link {dict(link.attributes).get(sc.LINK_TYPE)} -> {leads}"
    below = (s for s in spans if s.parent_span_id == span.span_id and s.trace_id == span.trace_id)
    for child in sorted(below, key=_order):
        yield from _branch(child, zero, f"{indent}  ", spans)


def _ms(nanoseconds: int) -> str:
    return f"{nanoseconds / MS:.1f}"


def _value(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


if __name__ == "__main__":
    for folder in RECORDINGS:
        (folder / "tree.txt").write_text(tree_text(built_from(folder).spans), encoding="utf-8")
        print(f"{folder.relative_to(HERE.parent.parent)}/tree.txt")
    for mode, (name, changed) in MODES.items():
        (HERE / name / f"tree.{mode}.txt").write_text(
            tree_text(built_from(HERE / name, changed).spans), encoding="utf-8"
        )
        print(f"tests/golden/{name}/tree.{mode}.txt")
