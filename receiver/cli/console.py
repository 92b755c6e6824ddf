"""What commands print: results to standard output, errors and progress to standard error."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

PROGRAM = "opencode-trace-receiver"
_WIDTH_WITHOUT_TERMINAL = 240  # columns, so that long ids are not cut off in a pipe


class StdoutConsole(Console):
    """Raises BrokenPipeError when the reader of standard output has gone; rich would end the process with 1."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def stdout_console() -> Console:
    """Standard output: as wide as the terminal, or 240 columns where it is none."""
    return StdoutConsole() if sys.stdout.isatty() else StdoutConsole(width=_WIDTH_WITHOUT_TERMINAL)


def progress_bar() -> Progress:
    """A progress bar on standard error; hidden where that is no terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def print_error(line: str) -> None:
    """Print one line to standard error, after the program's name."""
    print(f"{PROGRAM}: {line}", file=sys.stderr)


def counted(number: int, noun: str) -> str:
    """A number with its noun: `1 session`, `2 sessions`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
