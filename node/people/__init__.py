"""Who opens the portal and the desk: accounts, what proves a person, sessions, limits."""
