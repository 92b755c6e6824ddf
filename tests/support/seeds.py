"""How many seeds tests of random runs try: a few by default, many with HYPOTHESIS_PROFILE=deep (`make deep`)."""

from __future__ import annotations

import os


def seeds(default: int) -> range:
    """The seeds of a test: so many by default, ten times as many with the deep profile."""
    return range(default * 10 if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else default)
