"""The tests. Shared words are in factories (what a session tells), virtual (time) and laws (what must hold)."""
