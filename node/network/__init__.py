"""How a node reaches the network: joining, documents, channels, its member port."""
