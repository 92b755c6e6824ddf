"""How many links are found, and how many are wrong, over load and loss: the table of docs/inference.md.

PYTHONPATH=. python benchmarks/links.py [schedules]
"""

from __future__ import annotations

import sys
from collections import Counter

from tests.support.plugin_schedules import PROFILES, play

LOADS, LOSSES = (0.5, 1, 2, 4, 8), (0.0, 0.05)


def main() -> None:
    """Prints the table, row by row."""
    schedules = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    print("| events of | load | records lost | children | precision | recall | only the parent | none |")
    print("|---|---|---|---|---|---|---|---|")
    for profile in PROFILES:
        for lost in LOSSES:
            for load in LOADS:
                found: Counter[str] = Counter()
                for seed in range(schedules):
                    found += play(seed, profile, load, lost)
                print(_row(profile, load, lost, found), flush=True)


def _row(profile: str, load: float, lost: float, found: Counter[str]) -> str:
    claimed, told = found["right"] + found["wrong"], found["all"] or 1
    shares = (found["right"] / (claimed or 1), found["right"] / told, found["loose"] / told, found["alone"] / told)
    cells = " | ".join(f"{100 * share:.1f} %" for share in shares)
    return f"| {profile} | {load:g} | {100 * lost:.0f} % | {found['all']} | {cells} |"


if __name__ == "__main__":
    main()
