"""The commands' arguments and help texts. `command` of the parsed arguments is the command's name."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NoReturn

from receiver import __version__
from receiver.cli.console import PROGRAM
from receiver.cli.exit_codes import USAGE

PROTOCOLS = ("grpc", "http/protobuf", "http/json")
_CONFIG_HELP = "a YAML file, env:NAME or yaml:TEXT; may be repeated, later ones win"
_HEADER_HELP = "a header of every request; may be repeated"


class _Parser(argparse.ArgumentParser):
    """Prints usage errors in one line that names --help."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {message}; see {self.prog} --help\n")


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    whole = _Parser(prog=PROGRAM, description="Builds traces from the telemetry that coding agents send over OTLP.")
    whole.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    whole.set_defaults(debug=False)
    commands = whole.add_subparsers(required=True, metavar="COMMAND")
    _add(commands, "run", "run the receiver until SIGTERM or SIGINT; a second signal ends it at once", _add_config)
    _add(commands, "validate", "check a configuration", _add_configs)
    _add(commands, "print-config", "print the effective configuration, secrets redacted", _add_print_config)
    _add(commands, "build", "build finished traces from recorded OTLP requests, offline", _add_build)
    _add(commands, "replay", "send recorded OTLP requests to a running receiver", _add_replay)
    _add(commands, "sessions", "list the open sessions of a running receiver", _add_sessions)
    _add(commands, "tree", "show a session's tree as it would be built now", _add_tree)
    _add(commands, "flush", "close a session with its whole tree, or all sessions", _add_flush)
    _add(commands, "queue", "show the sending queues, and the rows that backends refused for good", _add_queue)
    _add(commands, "resend", "send rows again that backends refused for good", _add_resend)
    return whole


def _add(commands: Any, name: str, about: str, arguments: Callable[[argparse.ArgumentParser], None]) -> None:
    command = commands.add_parser(name, help=about, description=about)
    command.set_defaults(command=name)
    command.add_argument("--debug", action="store_true", help="show tracebacks of errors")
    arguments(command)


def _add_config(command: argparse.ArgumentParser) -> None:
    command.add_argument("--config", action="append", default=[], metavar="FILE", help=_CONFIG_HELP)
    _add_set(command)


def _add_configs(command: argparse.ArgumentParser) -> None:
    command.add_argument("--config", action="extend", nargs="+", default=[], metavar="FILE", help=_CONFIG_HELP)
    _add_set(command)


def _add_set(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--set", action="append", default=[], metavar="KEY::PATH=VALUE", help="one setting; overrides all files"
    )


def _add_print_config(command: argparse.ArgumentParser) -> None:
    command.add_argument("--schema", action="store_true", help="print the JSON Schema of the configuration instead")
    _add_config(command)


def _add_build(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "paths", nargs="+", metavar="PATH", help="a recording, an `opencode export`, or a folder of them"
    )
    command.add_argument(
        "--format", choices=("tree", "otlp-json", "otlp-proto"), default="tree", help="of the output; default: tree"
    )
    target = command.add_mutually_exclusive_group()
    target.add_argument("--output", metavar="FILE", help="write to this file; default: standard output")
    target.add_argument("--endpoint", metavar="URL", help="send the traces to this OTLP endpoint instead")
    _add_protocol(command, "of --endpoint")
    command.add_argument("--header", action="append", default=[], metavar="NAME=VALUE", help=_HEADER_HELP)
    _add_config(command)


def _add_replay(command: argparse.ArgumentParser) -> None:
    command.add_argument("paths", nargs="+", metavar="PATH", help="a recording, or a folder of them")
    command.add_argument("--endpoint", default="localhost:4317", metavar="URL", help="default: %(default)s")
    _add_protocol(command, "of --endpoint")
    command.add_argument("--header", action="append", default=[], metavar="NAME=VALUE", help=_HEADER_HELP)
    command.add_argument("--rate", type=_rate, metavar="N", help="requests a second; default: no limit")


def _add_protocol(command: argparse.ArgumentParser, what: str) -> None:
    about = f"{what}; default: http/protobuf for a URL with a path or with port 4318, else grpc"
    command.add_argument("--protocol", choices=PROTOCOLS, help=about)


def _add_sessions(command: argparse.ArgumentParser) -> None:
    _add_limit(command, 1000, "sessions to list, the last touched first")


def _add_queue(command: argparse.ArgumentParser) -> None:
    _add_limit(command, 20, "refused rows to list, the latest first")


def _add_limit(command: argparse.ArgumentParser, default: int, what: str) -> None:
    about = f"{what}; at most 10000; default: %(default)s"
    command.add_argument("--limit", type=_limit, default=default, metavar="N", help=about)
    _add_admin_endpoint(command)


def _add_tree(command: argparse.ArgumentParser) -> None:
    command.add_argument("session", metavar="SESSION_ID", help="a session's id, from `sessions`")
    _add_admin_endpoint(command)


def _add_flush(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "session", nargs="?", metavar="SESSION_ID", help="a session's id, from `sessions`; default: all sessions"
    )
    _add_admin_endpoint(command)


def _add_resend(command: argparse.ArgumentParser) -> None:
    command.add_argument("ids", nargs="*", type=int, metavar="ID", help="a row's id, from `queue`; default: all rows")
    _add_admin_endpoint(command)


def _add_admin_endpoint(command: argparse.ArgumentParser) -> None:
    about = "the receiver's extensions::admin::endpoint; default: %(default)s"
    command.add_argument("--endpoint", default="localhost:13134", metavar="HOST:PORT", help=about)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of requests a second, such as 50")
    return rate


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 1 << 31):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of rows, such as 50")
    return int(text)
