"""Who lends to a person, as a holder says it and as a recipient counts it: blinded.

Today an institution names itself, where it keeps a credit account of the person.
"""

from collections.abc import Mapping

from consent.policy import Terms
from models.catalogue import Catalogue, SignalStatus
from node.network.pairwise import PairKeys
from node.storage.signals import SignalVector
from protocols.directory import Directory
from protocols.errors import CredenceError
from protocols.lender_tokens import blind, count_distinct, decode, encode, peers_of

PURPOSE = "monitor"
ACCOUNTS = "credit_account"


def said(
    member_id: str,
    terms: Terms,
    vector: SignalVector | None,
    *,
    recipient: str,
    catalogue: Catalogue,
    pair_keys: PairKeys,
    epoch: int,
) -> bytes:
    """What this holder says of a person's lenders; empty: it knows of none, or cannot say.

    Args:
        member_id: this holder.
        terms: of the consent; its holders are who tokens are made for.
        vector: this holder's own signals of the person.
        recipient: who asked.
        catalogue: says which signals are of accounts.
        pair_keys: of this holder.
        epoch: of the pair keys.
    """
    accounts = {spec.id for spec in catalogue.held_by(ACCOUNTS)}
    present = int(SignalStatus.PRESENT)
    lends = vector is not None and any(
        name in accounts and status == present for name, (status, _) in vector.signals.items()
    )
    if not lends:
        return b""
    try:
        keys = {
            peer: pair_keys.with_member(peer, epoch)
            for peer in peers_of(member_id, terms.holders, recipient)
        }
        rows = blind(
            [member_id],
            keys,
            recipient=recipient,
            subject=terms.pseudonym,
            consent_hash=terms.consent_hash,
            epoch=epoch,
        )
    except CredenceError:  # a holder that the directory does not name any more
        return b""
    return encode(rows)


def counted(
    heard: Mapping[str, bytes], terms: Terms, recipient: str, directory: Directory
) -> int | None:
    """How many other lenders the holders name; None: nobody said anything that can be compared."""
    if not heard:
        return None
    try:
        rows = {
            holder: decode(one, peers_of(holder, terms.holders, recipient), directory.epoch)
            for holder, one in heard.items()
        }
        return count_distinct({holder: one for holder, one in rows.items() if one.rows})
    except CredenceError:
        return None
