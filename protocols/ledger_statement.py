"""What a node says of its privacy ledger, signed: how far it and its audit log have come.

A node signs one before every noised result leaves it, keeps the newest in a file beside its
database, and sends it along. Whoever is shown an older ledger or an older log than one that was
signed before knows that it was put back. How long the log is tells how much an institution does, so
size and root are sealed for the node itself; what others read is the number of charges.
"""

from dataclasses import dataclass

from protocols.canonical import canonical_json, parse_canonical
from protocols.errors import Malformed
from protocols.keys import SigningKey, VerifyKey

DOMAIN = "ledger"
MAX_STATEMENT_BYTES = 1024
_SIGNATURE_BYTES = 64
_MOST = 2**53 - 1


class LedgerStatementInvalid(Malformed):
    """A statement of a privacy ledger is missing, malformed, of another member or badly signed."""

    code = "ledger_statement_invalid"
    next_step = "Run a release of the node that signs where its ledger stands."


@dataclass(frozen=True)
class LedgerStatement:
    """How far one node's ledger has come.

    Attributes:
        member_id: the node.
        charges: lines of its ledger.
        log: size and root of its audit log then, sealed by the node for itself.
        at_ms: when it was signed, UTC milliseconds.
    """

    member_id: str
    charges: int
    log: bytes
    at_ms: int

    def sign(self, key: SigningKey) -> bytes:
        """Signature (64 bytes), then the canonical JSON body."""
        body = canonical_json(
            {
                "member_id": self.member_id,
                "charges": self.charges,
                "log": self.log.hex(),
                "at_ms": self.at_ms,
            }
        )
        return key.sign(DOMAIN, body) + body


def read_statement(data: bytes, key: VerifyKey, member_id: str) -> LedgerStatement:
    """Read a member's statement.

    Raises:
        LedgerStatementInvalid: 1. it is too short or too long; 2. the body is malformed; 3. it is
            of another member.
        SignatureInvalid: `key` did not sign it.
    """
    # 1. Length.
    if not _SIGNATURE_BYTES < len(data) <= MAX_STATEMENT_BYTES:
        raise LedgerStatementInvalid("a statement of a ledger is missing or of another length")
    signature, body = data[:_SIGNATURE_BYTES], data[_SIGNATURE_BYTES:]
    key.verify(DOMAIN, body, signature)
    # 2. Form.
    fields = parse_canonical(body, max_bytes=MAX_STATEMENT_BYTES)
    names = {"member_id", "charges", "log", "at_ms"}
    if not isinstance(fields, dict) or set(fields) != names:
        raise LedgerStatementInvalid("a statement of a ledger has other fields")
    for name in ("charges", "at_ms"):
        if type(fields[name]) is not int or not 0 <= fields[name] <= _MOST:
            raise LedgerStatementInvalid(f"{name} is not a count")
    try:
        sealed = bytes.fromhex(fields["log"])
    except (TypeError, ValueError) as error:
        raise LedgerStatementInvalid("log is not hexadecimal") from error
    # 3. Whose.
    if fields["member_id"] != member_id:
        raise LedgerStatementInvalid("the statement is of another member's ledger")
    return LedgerStatement(member_id, fields["charges"], sealed, fields["at_ms"])
