"""The coordinator's tables, their migrations and all queries on them."""
