"""State: what is known of sessions, and which is below which. Nothing is decided here."""
