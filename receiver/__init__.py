"""opencode-trace-receiver: coding agents' telemetry events in, the traces that they describe out."""

__version__ = "0.1.0"  # read by packaging, `--version` and the instrumentation scope of every built span
