"""What outlives a crash: the store's interface and its SQLite implementation."""
