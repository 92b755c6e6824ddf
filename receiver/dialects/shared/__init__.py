"""What several dialects need: reading fields, metric points, tool errors, slash commands, traceparent."""
