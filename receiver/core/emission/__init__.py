"""Emission: what becomes a span and when (planned, then applied), its parent, and how it looks (rendering)."""
