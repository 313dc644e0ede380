"""The regulator's console: the same pages at a node (one institution) and at the coordinator."""
