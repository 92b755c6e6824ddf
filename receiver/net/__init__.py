"""What both sides of the wire need: addresses and TLS."""
