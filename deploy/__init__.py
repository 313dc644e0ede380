"""How a network is brought up."""
