"""From an accepted request to queued spans: read, load, apply, advance, commit, send. Knows no agent and no wire."""
