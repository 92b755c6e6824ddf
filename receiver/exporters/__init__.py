"""Sends built and passed-through requests to backends: queue, sender, and one file for each kind of exporter."""
