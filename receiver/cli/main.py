"""The command line: arguments in, exit codes out. With __main__, the only place that knows the process: environment,
signals, terminal, files that arguments name.

Exit codes: 0 well, 1 the input or configuration is bad, 2 usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from receiver import __version__, config
from receiver.cli.config_sources import referred, source
from receiver.cli.console import Shown
from receiver.errors import ReceiverError

WELL, BAD, USAGE, INTERRUPTED = 0, 1, 2, 130
PROTOCOLS = ("grpc", "http/protobuf", "http/json")


def run_command(arguments: Sequence[str]) -> int:
    """Run one command; its exit code."""
    options = _parser().parse_args(arguments)
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # its library would say every failed handshake in words of its own
    try:
        code = int(options.command(options))
        sys.stdout.flush()  # here, where a reader that has gone is no error
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return WELL
    except ReceiverError as error:
        if options.debug:
            raise
        for line in str(error).splitlines():
            print(f"opencode-trace-receiver: {line}", file=sys.stderr)
        return BAD
    except Exception as error:
        if options.debug:
            raise
        print(
            f"opencode-trace-receiver: unexpected {type(error).__name__}: {error} (a defect; --debug shows where)",
            file=sys.stderr,
        )
        return BAD


class _Parser(argparse.ArgumentParser):
    """Usage errors in one line, with the way to help."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {message}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="opencode-trace-receiver", description="OpenCode's telemetry events in, traces out.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.set_defaults(debug=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add(commands, "run", _run, "serve until SIGTERM or SIGINT; a second signal forces", _add_config)
    _add(commands, "validate", _validate, "check a configuration", _add_configs)
    _add(commands, "print-config", _print_config, "print the effective configuration, secrets redacted", _add_print)
    _add(commands, "build", _build, "offline: recorded OTLP requests in, finished traces out", _add_build)
    _add(commands, "replay", _replay, "send recorded OTLP requests to a running receiver", _add_replay)
    _add(commands, "sessions", _sessions, "list the open sessions of a running receiver", _add_limit)
    _add(commands, "tree", _tree, "show a session's tree as it would be built now", _add_session)
    _add(commands, "flush", _flush, "close a session with the tree that it is in, or all", _add_maybe_session)
    _add(commands, "queue", _queue, "show what waits to be sent, and what backends refused for good", _add_rows)
    _add(commands, "resend", _resend, "send again what backends refused for good", _add_ids)
    return parser


def _add(
    commands: Any,
    name: str,
    command: Callable[[argparse.Namespace], int],
    about: str,
    arguments: Callable[[argparse.ArgumentParser], None],
) -> None:
    parser = commands.add_parser(name, help=about, description=about)
    parser.set_defaults(command=command)
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    arguments(parser)


_CONFIG = "a YAML file, env:NAME or yaml:TEXT; later ones win"


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", action="append", default=[], metavar="FILE", help=_CONFIG)
    _add_set(parser)


def _add_print(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema of a file instead, for an editor")
    _add_config(parser)


def _add_configs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", action="extend", nargs="+", default=[], metavar="FILE", help=_CONFIG)
    _add_set(parser)


def _add_set(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--set", action="append", default=[], metavar="KEY::PATH=VALUE", help="one setting; wins")


def _add_build(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a recording or an `opencode export`, or a folder")
    parser.add_argument("--format", choices=("tree", "otlp-json", "otlp-proto"), default="tree", help="default: tree")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--output", metavar="FILE", help="write there instead of to standard output")
    where.add_argument("--endpoint", metavar="URL", help="send the traces there over OTLP instead")
    parser.add_argument("--protocol", choices=PROTOCOLS, help="of --endpoint; default: by the endpoint")
    parser.add_argument("--header", action="append", default=[], metavar="NAME=VALUE", help="of --endpoint's requests")
    _add_config(parser)


def _add_replay(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a recorded request, or a folder of them")
    parser.add_argument("--endpoint", default="localhost:4317", metavar="URL", help="default: localhost:4317")
    parser.add_argument("--protocol", choices=PROTOCOLS, help="default: by the endpoint")
    parser.add_argument("--header", action="append", default=[], metavar="NAME=VALUE", help="sent with every request")
    parser.add_argument("--rate", type=_rate, metavar="N", help="requests a second; default: as fast as they are taken")


def _add_endpoint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--endpoint", default="localhost:13134", metavar="HOST:PORT", help="the receiver's admin service (%(default)s)"
    )


def _add_limit(parser: argparse.ArgumentParser) -> None:
    _add_count(parser, 1000, "the last touched ones")


def _add_rows(parser: argparse.ArgumentParser) -> None:
    _add_count(parser, 20, "rows of what was refused, the last ones")


def _add_count(parser: argparse.ArgumentParser, default: int, what: str) -> None:
    about = f"{what}, 10000 at most; default: %(default)s"
    parser.add_argument("--limit", type=_count, default=default, metavar="N", help=about)
    _add_endpoint(parser)


def _add_session(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("session", metavar="SESSION_ID", help="an id that `sessions` lists")
    _add_endpoint(parser)


def _add_maybe_session(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("session", nargs="?", metavar="SESSION_ID", help="an id that `sessions` lists; default: all")
    _add_endpoint(parser)


def _add_ids(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ids", nargs="*", type=int, metavar="ID", help="an id that `queue` lists; default: all")
    _add_endpoint(parser)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of requests a second, such as 50")
    return rate


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 1 << 31):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of rows, such as 50")
    return int(text)


def _settings(options: argparse.Namespace) -> config.Settings:
    files = [source(name, os.environ) for name in options.config]
    return config.load(files, options.set, os.environ, referred)


# run


def _run(options: argparse.Namespace) -> int:
    from receiver.app.service import Service
    from receiver.diagnostics.setup import set_up_logs

    settings = _settings(options)
    logs = settings.service.telemetry.logs
    set_up_logs(logs.level, logs.encoding)
    asyncio.run(Service(settings, Console()).serve(_until_signal))
    return WELL


def _until_signal() -> asyncio.Future[None]:
    """Done at SIGTERM or SIGINT. A second signal ends the process at once: nothing acknowledged is lost by that."""
    loop = asyncio.get_running_loop()
    asked: asyncio.Future[None] = loop.create_future()

    def on_signal(number: int) -> None:
        if asked.done():
            os._exit(128 + number)
        asked.set_result(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    return asked


# validate, print-config


def _validate(options: argparse.Namespace) -> int:
    from receiver.app.factory import builder_settings

    settings = _settings(options)
    builder_settings(settings.connector)
    for notice in settings.notices:
        print(f"opencode-trace-receiver: warning: {notice}", file=sys.stderr)
    print("the configuration is valid")
    return WELL


def _print_config(options: argparse.Namespace) -> int:
    print(config.schema_text() if options.schema else config.effective(_settings(options)), end="")
    return WELL


# build


def _build(options: argparse.Namespace) -> int:
    from receiver.app.factory import builder_settings
    from receiver.cli.build import send, write
    from receiver.diagnostics.setup import set_up_logs
    from receiver.model import Request
    from receiver.pipeline.offline import build
    from receiver.recordings.files import read_recordings, recorded_files

    connector = _settings(options).connector
    settings = builder_settings(connector)
    files = recorded_files(options.paths)
    with _progress() as progress:
        task = progress.add_task("reading", total=len(files))

        def requests() -> Any:
            for done, path in enumerate(files):
                progress.update(task, completed=done, description=f"reading {path.name}")
                for recording in read_recordings([path]):
                    yield Request(recording.signal, recording.body, 0)
            progress.update(task, completed=len(files), description="building")

        built = build(requests(), settings, adopt_spans=connector.adopt_spans)
        if options.endpoint:
            set_up_logs("error", "console")  # what a backend remarks is said below, once
            progress.remove_task(task)
            said = asyncio.run(send(built, options.endpoint, options.protocol, options.header, progress))
    if options.endpoint:
        print(said)
    else:
        write(built, options.format, options.output)
    if options.format == "tree" and not built.spans:
        print("opencode-trace-receiver: the recordings tell of no session", file=sys.stderr)
    return WELL


# replay


def _replay(options: argparse.Namespace) -> int:
    from receiver.cli.replay import parse_headers, replay
    from receiver.recordings.files import Recording, read_recordings, recorded_files

    files, headers = recorded_files(options.paths), parse_headers(options.header)
    with _progress() as progress:
        task = progress.add_task("sending", total=len(files))

        def sent(recording: Recording) -> None:
            progress.update(task, advance=1, description=f"sending {Path(recording.source).name}")

        recordings, protocol = read_recordings(options.paths), options.protocol
        replaying = replay(recordings, options.endpoint, options.rate, sent, protocol=protocol, headers=headers)
        result = asyncio.run(replaying)
    for reason, first in result.reasons():
        print(f"opencode-trace-receiver: {first}: refused ({reason})", file=sys.stderr)
    print(f"{_counted(result.sent, 'request')} sent, {len(result.refused)} refused")
    return BAD if result.refused else WELL


# sessions, tree, flush, queue, resend: asked of a running receiver


def _sessions(options: argparse.Namespace) -> int:
    from receiver.admin.client import AdminClient
    from receiver.admin.view import sessions_table

    with AdminClient(options.endpoint) as client:
        answer = client.sessions(options.limit)
    if not answer.sessions:
        print("no session is open")
        return WELL
    _console().print(sessions_table(answer, time.time_ns()))
    if answer.total > len(answer.sessions):
        print(f"and {answer.total - len(answer.sessions)} more (--limit)")
    return WELL


def _tree(options: argparse.Namespace) -> int:
    from receiver.admin.client import AdminClient
    from receiver.admin.view import session_trees

    with AdminClient(options.endpoint) as client:
        answer = client.tree(options.session)
    for tree in session_trees(answer):
        _console().print(tree)
    if left := len(answer.left_span_ids):
        print(f"{left} of these spans have left already, and are told in short; the backend has them whole")
    return WELL


def _flush(options: argparse.Namespace) -> int:
    from receiver.admin.client import AdminClient

    with AdminClient(options.endpoint) as client:
        print(f"{_counted(client.flush(options.session), 'session')} closed")
    return WELL


def _queue(options: argparse.Namespace) -> int:
    from receiver.admin.client import AdminClient
    from receiver.admin.view import failures_table, queues_table, reasons_table, set_aside_table

    with AdminClient(options.endpoint) as client:
        queues, aside = client.queues(), client.set_aside(options.limit)
    now = time.time_ns()
    _console().print(queues_table(queues, now))
    if (failing := failures_table(queues, now)) is not None:
        print("\nfailing, and tried again:")
        _console().print(failing)
    if aside.rows:
        print("\nset aside:")
        _console().print(set_aside_table(aside.rows, now))
        if (more := sum(queue.set_aside_rows for queue in queues.queues) - len(aside.rows)) > 0:
            print(f"and {more} more (--limit); of the last 1000 in all:")
            _console().print(reasons_table(queues))
    return WELL


def _resend(options: argparse.Namespace) -> int:
    from receiver.admin.client import AdminClient

    with AdminClient(options.endpoint) as client:
        answer = client.resend(options.ids)
    queues = "its queue" if answer.rows == 1 else "their queues"
    print(f"{_counted(answer.rows, 'row')} ({_counted(answer.items, 'item')}) put back into {queues}")
    return WELL


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _console() -> Console:
    """Standard output; as wide as its lines where it is no terminal, so that nothing is cut off."""
    return Shown() if sys.stdout.isatty() else Shown(width=240)


def _progress() -> Progress:
    """A progress bar on standard error, where that is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
