"""Decodes OTLP requests to records, and encodes spans. Nothing here depends on an agent."""
