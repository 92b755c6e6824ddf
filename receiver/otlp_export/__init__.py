"""The way out to backends: OTLP over gRPC and HTTP, and a file. Each exporter makes one attempt; it never waits."""
