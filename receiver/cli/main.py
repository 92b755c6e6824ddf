"""Runs one command: parses the arguments, and turns errors into exit codes and lines on standard error. With __main__,
the only place that reads the environment.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence

from receiver.cli.arguments import parser
from receiver.cli.console import print_error
from receiver.cli.exit_codes import BAD_INPUT, INTERRUPTED, OK
from receiver.errors import ReceiverError

Command = Callable[[argparse.Namespace, Mapping[str, str]], int]


def run_command(arguments: Sequence[str]) -> int:
    """Run one command; its exit code. Raises SystemExit for `--help`, `--version` and wrong usage."""
    options = parser().parse_args(arguments)
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # gRPC's core would log failed handshakes to standard error
    try:
        code = _command(options.command)(options, os.environ)
        sys.stdout.flush()  # within the try: a reader that has gone is no error
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except ReceiverError as error:
        if options.debug:
            raise
        for line in str(error).splitlines():
            print_error(line)
        return BAD_INPUT
    except Exception as error:
        if options.debug:
            raise
        print_error(f"unexpected {type(error).__name__}: {error} (a defect; --debug shows the traceback)")
        return BAD_INPUT


def _command(name: str) -> Command:
    """The function of a command. Imports its module only now: gRPC and aiohttp take long to import."""
    if name == "run":
        from receiver.cli.run import run

        return run
    if name in ("validate", "print-config"):
        from receiver.cli.configuration import print_config, validate

        return validate if name == "validate" else print_config
    if name == "build":
        from receiver.cli.build import build_command

        return build_command
    if name == "replay":
        from receiver.cli.replay_command import replay_command

        return replay_command
    from receiver.cli import admin_commands

    commands: dict[str, Command] = {
        "sessions": admin_commands.sessions,
        "tree": admin_commands.tree,
        "flush": admin_commands.flush,
        "queue": admin_commands.queue,
        "resend": admin_commands.resend,
    }
    return commands[name]
