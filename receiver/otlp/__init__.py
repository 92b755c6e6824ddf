"""The OTLP wire: what listens, what answers, what sends. Decides nothing about records."""
