"""A console that leaves the end of its reader to whoever runs the command."""

from __future__ import annotations

from rich.console import Console


class Shown(Console):
    """Leaves it to run_command() what a reader means that has gone; rich would end the process with 1."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError
