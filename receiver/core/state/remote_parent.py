"""Remote parents: the span of another program that stands above a root session (contract 6.6).

Each applies to the segment in which it was first told, so that a process whose environment names one for good does not
put everything that it ever does into one trace: later segments are traces of their own, linked to the one before. Of
several told in one segment the best witness is believed, then the earliest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from receiver.core.state.session import Remotes

MOST = 256  # kept of a session: those told first, so that the order of telling does not matter


class Remote(NamedTuple):
    """A span of another program."""

    trace: bytes
    span: bytes


def learn_remote(remotes: Remotes, remote: str, rank: int, time: int) -> None:
    """Merge one statement. `time` is when it was made (ns)."""
    held_rank, held_time = remotes.get(remote, (rank, time))
    remotes[remote] = (min(held_rank, rank), min(held_time, time))
    if len(remotes) > MOST:
        del remotes[max(remotes, key=lambda name: (remotes[name][1], name))]


def believed(remotes: Mapping[str, tuple[int, int]]) -> Remote | None:
    """The one of several that is believed."""
    best = min(remotes, key=lambda name: (*remotes[name], name), default=None)
    if best is None:
        return None
    trace, _, span = best.partition("-")
    return Remote(bytes.fromhex(trace), bytes.fromhex(span))
