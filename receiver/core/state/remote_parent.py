"""Remote parents: the span of another program that is the parent of a root session (docs/contract.md 6.6).

Each applies to the segment in which it was first stated. So a process whose environment always names one does not put
everything that it ever does into one trace: later segments are traces of their own, linked to the one before. Of
several in one segment the most reliable is believed, then the earliest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from receiver.core.state.session import Remotes

MAX_REMOTES = 256  # kept of a session: the earliest ones, so that the order of arrival does not matter


class Remote(NamedTuple):
    """A span of another program."""

    trace: bytes
    span: bytes


def learn_remote(remotes: Remotes, remote: str, rank: int, time: int) -> None:
    """Merge one statement, made at `time` (ns)."""
    best, first = remotes.get(remote, (rank, time))
    remotes[remote] = (min(best, rank), min(first, time))
    if len(remotes) > MAX_REMOTES:
        del remotes[max(remotes, key=lambda name: (remotes[name][1], name))]


def believed(remotes: Mapping[str, tuple[int, int]]) -> Remote | None:
    """Which of several is believed; None of none."""
    best = min(remotes, key=lambda name: (*remotes[name], name), default=None)
    if best is None:
        return None
    trace, _, span = best.partition("-")
    return Remote(bytes.fromhex(trace), bytes.fromhex(span))
