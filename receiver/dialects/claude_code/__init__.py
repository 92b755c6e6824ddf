"""Claude Code: its log events and metrics, its beta spans, and the requests and tools that both describe."""
