"""Differential privacy: what a mechanism costs, the noise, the budget it is paid from."""
