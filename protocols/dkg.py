"""Distributed key generation: n trustees make a shared key that nobody ever holds (t-of-n).

Pedersen's protocol with Feldman's commitments (Gennaro, Jarecki, Krawczyk, Rabin 2007), a proof
of knowledge of each dealt secret (as in FROST, RFC 9591 appendix on DKG), and a hash commitment
round first, so that nobody chooses a contribution after seeing the others'. Everything public is
posted on a board that the coordinator keeps; it can read no share and forge no entry, and when it
shows different boards to different trustees the transcripts of the last round differ.

Rounds, each one signed entry a trustee:

1. `commitment`: SHA-256 of the opening of round 2.
2. `deal`: commitments C_0..C_{t-1}, the proof of knowledge of a_0, and a sealed share for each.
3. `verdict`: the dealers whose share does not open or does not match.
4. `answer`: each accused dealer shows the disputed share to all.
5. `confirmation`: hash of the transcript, the public key and the verification shares, the same
   from everybody.

Rules of `judge`, which everybody applies to the same public entries:

1. A trustee without a readable commitment or deal is out.
2. An opening that is not the committed one, or has a wrong number of commitments, is out.
3. A wrong proof of knowledge is out.
4. An accused dealer that does not answer, or answers with a wrong share, is out; an answer that
   matches settles the complaint, and the accuser uses the share shown.
5. Fewer than t remaining: there is no key.

Assumptions: fewer than t trustees collude. A dealer may still abort between rounds 1 and 2, which
biases the key by one choice an aborting dealer and reveals nothing of it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from protocols import aead, ristretto, secret_sharing
from protocols.canonical import canonical_json, sha256
from protocols.dkg_entries import (
    ROUNDS,
    Board,
    Ceremony,
    Opening,
    Round,
    knows,
    prove_knowledge,
    shown_share,
    verdicts,
)
from protocols.errors import CredenceError, Malformed
from protocols.keys import SealingKey, pair_key
from protocols.ristretto import Element, Scalar

__all__ = [
    "ROUNDS",
    "Board",
    "Ceremony",
    "CeremonyFailed",
    "Judgement",
    "Round",
    "TranscriptDiverged",
    "Trustee",
    "confirmation",
    "confirmation_body",
    "judge",
    "settle",
]


class CeremonyFailed(CredenceError):
    """Too few honest trustees took part; `blamed` says who did what."""

    code = "ceremony_failed"
    category = "conflict"
    next_step = "Exclude the blamed trustees or bring the silent ones back, and begin anew."

    def __init__(self, message: str, blamed: Mapping[str, str]) -> None:
        super().__init__(message)
        self.blamed = dict(blamed)


class TranscriptDiverged(CredenceError):
    """Trustees saw different boards: the board's keeper or a trustee equivocated."""

    code = "transcript_diverged"
    category = "conflict"
    next_step = "Compare the signed entries of the trustees named; do not use this key."


@dataclass(frozen=True)
class Judgement:
    """What the public entries say: the key, everybody's verification share, who is out and why."""

    qualified: tuple[str, ...]
    blamed: dict[str, str]
    public_key: Element
    verification_shares: dict[str, Element]
    transcript: bytes


class Trustee:
    """One trustee's own state through a ceremony; it lives in memory only until the end."""

    def __init__(
        self,
        ceremony: Ceremony,
        member_id: str,
        sealing_key: SealingKey,
        sealing_publics: Mapping[str, bytes],
    ) -> None:
        """Draw this trustee's polynomial.

        Args:
            ceremony: what all trustees agreed on.
            member_id: this trustee.
            sealing_key: its X25519 key.
            sealing_publics: the X25519 public keys of all trustees, from the directory.
        """
        self._ceremony = ceremony
        self._own = member_id
        self._index = ceremony.index(member_id)
        self._sealing_key = sealing_key
        self._publics = dict(sealing_publics)
        self._polynomial = secret_sharing.random_polynomial(ceremony.threshold)
        self._opening = self._open()

    def commitment(self) -> bytes:
        """The entry of round 1."""
        return canonical_json({"opening_sha256": sha256(self._opening).hex()})

    def deal(self) -> bytes:
        """The entry of round 2."""
        return self._opening

    def verdict(self, board: Board) -> bytes:
        """The entry of round 3: the dealers this trustee accuses."""
        accused = [
            dealer
            for dealer, opening in _openings(self._ceremony, board, {}).items()
            if self._share_from(dealer, opening) is None
        ]
        return canonical_json({"accused": sorted(accused)})

    def answer(self, board: Board) -> bytes:
        """The entry of round 4: the shares that accusers say they did not get."""
        accusers = [a for a, named in verdicts(self._ceremony, board).items() if self._own in named]
        shares = {
            accuser: secret_sharing.evaluate_polynomial(
                self._polynomial, self._ceremony.index(accuser)
            ).hex()
            for accuser in accusers
        }
        return canonical_json({"shares": shares})

    def conclude(self, board: Board) -> tuple[Judgement, Scalar]:
        """The judgement of rounds 1 to 4, and this trustee's share of the key.

        Raises:
            CeremonyFailed: too few trustees qualified.
        """
        judgement = judge(self._ceremony, board)
        openings = _openings(self._ceremony, board, {})
        share = ristretto.scalar_of(0)
        for dealer in judgement.qualified:
            part = self._share_from(dealer, openings[dealer])
            if part is None:  # settled by rule 4: the dealer showed it to all
                part = shown_share(board, dealer, self._own)
            if part is None:
                raise CeremonyFailed("a qualified dealer's share is missing", judgement.blamed)
            share = ristretto.add_scalars(share, part)
        if ristretto.multiply_base(share) != judgement.verification_shares[self._own]:
            raise CeremonyFailed("the shares do not add up", judgement.blamed)
        return judgement, share

    def _open(self) -> bytes:
        sealed = {
            member: aead.encrypt(
                self._box_key(member),
                secret_sharing.evaluate_polynomial(self._polynomial, self._ceremony.index(member)),
                self._box_aad(self._own, member),
            ).hex()
            for member in self._ceremony.trustees
        }
        commitments = secret_sharing.commit(self._polynomial)
        proof = prove_knowledge(self._ceremony, self._index, self._polynomial[0], commitments[0])
        return canonical_json(
            {
                "commitments": [c.hex() for c in commitments],
                "proof": proof.hex(),
                "sealed": sealed,
            }
        )

    def _share_from(self, dealer: str, opening: Opening) -> Scalar | None:
        """This trustee's share of a dealer's secret; None when it cannot be used."""
        try:
            share = ristretto.scalar(
                aead.decrypt(
                    self._box_key(dealer),
                    opening.sealed.get(self._own, b""),
                    self._box_aad(dealer, self._own),
                )
            )
        except CredenceError:
            return None
        matches = secret_sharing.share_matches(share, opening.commitments, self._index)
        return share if matches else None

    def _box_key(self, peer: str) -> bytes:
        low, high = sorted((self._own, peer))
        if peer == self._own:  # nobody else opens it; it keeps every deal of one shape
            return sha256(b"credence/1|dkg-own|" + self._sealing_key.private)
        shared = pair_key(
            self._sealing_key, self._publics[peer], low=low, high=high, epoch=self._ceremony.epoch
        )
        return sha256(b"credence/1|dkg-box|" + shared)  # a pair's other uses have another key

    def _box_aad(self, dealer: str, receiver: str) -> bytes:
        return self._ceremony.context() + f"|{dealer}|{receiver}".encode()


def judge(ceremony: Ceremony, board: Board) -> Judgement:
    """Apply the rules of the module's docstring to rounds 1 to 4.

    Raises:
        CeremonyFailed: rule 5.
    """
    blamed: dict[str, str] = {}
    openings = _openings(ceremony, board, blamed)  # rules 1, 2 and 3
    for accuser, accused in verdicts(ceremony, board).items():  # rule 4
        for dealer in accused & openings.keys():
            shown = shown_share(board, dealer, accuser)
            if shown is None:
                blamed[dealer] = "unanswered_complaint"
            elif not secret_sharing.share_matches(
                shown, openings[dealer].commitments, ceremony.index(accuser)
            ):
                blamed[dealer] = "wrong_share"
    qualified = tuple(member for member in ceremony.trustees if member not in blamed)
    if len(qualified) < ceremony.threshold:  # rule 5
        raise CeremonyFailed(
            f"{len(qualified)} trustees qualified and {ceremony.threshold} are needed", blamed
        )
    sums = [
        ristretto.total([openings[member].commitments[k] for member in qualified])
        for k in range(ceremony.threshold)
    ]
    return Judgement(
        qualified,
        blamed,
        ristretto.element(sums[0]),
        {
            member: secret_sharing.verification_share(sums, ceremony.index(member))
            for member in ceremony.trustees
        },
        _transcript(ceremony, board),
    )


def confirmation(judgement: Judgement) -> bytes:
    """The entry of round 5."""
    shares = {name: judgement.verification_shares[name] for name in judgement.qualified}
    return confirmation_body(judgement.public_key, shares, judgement.transcript)


def confirmation_body(
    public_key: Element, verification_shares: Mapping[str, Element], transcript: bytes
) -> bytes:
    """The entry of round 5 for a key and the verification shares of the qualified trustees."""
    return canonical_json(
        {
            "public_key": public_key.hex(),
            "transcript": transcript.hex(),
            "verification_shares": {n: s.hex() for n, s in verification_shares.items()},
        }
    )


def settle(judgement: Judgement, board: Board) -> None:
    """Check round 5: every qualified trustee saw the same board and computed the same key.

    Raises:
        CeremonyFailed: a qualified trustee has not confirmed.
        TranscriptDiverged: one confirmed something else.
    """
    expected = confirmation(judgement)
    entries = board.get("confirmation", {})
    silent = [member for member in judgement.qualified if member not in entries]
    if silent:
        raise CeremonyFailed(
            "trustees did not confirm", judgement.blamed | dict.fromkeys(silent, "silent")
        )
    others = [member for member in judgement.qualified if entries[member] != expected]
    if others:
        raise TranscriptDiverged(f"another transcript was confirmed by {', '.join(others)}")


def _openings(ceremony: Ceremony, board: Board, blamed: dict[str, str]) -> dict[str, Opening]:
    """The openings that hold under rules 1 to 3; the others' makers go into `blamed`."""
    openings: dict[str, Opening] = {}
    for member in ceremony.trustees:
        committed = board.get("commitment", {}).get(member)
        dealt = board.get("deal", {}).get(member)
        if committed is None or dealt is None:  # rule 1
            blamed[member] = "silent"
            continue
        if committed != canonical_json({"opening_sha256": sha256(dealt).hex()}):  # rule 2
            blamed[member] = "changed_commitment"
            continue
        try:
            opening = Opening.parse(dealt)
        except Malformed:  # rule 1
            blamed[member] = "unreadable"
            continue
        if len(opening.commitments) != ceremony.threshold:  # rule 2
            blamed[member] = "wrong_degree"
        elif not knows(ceremony, ceremony.index(member), opening):  # rule 3
            blamed[member] = "wrong_proof"
        else:
            openings[member] = opening
    return openings


def _transcript(ceremony: Ceremony, board: Board) -> bytes:
    digest = hashlib.sha256(ceremony.context())
    for name in ROUNDS[:4]:
        for member in ceremony.trustees:
            entry = board.get(name, {}).get(member)
            digest.update(b"\0" if entry is None else b"\1" + sha256(entry))
    return digest.digest()
