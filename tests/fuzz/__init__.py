"""Fuzzing of what parses bytes from outside: `make fuzz`, or `python -m tests.fuzz envelope`."""
