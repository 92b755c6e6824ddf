"""What is known of sessions, merged, and who is below whom. Nothing is decided here."""
