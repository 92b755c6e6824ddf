"""`replay`: sends recordings to a running receiver (replay.py) and prints what became of them."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping
from pathlib import Path

from receiver.cli.console import counted, print_error, progress_bar
from receiver.cli.exit_codes import BAD_INPUT, OK
from receiver.cli.replay import parse_headers, replay
from receiver.recordings.files import Recording, read_recordings, recorded_files


def replay_command(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Replay recordings; BAD_INPUT if the receiver refused any of them. Raises ReceiverError when it cannot go on."""
    files, headers = recorded_files(options.paths), parse_headers(options.header)
    with progress_bar() as progress:
        task = progress.add_task("sending", total=len(files))

        def on_sent(recording: Recording) -> None:
            progress.update(task, advance=1, description=f"sending {Path(recording.source).name}")

        recordings, protocol = read_recordings(options.paths), options.protocol
        sending = replay(recordings, options.endpoint, options.rate, on_sent, protocol=protocol, headers=headers)
        result = asyncio.run(sending)
    for reason, source in result.reasons():
        print_error(f"{source}: refused ({reason})")
    print(f"{counted(result.sent, 'request')} sent, {len(result.refused)} refused")
    return BAD_INPUT if result.refused else OK
