"""People's rights: domain, wire, desk and pages."""
