"""Turns texts into settings: YAML, references, merging, defaults, environment variables, validation, cross checks."""
