"""`python -m receiver`, the same as `opencode-trace-receiver`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    from receiver.cli import run_command

    sys.exit(run_command(sys.argv[1:]))


if __name__ == "__main__":
    main()
