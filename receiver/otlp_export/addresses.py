"""Why each address of a name failed. gRPC tells of one at a time, and `localhost` has two: that nobody listens at `::1`
would hide what is wrong at 127.0.0.1.
"""

from __future__ import annotations

import re

_ONE = re.compile(r"last error: [A-Z_]+: (ipv[46]:\S+): (.*)", re.DOTALL)
_MOST = 8  # a name may stand for many


class Addresses:
    """What was last said of each, since the last success."""

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {}

    def others(self, details: str) -> str:
        """Take in what a failed call says of one address; what is to be added of the others, where that differs."""
        found = _ONE.search(details)
        if found is None:
            return ""
        address, reason = found.groups()
        told = {one: why for one, why in self._reasons.items() if one != address and why != reason}
        if len(self._reasons) < _MOST or address in self._reasons:
            self._reasons[address] = reason
        return "".join(f"; before that {one}: {why}" for one, why in told.items())
