"""From texts to Settings, in order: read, merge, expand references, fill in defaults, validate, cross-check. Pure.

The caller reads the files and passes the process's environment in. All problems are collected before any is raised.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from receiver.config.load import addresses, cross_checks, yaml_text
from receiver.config.load.defaults import uses_default_exporter, with_defaults
from receiver.config.load.environment import PREFIX, DefaultExporter, default_exporter, set_variables
from receiver.config.load.expansion import Expander, ReadFile
from receiver.config.load.merging import Tree, assignments, mapping, merge, nested, replaces, value_at
from receiver.config.load.validating import settings
from receiver.config.model.problem import Path, Problem, raise_if_any
from receiver.config.model.settings import Settings


def no_files(path: str) -> str:
    """The `read_file` of callers that read none. Raises ValueError."""
    raise ValueError(f"the file {path} is not read here")


def load(
    files: Sequence[tuple[str, str]],
    sets: Sequence[str],
    environment: Mapping[str, str],
    read_file: ReadFile = no_files,
) -> Settings:
    """The settings of (name, text) files, later over earlier, and of `key::path=value` texts over them.

    `read_file` returns the text of `${file:path}`, or raises ValueError. Raises ConfigError with a line for each
    problem, which begins with its key path.
    """
    problems: list[Problem] = []
    written = _read(files, problems)
    assigned = assignments(list(sets), problems)
    raise_if_any(problems)  # half a configuration would have problems of its own
    expander = Expander(environment, read_file, problems)
    tree = mapping(expander.expand(written)) or {}
    unset_in_files = expander.unset
    expander.unset = []
    changes = mapping(expander.expand(assigned)) or {}
    expander.unset = [*(one for one in unset_in_files if not replaces(changes, one.path)), *expander.unset]
    of_references = len(problems)
    loaded = _build(_Given(tree, changes, environment, frozenset(expander.references)), problems)
    raise_if_any([*problems[:of_references], *_explained(problems[of_references:], expander)])
    assert loaded is not None
    return replace(loaded, notices=(*dict.fromkeys(one.notice() for one in expander.unset), *loaded.notices))


def _explained(problems: Sequence[Problem], expander: Expander) -> Iterator[Problem]:
    """Leaves out what follows from a reference that could not be replaced; names the variables that are not set."""
    problems = [one for one in problems if not any(_overlap(one.path, path) for path in expander.failed)]
    for unset in expander.unset:
        if any(_overlap(problem.path, unset.path) for problem in problems):
            yield unset.problem()
    for problem in problems:
        if not any(_within(problem.path, unset.path) for unset in expander.unset):
            yield problem


@dataclass(frozen=True, slots=True)
class _Given:
    """What a configuration is made from. `references` are the variables that its texts refer to."""

    files: Tree
    sets: Tree
    environment: Mapping[str, str]
    references: frozenset[str]


def _build(given: _Given, problems: list[Problem]) -> Settings | None:
    exporters_of_sets = mapping(given.sets.get("exporters")) or {}
    default = default_exporter(given.environment, exporters_of_sets)
    uses_default = uses_default_exporter(given.files, given.sets, default)
    found: list[Problem] = []
    loaded = settings(with_defaults(given.files, given.sets, default, given.environment), found)
    if loaded is not None:
        loops = list(addresses.loops(loaded))
        if loops and uses_default and default.sources and default.id not in exporters_of_sets:
            return _without_variables(given, default, problems)
        found = [*cross_checks.problems(loaded), *loops, *addresses.collisions(loaded)]
    unused = [] if uses_default else _unused_variables(given)
    if uses_default:
        problems.extend(default.problems)
        found = [_named_by_variable(problem, default, given.sets) for problem in found]
    elif any(problem.path[0] == "exporters" for problem in found):
        found += unused
    problems.extend(found)
    if loaded is None:
        return None
    notices = (*cross_checks.notices(loaded), *addresses.notices(loaded), *addresses.pushed_to_itself(loaded))
    return replace(loaded, notices=(*loaded.notices, *map(str, unused), *notices))


def _named_by_variable(problem: Problem, default: DefaultExporter, sets: Tree) -> Problem:
    """Names the variable that a wrong value comes from, unless `--set` overrides it."""
    section, name, key = (*problem.path, "", "", "")[:3]
    overridden = value_at(sets, problem.path[:3]) is not None
    if section != "exporters" or name != default.id or overridden or key not in default.sources:
        return problem
    return replace(problem, path=(default.sources[key],))


def _unused_variables(given: _Given) -> list[Problem]:
    """One warning for all variables that do not count since the configuration names its exporters."""
    unused = [name for name in set_variables(given.environment) if name not in given.references]
    if not unused:
        return []
    exporters = ", ".join(map(str, mapping(merge(given.files, given.sets).get("exporters")) or {}))
    text = f"not used, since the configuration names its exporters ({exporters})"
    return [Problem((", ".join(unused),), f"{text}; write ${{env:{unused[0]}}} where one of them is to have the value")]


def _without_variables(given: _Given, default: DefaultExporter, problems: list[Problem]) -> Settings | None:
    """The endpoint names this receiver, so it was meant for the agent in the same shell: the debug exporter is used."""
    others = {name: value for name, value in given.environment.items() if not name.startswith(PREFIX)}
    loaded = _build(replace(given, environment=others), problems)
    variable = default.sources.get("endpoint") or default.sources["traces_endpoint"]
    notice = f"{variable} names this receiver itself, so it is not used; traces are shown by the debug exporter"
    return loaded and replace(loaded, notices=(notice, *loaded.notices))


def _read(files: Sequence[tuple[str, str]], problems: list[Problem]) -> Tree:
    merged: Tree = {}
    for name, text in files:
        try:
            tree = yaml_text.parse(text)
        except ValueError as error:
            problems.append(Problem((name,), str(error)))
            continue
        sections = mapping(nested(tree))
        if sections is None:
            problems.append(Problem((name,), "must be a map of sections, such as `receivers: {…}`"))
            continue
        merged = merge(merged, sections)
    return merged


def _within(path: Path, block: Path) -> bool:
    return path[: len(block)] == block


def _overlap(path: Path, other: Path) -> bool:
    return _within(path, other) or _within(other, path)
