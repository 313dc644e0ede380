"""What a running node counts and traces about itself; nothing about people."""
