"""`run`: serves until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from collections.abc import Mapping

from rich.console import Console

from receiver.app.service import Service
from receiver.cli.config_sources import load_settings
from receiver.cli.exit_codes import OK
from receiver.diagnostics.setup import set_up_logs


def run(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Run the receiver. Raises ConfigError, or another ReceiverError when it cannot start."""
    settings = load_settings(options, environment)
    logs = settings.service.telemetry.logs
    set_up_logs(logs.level, logs.encoding)
    asyncio.run(Service(settings, Console()).serve(_until_signal))
    return OK


def _until_signal() -> asyncio.Future[None]:
    """Done at SIGTERM or SIGINT. A second signal ends the process at once; no acknowledged request is lost by that."""
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[None] = loop.create_future()

    def on_signal(number: int) -> None:
        if stopped.done():
            os._exit(128 + number)
        stopped.set_result(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    return stopped
