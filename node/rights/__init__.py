"""People's rights at a node: for its own customers, and as a furnisher for other members'."""
