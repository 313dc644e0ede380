"""Who may call this node's API, how they show it, and how often."""
