"""Claude Code: its log events, its beta spans, and what both say of requests and tools."""
