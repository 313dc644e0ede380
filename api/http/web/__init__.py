"""What every page of a node shares: rendering, words, forms, static files, safe headers."""
