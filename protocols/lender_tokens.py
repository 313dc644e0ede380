"""How many lenders a person has, counted across institutions without learning who they are.

Each holder names lenders by tokens that only another holder could make. For a lender that holder i
knows of, and every other holder j that the consent names, except the recipient:

    token(i, j) = first 16 bytes of HMAC-SHA256(K, "credence/1|lender|" || consent hash ||
                  pseudonym || lender)              K: `protocols.keys.pair_key` of i and j, epoch

A *row* is one lender: its tokens in the order of the holders' ids. Row a of i and row b of j are
the same lender exactly when a's token for j is b's token for i. So the recipient counts, and:

- it cannot try out lenders, few as they are: K is between two other members
  (`docs/adr/0017-lenders-are-counted-under-the-holders-pair-keys.md` says what is assumed);
- rows of another person, consent or epoch have nothing in common with these;
- no message passes between holders, and no key is made for it.

The recipient itself, as a lender, is left out by every holder: what is counted are *other* lenders.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from protocols.errors import InvalidInput, Malformed, StateConflict
from protocols.identifiers import is_member_id

TOKEN_BYTES: Final = 16
MAX_LENDERS: Final = 256
MAX_HOLDERS: Final = 32
MAX_BYTES: Final = 6 + MAX_LENDERS * MAX_HOLDERS * TOKEN_BYTES

_LENDER: Final = re.compile(r"[a-z][a-z0-9-]{1,40}|uscc:[0-9A-Z]{18}")
_VERSION: Final = 1


class LendersNotComparable(StateConflict):
    """Holders answered in different key epochs; their rows cannot be compared."""

    code = "lenders_not_comparable"
    next_step = "Ask the holders again; they have changed to the new epoch by then."


@dataclass(frozen=True, slots=True)
class LenderRows:
    """What one holder says of a person's lenders.

    Attributes:
        epoch: key epoch of the pair keys.
        peers: the holders that the tokens of a row are for, sorted.
        rows: one a lender, in random order, each with a token of 16 bytes a peer.
    """

    epoch: int
    peers: tuple[str, ...]
    rows: tuple[tuple[bytes, ...], ...]


def peers_of(holder: str, holders: Iterable[str], recipient: str) -> tuple[str, ...]:
    """The holders that a holder makes tokens for, sorted."""
    return tuple(sorted(set(holders) - {holder, recipient}))


def blind(
    lenders: Iterable[str],
    pair_keys: Mapping[str, bytes],
    *,
    recipient: str,
    subject: bytes,
    consent_hash: bytes,
    epoch: int,
) -> LenderRows:
    """The rows of one holder.

    Args:
        lenders: who lends to the person: member ids, or `uscc:` and a unified social credit code.
            Holders must call one lender alike.
        pair_keys: of every one of `peers_of`, 32 bytes each, of `epoch`.
        recipient: who asks; not counted as a lender.
        subject: the pseudonym, 32 bytes.
        consent_hash: of the consent in force, 32 bytes.
        epoch: of the pair keys.

    Raises:
        InvalidInput: too many, or one is not of its form; the recipient is among the peers.
    """
    named = sorted(set(lenders) - {recipient})
    if len(named) > MAX_LENDERS or len(pair_keys) > MAX_HOLDERS or recipient in pair_keys:
        raise InvalidInput("too many lenders or holders, or the recipient is one of these")
    if not all(_LENDER.fullmatch(one) for one in named):
        raise InvalidInput("a lender is a member id, or uscc: and 18 characters")
    if len(subject) != 32 or len(consent_hash) != 32:
        raise InvalidInput("a pseudonym and a consent hash are 32 bytes each")
    peers = tuple(sorted(pair_keys))
    about = b"credence/1|lender|" + consent_hash + subject
    rows = [tuple(_token(pair_keys[peer], about, lender) for peer in peers) for lender in named]
    secrets.SystemRandom().shuffle(rows)  # their order would tell the lenders' names apart
    return LenderRows(epoch, peers, tuple(rows))


def count_distinct(said: Mapping[str, LenderRows]) -> int:
    """How many different lenders some holders name together.

    Args:
        said: by holder. Rows of a holder that makes no tokens for another one that is here are
            counted as lenders of their own: such a count is too high, never too low.

    Raises:
        LendersNotComparable: they are of different epochs.
    """
    if len({one.epoch for one in said.values()}) > 1:
        raise LendersNotComparable("the holders' rows are of different key epochs")
    places = [(holder, place) for holder, one in said.items() for place in range(len(one.rows))]
    parent = {place: place for place in places}

    def root(place: tuple[str, int]) -> tuple[str, int]:
        while parent[place] != place:
            parent[place] = place = parent[parent[place]]
        return place

    holders = sorted(said)
    for at, low in enumerate(holders):
        for high in holders[at + 1 :]:
            theirs = _tokens_for(said[high], low)
            for place, token in enumerate(_tokens_for(said[low], high)):
                if token in theirs:
                    parent[root((low, place))] = root((high, theirs.index(token)))
    return len({root(place) for place in places})


def encode(one: LenderRows) -> bytes:
    """Bytes on the wire: version, epoch (4, big endian), number of rows (1: less one), tokens.

    Who the peers are is not said: the recipient knows them from the consent (`peers_of`).
    """
    if not one.rows:
        return b""
    head = bytes([_VERSION]) + one.epoch.to_bytes(4, "big") + bytes([len(one.rows) - 1])
    return head + b"".join(token for row in one.rows for token in row)


def decode(data: bytes, peers: Sequence[str], epoch: int) -> LenderRows:
    """What `encode` wrote.

    Args:
        data: of one holder about one person; empty: it knows of no lender.
        peers: `peers_of` that holder, from the consent.
        epoch: of the directory, taken where nothing is said.

    Raises:
        Malformed: not of this form or length, or two rows are the same.
    """
    if not all(is_member_id(one) for one in peers) or list(peers) != sorted(set(peers)):
        raise InvalidInput("peers are member ids, sorted")
    if not data:
        return LenderRows(epoch, tuple(peers), ())
    if len(data) < 6 or len(data) > MAX_BYTES or data[0] != _VERSION:
        raise Malformed("not rows of lenders of this version")
    count, width = data[5] + 1, len(peers) * TOKEN_BYTES
    if len(data) != 6 + count * width:
        raise Malformed("the rows of lenders are not as many as they say")
    rows = tuple(
        tuple(
            data[at + step * TOKEN_BYTES : at + (step + 1) * TOKEN_BYTES]
            for step in range(len(peers))
        )
        for at in range(6, 6 + count * width, width)
    ) if width else ((),) * count  # fmt: skip
    if width and len(set(rows)) != count:
        raise Malformed("two rows are of one lender")
    return LenderRows(int.from_bytes(data[1:5], "big"), tuple(peers), rows)


def _token(key: bytes, about: bytes, lender: str) -> bytes:
    if len(key) != 32:
        raise InvalidInput("a pair key is 32 bytes")
    return hmac.new(key, about + lender.encode(), hashlib.sha256).digest()[:TOKEN_BYTES]


def _tokens_for(one: LenderRows, peer: str) -> list[bytes]:
    if peer not in one.peers:
        return []
    at = one.peers.index(peer)
    return [row[at] for row in one.rows]
