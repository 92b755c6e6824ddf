"""GitHub Copilot CLI: its spans."""
