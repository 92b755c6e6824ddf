"""The program's own log: its set-up, rate limits, escaping of control characters, filters."""
