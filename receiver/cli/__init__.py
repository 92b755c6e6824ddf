"""The command line: main.py runs a command, arguments.py parses, and each command has its module."""
