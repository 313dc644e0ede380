"""Identifiers become pseudonyms here and nowhere else in a node.

Today a pseudonym is a keyed hash under a network key that every member holds, which protects
against outsiders, not against a member. A threshold VOPRF (RFC 9497) replaces it behind this
service; its callers stay as they are, which is why the service takes identifiers in batches.
"""

from collections.abc import Sequence

from protocols.pseudonyms import pseudonym, subject_ref


class PseudonymService:
    """Turns resident identifiers into pseudonyms and pseudonyms into local references."""

    def __init__(self, network_key: bytes, local_key: bytes) -> None:
        """Work under the network's key (pseudonyms) and this node's own (references)."""
        self._network_key = network_key
        self._local_key = local_key

    def pseudonyms(self, identifiers: Sequence[str]) -> list[bytes]:
        """One pseudonym of 32 bytes for each identifier, in order.

        Raises:
            InvalidInput: an identifier is not a valid 18-digit resident identifier.
        """
        return [pseudonym(self._network_key, identifier) for identifier in identifiers]

    def pseudonym(self, identifier: str) -> bytes:
        """The pseudonym of one identifier; see `pseudonyms`."""
        return self.pseudonyms([identifier])[0]

    def subject_ref(self, pseudonym: bytes) -> str:
        """The reference this node's own clients use for a person; other nodes' differ."""
        return subject_ref(self._local_key, pseudonym)
