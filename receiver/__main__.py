"""`python -m receiver`, the same as `opencode-trace-receiver`."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line and exit with its code."""
    # gRPC's core would write a line to standard error for each failed handshake, past the program's log
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    from receiver.cli.main import run_command

    sys.exit(run_command(sys.argv[1:]))


if __name__ == "__main__":
    main()
