"""Puts the running receiver together: parts from the configuration (factory.py), their start and stop (service.py), and
the operator endpoints."""
