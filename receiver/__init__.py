"""opencode-trace-receiver: OpenCode's telemetry events in, the traces that they describe out."""

from receiver._version import __version__

__all__ = ["__version__"]
