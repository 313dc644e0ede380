"""The operator's console: pages over `coordinator.console`, live while they are open."""
