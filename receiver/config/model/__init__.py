"""The settings as frozen classes; each kind of component has its file."""
