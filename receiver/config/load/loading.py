"""The way from texts to Settings, in order: read, merge, expand, complete with the defaults, validate. Pure.

Reading files and the process's environment is the caller's. Every problem is found before any is raised.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from receiver.config.load import addresses, cross_checks, yaml_text
from receiver.config.load.defaults import complete, lacks_endpoint, may_be_default, uses_default_exporter
from receiver.config.load.environment import PREFIX, default_exporter, endpoint_variable, variable_of
from receiver.config.load.expansion import Expander, ReadFile
from receiver.config.load.merging import Tree, assignments, mapping, merge, replaces, unfolded
from receiver.config.load.validating import settings
from receiver.config.model.problem import Path, Problem, refuse
from receiver.config.model.settings import Settings


def no_files(path: str) -> str:
    """For those who read none."""
    raise ValueError(f"the file {path} is not read here")


def load(
    files: Sequence[tuple[str, str]],
    sets: Sequence[str],
    environment: Mapping[str, str],
    read_file: ReadFile = no_files,
) -> Settings:
    """The settings of (name, text) files, later over earlier, and of `key::path=value` texts over them.

    `read_file` gives what `${file:path}` stands for, or raises ValueError. Raises ConfigError with a line for each
    thing that is wrong, each beginning with its key path.
    """
    problems: list[Problem] = []
    written = _read(files, problems)
    assigned = assignments(list(sets), problems)
    refuse(problems)  # half a configuration would give problems of its own
    expander = Expander(environment, read_file, problems)
    tree = mapping(expander.expand(written)) or {}
    in_files = expander.unset
    expander.unset = []
    changes = mapping(expander.expand(assigned)) or {}
    expander.unset = [*(one for one in in_files if not replaces(changes, one.path)), *expander.unset]
    wrong = len(problems)
    loaded = _build(tree, changes, environment, problems)
    refuse([*problems[:wrong], *_explained(problems[wrong:], expander)])
    assert loaded is not None
    return replace(loaded, notices=(*dict.fromkeys(one.notice() for one in expander.unset), *loaded.notices))


def _explained(problems: Sequence[Problem], expander: Expander) -> Iterator[Problem]:
    """Without what follows from a reference that could not be replaced; with the variables that were not set."""
    failed = expander.failed
    problems = [one for one in problems if not any(_near(one.path, path) for path in failed)]
    for unset in expander.unset:
        if any(_near(problem.path, unset.path) for problem in problems):
            yield unset.problem()
    for problem in problems:
        if not any(_within(problem.path, unset.path) for unset in expander.unset):
            yield problem


def _build(tree: Tree, changes: Tree, environment: Mapping[str, str], problems: list[Problem]) -> Settings | None:
    named = may_be_default(tree, changes)
    exporter = default_exporter(environment, [], named)
    from_variables = uses_default_exporter(tree, changes, exporter) and "debug" not in exporter
    if from_variables:
        default_exporter(environment, problems, named)
    before = len(problems)
    said = merge(tree, changes)
    loaded = settings(complete(tree, changes, exporter, environment), problems)
    problems[before:] = [_by_variable(one, said, exporter, environment) for one in problems[before:]]
    if loaded is None:
        return None
    problems.extend(cross_checks.misfits(loaded))
    loop = list(addresses.loops(loaded))
    if loop and from_variables and not set(exporter) & set(named):
        return _without_variables(tree, changes, environment, problems)
    problems.extend(_by_variable(one, said, exporter, environment) for one in loop)
    problems.extend(addresses.collisions(loaded))
    moot = () if from_variables else _moot(loaded, environment)
    notices = (*moot, *cross_checks.notices(loaded), *addresses.notices(loaded), *addresses.pushed_to_itself(loaded))
    return replace(loaded, notices=(*loaded.notices, *notices))


def _by_variable(problem: Problem, said: Tree, exporter: Tree, environment: Mapping[str, str]) -> Problem:
    """What no file says and no `--set` comes from a variable, or could have: name it."""
    variable = endpoint_variable(environment)
    section, name, *keys = (*problem.path, "", "")
    if section != "exporters" or not variable:
        return problem
    exporters = mapping(said.get("exporters")) or {}
    if name in exporter:
        source = "" if _says(exporters, problem.path[1:]) else variable_of(problem.path[-1], environment)
        return replace(problem, path=(source,)) if source else problem
    if keys[:1] in ([""], ["endpoint"]) and lacks_endpoint(name, exporters.get(name, 0)):
        return replace(problem, text=f"{problem.text} ({variable} configures {next(iter(exporter))}, not this one)")
    return problem


def _says(tree: Tree, path: Path) -> bool:
    """Whether a value stands at a path."""
    at: object = tree
    for key in path:
        at = (mapping(at) or {}).get(key)
    return at is not None


def _moot(loaded: Settings, environment: Mapping[str, str]) -> Iterator[str]:
    """A variable that somebody set for this program, it seems, and that does nothing."""
    variable = endpoint_variable(environment)
    if variable and addresses.leads_elsewhere(loaded, environment[variable].strip()):
        exporters = ", ".join(loaded.graph.exporters)
        yield f"{variable} is not used: the configuration names its exporters, {exporters}; give one that endpoint"


def _without_variables(
    tree: Tree, changes: Tree, environment: Mapping[str, str], problems: list[Problem]
) -> Settings | None:
    """The variable was meant for the agent in the same shell: it names this receiver. Better to show than to loop."""
    others = {name: value for name, value in environment.items() if not name.startswith(PREFIX)}
    loaded = _build(tree, changes, others, problems)
    variable = endpoint_variable(environment)
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
        sections = mapping(unfolded(tree))
        if sections is None:
            problems.append(Problem((name,), "must be a map of sections, such as `receivers: {…}`"))
            continue
        merged = merge(merged, sections)
    return merged


def _within(path: Path, block: Path) -> bool:
    return path[: len(block)] == block


def _near(path: Path, other: Path) -> bool:
    return _within(path, other) or _within(other, path)
