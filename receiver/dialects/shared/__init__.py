"""What several dialects need: fields, metric points, calls, tool errors, commands, MCP resources, traceparent."""
