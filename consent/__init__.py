"""The consent artefact, its lifecycle as data, and the release policy."""
