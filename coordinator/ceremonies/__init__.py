"""Key ceremonies at the coordinator: it keeps the board and the time, and learns no key."""
