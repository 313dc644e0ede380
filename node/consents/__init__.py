"""The consents of a node: as consent node for its customers, as holder and recipient for others."""
