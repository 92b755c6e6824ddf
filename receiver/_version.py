"""The version: read by packaging, `--version` and the instrumentation scope of every built span."""

__version__ = "0.1.0"
