"""From texts to settings: YAML, references, merging, defaults, environment variables, validation, cross checks."""
