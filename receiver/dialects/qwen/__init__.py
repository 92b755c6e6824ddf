"""Qwen Code: its log events, which suffice, and its spans, which add how turns ended and who started a subagent."""
