"""Regulators at the coordinator: who may read, and what of the network they read."""
