"""A model in force is watched: what nodes tally of it, what that says, and who is told."""
