"""The configuration as documents: JSON Schema, reference page, redacted print, unsupported keys."""
