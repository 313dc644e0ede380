"""Sealed credit signals between nodes: the holder answers, the recipient asks."""
