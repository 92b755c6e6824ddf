"""Codex CLI: its log events, which suffice; its spans are adopted."""
