"""Loads the configuration from the sources that `--config` names, like the Collector's: a path, `file:`, `env:` and
`yaml:`.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from receiver import config
from receiver.errors import ConfigError


def load_settings(options: argparse.Namespace, environment: Mapping[str, str]) -> config.Settings:
    """The settings of `--config` and `--set`. Raises ConfigError."""
    files = [source(name, environment) for name in options.config]
    return config.load(files, options.set, environment, read_reference)


def source(name: str, environment: Mapping[str, str]) -> tuple[str, str]:
    """A source's name for errors, and its text. Raises ConfigError when it cannot be read."""
    scheme, colon, rest = name.partition(":")
    if colon and scheme == "yaml":
        return "--config yaml:…", rest  # it may hold a secret
    if colon and scheme == "env":
        if rest not in environment:
            raise ConfigError(f"--config {name}: the environment variable {rest} is not set")
        return f"--config {name}", environment[rest]
    if colon and scheme in ("http", "https"):
        raise ConfigError(f"--config {name}: URLs are not supported; download the file and give its path")
    return name, _read_text(rest if colon and scheme == "file" else name)


def _read_text(name: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise ConfigError(f"--config {name}: cannot be read ({_reason(error)}); name a YAML file") from error


def read_reference(name: str) -> str:
    """The text for `${file:name}` in a configuration. Raises ValueError when the file cannot be read."""
    try:
        return Path(name).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise ValueError(f"the file {name} cannot be read ({_reason(error)})") from error


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, UnicodeError):
        return "it is not UTF-8"
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else str(error)
