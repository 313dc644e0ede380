"""The relay: carries sealed calls to members that accept no connection."""
