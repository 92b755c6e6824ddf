"""Fills in what the configuration leaves out: components, the pipelines between them, the store's directory. Pure.

The `receivers`, `exporters` and `pipelines` of files replace the default ones; their `extensions` are added to the
default ones. `--set` is merged over both.
"""

from __future__ import annotations

from collections.abc import Mapping

from receiver.config.load.environment import DefaultExporter
from receiver.config.load.merging import Tree, mapping, merge
from receiver.config.model.components import SECTIONS, type_of

_DIRECTORY = "opencode-trace-receiver"


def with_defaults(files: Tree, sets: Tree, default: DefaultExporter, environment: Mapping[str, str]) -> Tree:
    """The tree to validate: files over the defaults, and `--set` over both."""
    files, sets = _without_empty_sections(files), _without_empty_sections(sets)
    tree = merge(_default_components(files, sets, default), files, sets)
    service = mapping(files.get("service")) or {}
    wiring: Tree = {}
    if service.get("extensions") is None:
        wiring["extensions"] = _ids(tree, "extensions")
    if service.get("pipelines") is None:
        wiring["pipelines"] = _pipelines(tree)
    tree["service"] = _over_wiring(wiring, service, mapping(sets.get("service")), tree.get("service"))
    _place_store(tree, environment)
    return tree


def uses_default_exporter(files: Tree, sets: Tree, default: DefaultExporter) -> bool:
    """Whether the default exporter is there: files name no exporter, and `--set` none or the default one."""
    of_files, of_sets = mapping(files.get("exporters")), mapping(sets.get("exporters"))
    return of_files == {} and (of_sets == {} or default.id in (of_sets or ()))


def _without_empty_sections(tree: Tree) -> Tree:
    """A section without a value changes nothing. Validation reports what is no section."""
    return {section: body for section, body in tree.items() if mapping(body) != {} or section not in SECTIONS}


def _default_components(files: Tree, sets: Tree, default: DefaultExporter) -> Tree:
    given = merge(files, sets)
    base: Tree = {"connectors": {"agenttrace": None}, "extensions": _default_extensions(given)}
    if mapping(given.get("connectors")):
        base["connectors"] = {}
    if not mapping(files.get("receivers")):
        base["receivers"] = {"otlp": {"protocols": {"grpc": None, "http": None}}}
    if uses_default_exporter(files, sets, default):
        base["exporters"] = {default.id: default.settings}
    return base


def _default_extensions(given: Tree) -> Tree:
    named = {type_of(str(name)) for name in mapping(given.get("extensions")) or {}}
    return {kind: None for kind in ("file_storage", "health_check", "admin") if kind not in named}


def _ids(tree: Tree, section: str) -> list[object]:
    return [str(name) for name in mapping(tree.get(section)) or {}]


def _pipelines(tree: Tree) -> Tree:
    """Every receiver into the connector, and the connector's traces to every exporter."""
    receivers, connectors, exporters = (_ids(tree, key) for key in ("receivers", "connectors", "exporters"))
    into_connector = {"receivers": receivers, "exporters": connectors}
    return {
        "logs": dict(into_connector),
        "metrics": dict(into_connector),
        "traces/in": dict(into_connector),
        "traces": {"receivers": connectors, "exporters": exporters},
    }


def _over_wiring(wiring: Tree, files: Tree, sets: Tree | None, given: object) -> object:
    if mapping(given) is None:
        return given  # not a block, which validation reports
    stated = {key: value for key, value in files.items() if key not in wiring}
    return merge(wiring, stated, sets or {})


def _place_store(tree: Tree, environment: Mapping[str, str]) -> None:
    """Fill in `directory` where it is not given, and the home directory where it is written `~/`."""
    extensions = mapping(tree.get("extensions")) or {}
    placed: Tree = {}
    for name, body in extensions.items():
        store = mapping(body)
        if type_of(str(name)) != "file_storage" or store is None:
            continue
        directory = store.get("directory")
        if directory is None:
            directory = _state_directory(environment)
        elif isinstance(directory, str) and directory.startswith("~/"):
            directory = _in_home(directory[2:], environment)
        placed[name] = {**store, "directory": directory}
    if mapping(tree.get("extensions")) is not None:
        tree["extensions"] = {**extensions, **placed}


def _state_directory(environment: Mapping[str, str]) -> str | None:
    state = environment.get("XDG_STATE_HOME", "")
    if state.startswith("/"):  # the XDG base directory specification: relative paths are to be ignored
        return f"{state.rstrip('/')}/{_DIRECTORY}"
    return _in_home(f".local/state/{_DIRECTORY}", environment)


def _in_home(path: str, environment: Mapping[str, str]) -> str | None:
    home = environment.get("HOME", "")
    return f"{home.rstrip('/')}/{path}" if home else None
