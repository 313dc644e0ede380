"""A trustee's shares at rest: sealed under the node's key-encryption key, one a ceremony."""

from dataclasses import dataclass

from audit.database import Connection, Database
from audit.leaf import Entry
from audit.store import AuditLog
from node.storage import pseudonyms as storage
from node.storage.pseudonyms import ShareRow
from protocols import aead, ristretto
from protocols.ceremony import PseudonymKey
from protocols.errors import CredenceError, NotFound
from protocols.ristretto import Scalar

EPOCHS_KEPT = 2  # the newest, and the one before while members enrol anew


class NotATrustee(NotFound):
    """This node holds no share of that key."""

    code = "not_a_trustee"
    next_step = "Ask the trustees that the key's document names."


class ShareDamaged(CredenceError):
    """The stored share is not the one that the key's document vouches for."""

    code = "share_damaged"
    next_step = "Restore the node's database; until then the other trustees serve."


@dataclass(frozen=True, repr=False)
class Shares:
    """Shares of one node.

    Attributes:
        database: the node's.
        member_id: the node's.
        kek: its 32-byte key-encryption key.
        audit: its log.
    """

    database: Database
    member_id: str
    kek: bytes
    audit: AuditLog

    def store(self, ceremony_id: str, epoch: int, index: int, share: Scalar, now_ms: int) -> None:
        """Seal and keep a share; the ceremony need not be completed yet."""
        sealed = aead.encrypt(self.kek, share, self._aad(ceremony_id, epoch, index))
        with self.database.write() as connection:
            storage.put_share(connection, ShareRow(ceremony_id, epoch, index, sealed, now_ms))
            self._log(connection, "pseudonyms.share_kept", ceremony_id, now_ms, {"epoch": epoch})

    def open(self, key: PseudonymKey) -> tuple[Scalar, int]:
        """This node's share of a key, and its index.

        Raises:
            NotATrustee: it holds none.
            SignatureInvalid, ShareDamaged: what is stored is not that share.
        """
        ceremony = key.ceremony
        with self.database.read() as connection:
            row = storage.share(connection, ceremony.ceremony_id)
        if row is None or self.member_id not in key.verification_shares:
            raise NotATrustee(f"no share of the pseudonym key of epoch {key.epoch} here")
        aad = self._aad(row.ceremony_id, row.epoch, row.share_index)
        share = aead.decrypt(self.kek, row.sealed, aad)
        expected = key.verification_shares[self.member_id]
        if ristretto.multiply_base(share) != expected:
            raise ShareDamaged("the stored share does not match its verification share")
        return share, row.share_index

    def retire(self, connection: Connection, newest_epoch: int, now_ms: int) -> int:
        """Destroy shares of epochs that are over; how many."""
        below = newest_epoch - EPOCHS_KEPT + 1
        gone = storage.drop_shares_below(connection, below)
        if gone:
            facts = {"below_epoch": below, "shares": gone}
            self._log(connection, "pseudonyms.shares_destroyed", "", now_ms, facts)
        return gone

    def _log(
        self,
        connection: Connection,
        kind: str,
        ceremony_id: str,
        at_ms: int,
        facts: dict[str, int],
    ) -> None:
        entry = Entry(
            kind=kind,
            actor=self.member_id,
            purpose="pseudonyms",
            correlation=ceremony_id,
            payload=facts,
            subject=None,
            at_ms=at_ms,
        )
        self.audit.append(connection, entry)

    def _aad(self, ceremony_id: str, epoch: int, index: int) -> bytes:
        return f"credence/1|key-share|{self.member_id}|{ceremony_id}|{epoch}|{index}".encode()
