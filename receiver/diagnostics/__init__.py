"""The program's own log: set-up, rate limits, escaping of control characters, filters."""
