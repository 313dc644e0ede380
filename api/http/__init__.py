"""HTTP faces of a node: scores for financing platforms, later portal and consoles."""
