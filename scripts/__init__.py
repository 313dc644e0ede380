"""What keeps the repository honest: checks and generators that `make` runs."""
