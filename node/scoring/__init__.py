"""Scores at a node: consent, signals, model, log."""
