"""Baselines: the classic credit models that the network of a campaign is compared with.

Each is trained by one node on its own consented rows, without differential privacy, and stays there
(docs/models.md). A comparison is a figure for the node's own staff; nothing of it is released.
"""
