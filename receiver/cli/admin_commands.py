"""`sessions`, `tree`, `flush`, `queue` and `resend`: call the admin service of a running receiver and print the
response. Each raises ReceiverError when the call fails.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping

from receiver.admin.client import AdminClient
from receiver.admin.view import (
    failures_table,
    queues_table,
    reasons_table,
    session_trees,
    sessions_table,
    set_aside_table,
)
from receiver.cli.console import counted, stdout_console
from receiver.cli.exit_codes import OK


def sessions(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Print the open sessions."""
    with AdminClient(options.endpoint) as client:
        response = client.sessions(options.limit)
    if not response.sessions:
        print("no session is open")
        return OK
    stdout_console().print(sessions_table(response, time.time_ns()))
    if response.total > len(response.sessions):
        print(f"and {response.total - len(response.sessions)} more (--limit)")
    return OK


def tree(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Print a session's tree."""
    with AdminClient(options.endpoint) as client:
        response = client.tree(options.session)
    for shown in session_trees(response):
        stdout_console().print(shown)
    if emitted := len(response.left_span_ids):
        print(f"{counted(emitted, 'span')} emitted already and shown in short; the backend has the details")
    return OK


def flush(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Close a session with its tree, or all sessions."""
    with AdminClient(options.endpoint) as client:
        print(f"{counted(client.flush(options.session), 'session')} closed")
    return OK


def queue(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Print the sending queues, their failures and the rows set aside."""
    with AdminClient(options.endpoint) as client:
        queues, aside = client.queues(), client.set_aside(options.limit)
    now = time.time_ns()
    console = stdout_console()
    console.print(queues_table(queues, now))
    if (failures := failures_table(queues, now)) is not None:
        print("\nsending fails, and is retried:")
        console.print(failures)
    if aside.rows:
        print("\nset aside:")
        console.print(set_aside_table(aside.rows, now))
        if (more := sum(queue.set_aside_rows for queue in queues.queues) - len(aside.rows)) > 0:
            print(f"and {more} more (--limit); the reasons of the latest 1000 rows:")
            console.print(reasons_table(queues))
    return OK


def resend(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Put rows set aside back into their queues."""
    with AdminClient(options.endpoint) as client:
        response = client.resend(options.ids)
    queues = "its queue" if response.rows == 1 else "their queues"
    print(f"{counted(response.rows, 'row')} ({counted(response.items, 'item')}) put back into {queues}")
    return OK
