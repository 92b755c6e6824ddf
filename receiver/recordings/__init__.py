"""Reads recorded OTLP requests and OpenCode's session exports from files and folders."""
