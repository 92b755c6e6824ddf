"""The command line: arguments, exit codes, one-line errors, and one file for each large command."""
