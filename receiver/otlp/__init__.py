"""The OTLP receivers: what listens, checks and answers. Decides nothing about records."""
