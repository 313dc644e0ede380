"""Signing in, staying signed in and what accounts are opened with; the same for portal and desk."""
