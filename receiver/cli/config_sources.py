"""Where the texts of a configuration come from, in the Collector's words: a path, `file:`, `env:` and `yaml:`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from receiver.errors import ConfigError


def source(name: str, environment: Mapping[str, str]) -> tuple[str, str]:
    """What to call it in errors, and its text. Raises ConfigError where it cannot be read."""
    scheme, colon, rest = name.partition(":")
    if colon and scheme == "yaml":
        return "--config yaml:…", rest  # it may hold a secret
    if colon and scheme == "env":
        if rest not in environment:
            raise ConfigError(f"--config {name}: the environment variable {rest} is not set")
        return f"--config {name}", environment[rest]
    if colon and scheme in ("http", "https"):
        raise ConfigError(f"--config {name}: is not fetched here; download it, and name the file")
    return name, _read_text(rest if colon and scheme == "file" else name)


def _read_text(name: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise ConfigError(f"--config {name}: cannot be read ({_reason(error)}); name a YAML file") from error


def referred(name: str) -> str:
    """What `${file:name}` stands for. Raises ValueError where it cannot be read."""
    try:
        return Path(name).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise ValueError(f"the file {name} cannot be read ({_reason(error)})") from error


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, UnicodeError):
        return "it is not UTF-8"
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else str(error)
