"""Test vectors for other implementers: docs/vectors/*.json, the same bytes on every run.

Each module makes the vectors of one page from fixed keys. Everything random comes from a seeded
source; HPKE is sealed by a second implementation of RFC 9180 (`scripts/vectors/hpke.py`), because
the one in use takes no ephemeral key.
"""
