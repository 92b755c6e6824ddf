"""Which part of a session, and so which trace, a moment belongs to: pauses, rollover, turns."""
