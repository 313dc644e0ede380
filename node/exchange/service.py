"""The holder's side: verify a request, decide on each subject, record, and only then answer.

A holder checks, in this order; the first that fails is the answer:

  1. the caller's certificate is the current one of an active member (`node.network.gate`);
  2. the request: sender, signature, audience, time, shape (`protocols.envelope.verify_request`);
  3. its nonce is new. Identical bytes again get the identical answer and leave no new trace, unless
     a consent that it rests on has ended meanwhile; other bytes under a used nonce are refused;
  then for every subject asked about (`node.exchange.decisions`)
  4. the consent is kept here (its signatures and terms were verified when it was delivered), the
     token names its subject, and it allows this release now (`consent.policy.decide`);
  5. of the signals asked for, those whose source class was granted and that this node holds;
  6. a use is counted, and the release or refusal is recorded with its audit leaf.

3 to 6 are one transaction, which also stores the sealed answer beside the nonce: what was checked
is still true when it commits, and nothing is sent before. Requests that arrive together share a
transaction (`node.group_commit`). A refused request (1 to 3) changes nothing and is logged once,
by the transport, without anything that it said.
"""

import hmac
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from audit.database import Connection, Database
from consent.policy import Refusal
from node.exchange.decisions import Decided, Decider, Facts
from node.exchange.records import Act, ReleaseRecorder, answer_mac
from node.group_commit import GroupCommit
from node.network.rates import PeerRates
from node.storage import consents
from node.storage import exchange as storage
from node.storage.exchange import OUT, Claim, NewClaim
from protocols.directory import Directory
from protocols.envelope import (
    Limits,
    VerifiedRequest,
    query_count,
    seal_body,
    sign_answer,
    verify_request,
)
from protocols.errors import CredenceError, StateConflict
from protocols.keys import SigningKey
from protocols.v1.exchange_pb2 import SealedAnswer, SealedRequest

CLOCK_SKEW_MS = 60_000  # members' clocks agree within this
FORGET_EVERY_MS = 1_000
FORGET_CHUNK = 64  # nonces forgotten in one transaction at least; an answer beside one may be long
GROUP_QUERIES = 512  # subjects decided on in one transaction, unless one request has more


class NonceReused(StateConflict):
    """A nonce came a second time, under other bytes."""

    code = "nonce_reused"
    next_step = "Make a new request with a fresh nonce; if you did not, your key may be misused."


class AnswerWithdrawn(StateConflict):
    """The answer to these bytes rests on a consent that has ended since it was first given."""

    code = "answer_withdrawn"
    next_step = "Ask again with a new request; its answer says which consents ended."


class Asked(NamedTuple):
    """A request as it came: body and signature, the connection's member, and when (UTC ms)."""

    body: bytes
    signature: bytes
    peer: str
    at_ms: int


Engine = Callable[[Sequence[Asked]], Sequence[bytes | Exception]]
"""Gives for each request a serialized SealedAnswer, or the error it is refused with."""


@dataclass(frozen=True, slots=True)
class _Verified:
    """A request that passed checks 1 and 2, and when."""

    request: VerifiedRequest
    at_ms: int


class ExchangeService:
    """Answers other members' requests from this node's own signals; thread-safe."""

    def __init__(
        self,
        *,
        member_id: str,
        signing_key: Callable[[], SigningKey],
        database: Database,
        directory: Callable[[], Directory],
        decider: Decider,
        recorder: ReleaseRecorder,
        limits: Limits,
        rates: PeerRates,
        admit: Callable[[], None] = lambda: None,
    ) -> None:
        self._member_id = member_id
        self._key = signing_key
        self._database = database
        self._directory = directory
        self._decider = decider
        self._recorder = recorder
        self._limits = limits
        self._rates = rates
        self._admit = admit
        self._forget_at_ms = 0
        self._claimed = 0  # since nonces were last forgotten
        self._groups: GroupCommit[Asked, bytes] = GroupCommit(self.answer_group, GROUP_QUERIES)

    def hand_over(self, engine: Engine) -> None:
        """Let `engine` do checks 2 to 6 from now on (`node.exchange.engine`)."""
        self._groups = GroupCommit(engine, GROUP_QUERIES)

    def answer(
        self,
        message: SealedRequest,
        peer: str,
        now_ms: int,
        *,
        held_back: bool = False,
    ) -> SealedAnswer:
        """Answer one request of 1 to 256 subjects; see the module's checks.

        Args:
            message: as received.
            peer: member id of the mutual-TLS caller (check 1).
            now_ms: UTC milliseconds.
            held_back: a peer that asks too fast waits for a while before it is refused.

        Raises:
            Malformed, SuiteUnsupported, UnknownMember, MemberNotActive, SenderMismatch,
            SignatureInvalid, WrongAudience, RequestExpired, RequestFromFuture: check 2.
            PeerOverRate: it asks faster than a member may; nothing was looked at or recorded.
            LogUnwitnessed, LogQuarantined: this node releases nothing while its log is not
                witnessed.
            NonceReused, AnswerWithdrawn: check 3.
            DatabaseUnavailable: nothing could be recorded, so nothing is answered.
        """
        self._admit()
        self._rates.pace(peer, 1, held_back=held_back)
        weight = query_count(message, self._limits)
        self._rates.pace(peer, weight, held_back=held_back)
        asked = Asked(message.body, message.signature, peer, now_ms)
        return SealedAnswer.FromString(self._groups.submit(asked, weight, peer))

    async def answer_soon(
        self, message: SealedRequest, peer: str, now_ms: int, *, held_back: bool = False
    ) -> bytes:
        """As `answer`, for an event loop; the serialized SealedAnswer."""
        self._admit()
        await self._rates.pace_soon(peer, 1, held_back=held_back)
        weight = query_count(message, self._limits)
        await self._rates.pace_soon(peer, weight, held_back=held_back)
        asked = Asked(message.body, message.signature, peer, now_ms)
        return await self._groups.submit_soon(asked, weight, peer)

    def answer_group(self, group: Sequence[Asked]) -> list[bytes | Exception]:
        """Checks 2 to 6 for requests that share a transaction; for each its answer or its error."""
        verified: dict[int, _Verified] = {}
        outcomes: list[bytes | Exception] = []
        for at, asked in enumerate(group):
            try:
                verified[at] = _Verified(self._verify(asked), asked.at_ms)
                outcomes.append(b"")
            except CredenceError as error:
                outcomes.append(error)
        try:
            committed = self._commit(list(verified.values())) if verified else []
        except CredenceError as error:
            committed = [error] * len(verified)
        for (at, one), sealed in zip(verified.items(), committed, strict=True):
            if isinstance(sealed, bytes):
                signed = sign_answer(one.request, sealed, self._key())
                outcomes[at] = signed.SerializeToString()
            else:
                outcomes[at] = sealed
        return outcomes

    def _verify(self, asked: Asked) -> VerifiedRequest:
        return verify_request(
            SealedRequest(body=asked.body, signature=asked.signature),
            own_id=self._member_id,
            directory=self._directory(),
            now_ms=asked.at_ms,
            peer_id=asked.peer,
            limits=self._limits,
        )

    def forget(self, now_ms: int) -> int:
        """Delete the nonces that no longer matter, in short transactions; how many."""
        forgotten = 0
        while True:
            with self._database.write() as connection:
                some = storage.forget_claims(connection, now_ms, FORGET_CHUNK)
            forgotten += some
            if some < FORGET_CHUNK:
                return forgotten

    def _commit(self, group: Sequence[_Verified]) -> list[bytes | Exception]:
        with self._database.write() as connection:
            self._forget(connection, group[0].at_ms)
            used = _claimed(connection, group)  # 3
            facts = self._decider.facts(connection, [one.request for one in group], group[0].at_ms)
            made: list[tuple[Decided, Claim]] = []
            outcomes: list[bytes | Exception] = []
            for one in group:
                try:
                    outcomes.append(self._answer_one(connection, one, used, facts, made))
                except CredenceError as error:
                    outcomes.append(error)  # concerns this request alone
            self._record(connection, made)  # 6
        return outcomes

    def _answer_one(
        self,
        connection: Connection,
        verified: _Verified,
        used: dict[tuple[str, bytes], Claim],
        facts: Facts,
        made: list[tuple[Decided, Claim]],
    ) -> bytes:
        """The sealed answer to one request; a new one is added to `made`, to be recorded."""
        request = verified.request
        name = (request.sender.member_id, request.body.nonce)
        decided = self._decider.decide(request, facts, verified.at_ms)  # 4, 5
        earlier = used.get(name)
        if earlier is not None:  # 3
            return _same_answer(connection, earlier, decided)
        sealed = seal_body(request, decided.answer, self._limits)
        facts.uses.update(decided.uses())
        claim = used[name] = Claim(request.request_hash, sealed)
        made.append((decided, claim))
        return sealed

    def _record(self, connection: Connection, made: Sequence[tuple[Decided, Claim]]) -> None:
        uses: Counter[str] = Counter()
        for decided, _ in made:
            uses.update(decided.uses())
        if consents.count_uses(connection, uses) != len(uses):
            raise StateConflict("a consent changed while it was decided on; nothing was released")
        acts = [act for decided, _ in made for act in _acts(decided)]
        self._recorder.record(connection, acts)
        storage.claim(connection, [_claim(decided.request, claim) for decided, claim in made])
        self._claimed += len(made)

    def _forget(self, connection: Connection, now_ms: int) -> None:
        """Delete old nonces as fast as new ones come; groups are one at a time: no lock needed."""
        if now_ms >= self._forget_at_ms:
            self._forget_at_ms = now_ms + FORGET_EVERY_MS
            storage.forget_claims(connection, now_ms, FORGET_CHUNK + 2 * self._claimed)
            self._claimed = 0


def _claimed(connection: Connection, group: Sequence[_Verified]) -> dict[tuple[str, bytes], Claim]:
    """Nonces of the group that were used before, by sender and nonce."""
    nonces: dict[str, list[bytes]] = {}
    for one in group:
        nonces.setdefault(one.request.sender.member_id, []).append(one.request.body.nonce)
    return {
        (sender, nonce): claim
        for sender, own in nonces.items()
        for nonce, claim in storage.claimed(connection, sender, own).items()
    }


def _same_answer(connection: Connection, earlier: Claim, decided: Decided) -> bytes:
    """The answer that these bytes were given before; `decided` is what they would get now."""
    request = decided.request
    if not hmac.compare_digest(earlier.request_hash, request.request_hash):
        raise NonceReused("this nonce was used for another request")
    asked = {outcome.terms.consent_id for outcome in decided.outcomes if outcome.terms is not None}
    released = storage.released_to(
        connection, request.sender.member_id, request.body.request_id, asked
    )
    ended = (
        outcome.terms is not None
        and outcome.terms.consent_id in released
        and outcome.refusal not in {"", Refusal.USES_EXHAUSTED}
        for outcome in decided.outcomes
    )
    if any(ended):
        raise AnswerWithdrawn("a consent that the answer rests on has ended")
    # By either clock: an item that may have been disputed since is not shown without its flag.
    since = request.body.issued_at_ms - CLOCK_SKEW_MS
    if any(outcome.flagged_at_ms >= since for outcome in decided.outcomes):
        raise AnswerWithdrawn("an item of the answer was disputed meanwhile")
    return earlier.answer


def _claim(request: VerifiedRequest, claim: Claim) -> NewClaim:
    return NewClaim(
        sender=request.sender.member_id,
        nonce=request.body.nonce,
        claim=claim,
        expires_at_ms=request.nonce_until_ms,
    )


def _acts(decided: Decided) -> list[Act]:
    request = decided.request
    return [
        Act(
            direction=OUT,
            peer=request.sender.member_id,
            purpose=request.body.purpose,
            request_id=request.body.request_id,
            request_hash=request.request_hash,
            consent_id=outcome.terms.consent_id if outcome.terms else "",
            consent_hash=outcome.consent_hash,
            subject=outcome.terms.pseudonym if outcome.terms else None,
            refusal=outcome.refusal,
            signals=[signal.signal for signal in outcome.answer.signals],
            answered=answer_mac(
                request.body,
                request.request_hash,
                place,
                outcome.answer.SerializeToString(deterministic=True),
            ),
            at_ms=decided.at_ms,
        )
        for place, outcome in enumerate(decided.outcomes)
    ]
