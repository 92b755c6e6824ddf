"""What the configuration can hold, as documents: JSON Schema, reference page, redacted print, unsupported keys."""
