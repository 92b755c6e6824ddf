"""Recorded OTLP requests and OpenCode's session exports, read from files and folders."""
