"""The order of effects between a request and its spans: read, load, apply, advance, commit, send. No agent's words."""
