"""The durable state: what the pipeline needs of a store (interface.py), and its implementation on SQLite."""
