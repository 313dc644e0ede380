"""The regulator's console, retention and legal holds."""
