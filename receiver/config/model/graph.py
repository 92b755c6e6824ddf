"""Resolves the pipelines into a graph: what happens to each signal. Pure.

The Collector's graph is general. Here there is one connector, and all receivers of a signal feed the same pipelines,
because requests are stored before they are routed. Anything else is an error in the Collector's words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from receiver.config.model.components import type_of
from receiver.config.model.problem import Path, Problem, suggestion
from receiver.config.model.service import Pipeline

Signal: TypeAlias = Literal["logs", "metrics", "traces"]
SIGNALS: tuple[Signal, ...] = ("logs", "metrics", "traces")


@dataclass(frozen=True, slots=True)
class Input:
    """What happens to a received signal: whether the connector reads it, and which exporters get it unchanged."""

    connector: bool = False
    exporters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Graph:
    """The pipelines as the program runs them.

    `receivers`: the signals that each receiver in use takes. `inputs`: what happens to each of the three signals.
    `built`: the exporters of the built traces. `connector`: the id of the one in use, if there is one.
    """

    receivers: Mapping[str, frozenset[Signal]]
    inputs: Mapping[Signal, Input]
    built: tuple[str, ...]
    connector: str | None

    @property
    def exporters(self) -> tuple[str, ...]:
        """All exporters in use, without duplicates."""
        untouched = [exporter for signal in SIGNALS for exporter in self.inputs[signal].exporters]
        return tuple(dict.fromkeys((*self.built, *untouched)))


@dataclass(frozen=True, slots=True)
class Ids:
    """The ids of the defined components."""

    receivers: tuple[str, ...]
    connectors: tuple[str, ...]
    exporters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Flow:
    path: Path
    signal: Signal
    receivers: tuple[str, ...]
    exporters: tuple[str, ...]


def resolve(ids: Ids, pipelines: Mapping[str, Pipeline], problems: list[Problem]) -> Graph:
    """The graph of the pipelines. Errors go to `problems`; the graph is not valid then."""
    if not pipelines:
        problems.append(Problem(("service", "pipelines"), "there must be at least one pipeline"))
    flows = list(_flows(pipelines, problems))
    for flow in flows:
        problems.extend(_check_references(flow, ids))
        problems.extend(_check_connectors(flow, ids))
    problems.extend(_check_sides(flows, ids))
    return _graph(flows, ids, problems)


def _flows(pipelines: Mapping[str, Pipeline], problems: list[Problem]) -> Iterator[_Flow]:
    for name, pipeline in pipelines.items():
        path = ("service", "pipelines", name)
        signal = next((one for one in SIGNALS if one == type_of(name)), None)
        if signal is None:
            problems.append(Problem(path, f"unknown signal {type_of(name)!r}; {suggestion(type_of(name), SIGNALS)}"))
            continue
        if not pipeline.receivers:
            problems.append(Problem(path, "must have at least one receiver"))
        if not pipeline.exporters:
            problems.append(Problem(path, "must have at least one exporter"))
        yield _Flow(path, signal, pipeline.receivers, pipeline.exporters)


def _check_references(flow: _Flow, ids: Ids) -> Iterator[Problem]:
    sides = (
        ("receivers", "receiver", flow.receivers, ids.receivers),
        ("exporters", "exporter", flow.exporters, ids.exporters),
    )
    for key, word, named, defined in sides:
        ids_of_side = (*defined, *ids.connectors)
        for component in named:
            if component not in ids_of_side:
                text = f'references {word} "{component}" which is not configured; {suggestion(component, ids_of_side)}'
                yield Problem((*flow.path, key), text)


def _check_connectors(flow: _Flow, ids: Ids) -> Iterator[Problem]:
    for connector in ids.connectors:
        if connector in flow.receivers and flow.signal != "traces":
            text = f'connector "{connector}" emits traces, not {flow.signal}; use it as receiver of a traces pipeline'
            yield Problem((*flow.path, "receivers"), text)
        if connector in flow.receivers and connector in flow.exporters:
            text = f'cycle: connector "{connector}" feeds itself; use two pipelines, such as traces/in and traces'
            yield Problem(flow.path, text)


def _check_sides(flows: list[_Flow], ids: Ids) -> Iterator[Problem]:
    """A connector joins two pipelines. Used on one side only, it would drop its input, or never get any."""
    used = []
    for connector in ids.connectors:
        takes = [flow.path[-1] for flow in flows if connector in flow.exporters]
        gives = [flow.path[-1] for flow in flows if connector in flow.receivers]
        if takes or gives:
            used.append(connector)
        if takes and not gives:
            text = (
                f'connector "{connector}" used as exporter in [{", ".join(takes)}] pipeline but not used in any '
                f"traces pipeline as receiver; add one with receivers: [{connector}]"
            )
            yield Problem(("service", "pipelines"), text)
        if gives and not takes:
            text = (
                f'connector "{connector}" used as receiver in [{", ".join(gives)}] pipeline but not used in any '
                f"pipeline as exporter; add a logs pipeline with exporters: [{connector}]"
            )
            yield Problem(("service", "pipelines"), text)
    if len(used) > 1:
        text = f"only one connector can be in use, not {' and '.join(used)}; it builds the traces of all receivers"
        yield Problem(("service", "pipelines"), text)


def _graph(flows: list[_Flow], ids: Ids, problems: list[Problem]) -> Graph:
    takes: dict[str, set[Signal]] = {}
    inputs: dict[Signal, Input] = {}
    for signal in SIGNALS:
        found: dict[str, Input] = {}
        for receiver in ids.receivers:
            met = [flow for flow in flows if flow.signal == signal and receiver in flow.receivers]
            if met:
                takes.setdefault(receiver, set()).add(signal)
                found[receiver] = _input(met, ids)
        if len(set(found.values())) > 1:
            text = f"{' and '.join(found)} are in different {signal} pipelines; put them into the same ones"
            problems.append(Problem(("service", "pipelines"), text))
        inputs[signal] = next(iter(found.values()), Input())
    fed = [flow for flow in flows if any(connector in flow.receivers for connector in ids.connectors)]
    named = (name for flow in flows for name in (*flow.receivers, *flow.exporters))
    return Graph(
        receivers={receiver: frozenset(signals) for receiver, signals in takes.items()},
        inputs=inputs,
        built=_exporters(fed, ids),
        connector=next((name for name in named if name in ids.connectors), None),
    )


def _input(flows: list[_Flow], ids: Ids) -> Input:
    connector = any(name in ids.connectors for flow in flows for name in flow.exporters)
    return Input(connector, _exporters(flows, ids))


def _exporters(flows: Iterable[_Flow], ids: Ids) -> tuple[str, ...]:
    named = {name for flow in flows for name in flow.exporters}
    return tuple(exporter for exporter in ids.exporters if exporter in named)
