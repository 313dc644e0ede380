"""The institution's desk: what its staff sees and does about people's rights."""
