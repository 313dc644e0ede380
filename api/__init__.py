"""Every face: HTTP, command line, SDK."""
