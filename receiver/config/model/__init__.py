"""The settings as frozen classes, a file for each kind of component."""
