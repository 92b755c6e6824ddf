"""`validate` and `print-config`: check or show a configuration without running it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from receiver import config
from receiver.app.builder_settings import builder_settings
from receiver.cli.config_sources import load_settings
from receiver.cli.console import print_error
from receiver.cli.exit_codes import OK


def validate(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Check a configuration and print its warnings. Raises ConfigError, which names every mistake."""
    settings = load_settings(options, environment)
    builder_settings(settings.connector)
    for notice in settings.notices:
        print_error(f"warning: {notice}")
    print("the configuration is valid")
    return OK


def print_config(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Print the effective configuration as YAML, or the JSON Schema of a configuration."""
    print(config.schema_text() if options.schema else config.effective(load_settings(options, environment)), end="")
    return OK
