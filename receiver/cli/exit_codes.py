"""The exit codes of every command. A second signal to `run` ends it with 128 plus the signal's number instead."""

from __future__ import annotations

OK = 0
BAD_INPUT = 1  # the configuration or the input is wrong, or the receiver cannot be reached
USAGE = 2
INTERRUPTED = 130
