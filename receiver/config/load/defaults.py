"""What holds where the files are silent: the components, the pipelines between them, and where the store lies. Pure.

A file's `receivers`, `exporters` and `pipelines` stand in for the default ones; but the default exporter lies below
one of its type that says no endpoint. To the extensions a file adds.
"""

from __future__ import annotations

from collections.abc import Mapping

from receiver.config.load.merging import Tree, mapping, merge
from receiver.config.model.components import SECTIONS, canonical, type_of

_DIRECTORY = "opencode-trace-receiver"


def complete(files: Tree, sets: Tree, exporter: Tree, environment: Mapping[str, str]) -> Tree:
    """The tree to validate: files over the defaults, and `--set` over both. `exporter` is the default one."""
    files, sets = _told(files), _told(sets)
    tree = merge(_components(files, sets, exporter), files, sets)
    if uses_default_exporter(files, sets, exporter):
        _fill(mapping(tree["exporters"]) or {}, exporter)
    service = mapping(files.get("service")) or {}
    wiring: Tree = {}
    if service.get("extensions") is None:
        wiring["extensions"] = _ids(tree, "extensions")
    if service.get("pipelines") is None:
        wiring["pipelines"] = _pipelines(tree)
    tree["service"] = _over_wiring(wiring, service, mapping(sets.get("service")), tree.get("service"))
    _place_store(tree, environment)
    return tree


def uses_default_exporter(files: Tree, sets: Tree, exporter: Tree) -> bool:
    """Whether the default exporter is wanted: nobody names another, or, where it has an endpoint, somebody names it."""
    named = mapping(merge(files, sets).get("exporters"))
    if "debug" in exporter:
        return not mapping(files.get("exporters")) and set(named or {}) <= {"debug"}
    return named == {} or any(name in exporter for name in may_be_default(files, sets))


def may_be_default(files: Tree, sets: Tree) -> list[str]:
    """The exporters that the default one can lie below: those of `--set`, and of a file what says no endpoint."""
    named = mapping(merge(files, sets).get("exporters")) or {}
    of_files = mapping(files.get("exporters"))
    return [name for name, body in named.items() if of_files == {} or lacks_endpoint(name, body)]


def lacks_endpoint(name: str, body: object) -> bool:
    """Whether an exporter speaks OTLP and nothing says where to."""
    said = mapping(body)
    speaks = type_of(canonical("exporters", name)) in ("otlp_grpc", "otlp_http")
    return speaks and said is not None and all(said[key] is None for key in said if key.endswith("endpoint"))


def _fill(exporters: Tree, exporter: Tree) -> None:
    """A block without a value has its defaults: of the default exporter's, all that it is."""
    for name, body in exporter.items():
        if exporters.get(name, body) is None:
            exporters[name] = body


def _told(tree: Tree) -> Tree:
    """Without the sections that have no value: they say nothing. What is no section is left for validation to tell."""
    return {section: body for section, body in tree.items() if mapping(body) != {} or section not in SECTIONS}


def _components(files: Tree, sets: Tree, exporter: Tree) -> Tree:
    given = merge(files, sets)
    base: Tree = {"connectors": {"agenttrace": None}, "extensions": _extensions(given)}
    if mapping(given.get("connectors")):
        base["connectors"] = {}
    if not mapping(files.get("receivers")):
        base["receivers"] = {"otlp": {"protocols": {"grpc": None, "http": None}}}
    if uses_default_exporter(files, sets, exporter):
        base["exporters"] = exporter
    return base


def _extensions(given: Tree) -> Tree:
    named = {type_of(str(name)) for name in mapping(given.get("extensions")) or {}}
    return {kind: None for kind in ("file_storage", "health_check", "admin") if kind not in named}


def _ids(tree: Tree, section: str) -> list[object]:
    return [str(name) for name in mapping(tree.get(section)) or {}]


def _pipelines(tree: Tree) -> Tree:
    receivers, connectors, exporters = (_ids(tree, key) for key in ("receivers", "connectors", "exporters"))
    taking = {"receivers": receivers, "exporters": connectors}
    return {
        "logs": dict(taking),
        "metrics": dict(taking),
        "traces/in": dict(taking),
        "traces": {"receivers": connectors, "exporters": exporters},
    }


def _over_wiring(wiring: Tree, files: Tree, sets: Tree | None, given: object) -> object:
    if mapping(given) is None:
        return given  # not a block at all, which validation tells
    told = {key: value for key, value in files.items() if key not in wiring}
    return merge(wiring, told, sets or {})


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
            directory = _state(environment)
        elif isinstance(directory, str) and directory.startswith("~/"):
            directory = _in_home(directory[2:], environment)
        placed[name] = {**store, "directory": directory}
    if mapping(tree.get("extensions")) is not None:
        tree["extensions"] = {**extensions, **placed}


def _state(environment: Mapping[str, str]) -> str | None:
    state = environment.get("XDG_STATE_HOME", "")
    if state.startswith("/"):  # the XDG specification: relative paths are to be ignored
        return f"{state.rstrip('/')}/{_DIRECTORY}"
    return _in_home(f".local/state/{_DIRECTORY}", environment)


def _in_home(path: str, environment: Mapping[str, str]) -> str | None:
    home = environment.get("HOME", "")
    return f"{home.rstrip('/')}/{path}" if home else None
