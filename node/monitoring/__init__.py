"""Portfolio monitoring: telling a client what changed about a person who agreed to it."""
