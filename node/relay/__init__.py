"""Relayed calls at a node: taking them over a stream of its own, and making them."""
