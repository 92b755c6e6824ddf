"""Bytes to nouns and back: the only place that knows protobuf. Nothing here knows an agent."""
