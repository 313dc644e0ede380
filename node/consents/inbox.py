"""What a holder or recipient does with a delivery: verify, store, and only then acknowledge.

A consent is accepted when

  1. it has the size and form of an artefact, in canonical bytes;
  2. the controller it names is the mutual-TLS peer that delivers it,
  3. and an active member of the directory;
  4. the subject and the controller, and nobody else, signed it (`consent.artefact`);
  5. this node is one of its holders or recipients;
  6. it keeps the bounds of its template, whose text the person was shown (`consent.templates`);
  7. its time is not over;
  8. the handle made for this node, in a key epoch still in use, is that of a person known here;
  9. it was not withdrawn before it arrived;
  10. it is new, or a later version by the same subject of the same controller; the same document
      again is acknowledged again (`consent.succession`).

An event is accepted when 1 to 4 hold for it and it speaks about the consent kept here. A withdrawal
of a consent that is not here is remembered, so that the consent is refused should it still come.

8 to 10 and the writing are one transaction for a whole batch. A refusal concerns one delivery; it
is a stable code in the signed acknowledgement, and the batch goes on. Checks 1 to 7 stand here,
8 to 10 in `node.consents.batch`.
"""

from collections.abc import Callable, Sequence

import structlog

from audit.database import Database
from consent.artefact import MAX_JWS_BYTES, Artefact, verify_artefact
from consent.delivery import Acknowledgement, Delivery, Kind, acknowledge
from consent.events import verify_event
from consent.policy import Refusal
from consent.refusals import refusal_error
from consent.succession import ControllerMismatch
from consent.templates import Templates
from node.consents.batch import DeliveryBatch, Offered, Outcome
from node.consents.handles import HandleIndex
from node.consents.register import ConsentRegister
from protocols.directory import Directory
from protocols.errors import CredenceError, StateConflict
from protocols.jws import signers
from protocols.keys import SigningKey, VerifyKey

# A handle of an older key epoch is still found, so that a delivery may wait out a rotation.
MAX_EPOCH_AGE = 4

log = structlog.get_logger("node.consents")


class NotAParty(CredenceError):
    """A consent was delivered to a node that it does not concern."""

    code = "not_a_party"
    category = "forbidden"
    next_step = "Deliver a consent to its holders and recipients only."


class HandleEpochUnusable(StateConflict):
    """A handle of a key epoch that is over, or has not begun."""

    code = "handle_epoch_unusable"
    next_step = "Have the person sign the consent again; its handles are out of date."


class ConsentInbox:
    """Receives deliveries of other members' consents; thread-safe."""

    def __init__(
        self,
        *,
        database: Database,
        register: ConsentRegister,
        member_id: str,
        signing_key: Callable[[], SigningKey],
        directory: Callable[[], Directory],
        handles: HandleIndex,
        templates: Templates,
        clock: Callable[[], int],
    ) -> None:
        self._database = database
        self._register = register
        self._member_id = member_id
        self._key = signing_key
        self._directory = directory
        self._handles = handles
        self._templates = templates
        self._clock = clock

    def receive(self, peer: str, deliveries: Sequence[Delivery]) -> list[Acknowledgement]:
        """Verify and store deliveries of the mutual-TLS peer `peer`, in one transaction.

        Returns:
            One signed acknowledgement for each, in order.

        Raises:
            DatabaseUnavailable: nothing was stored, and nothing is acknowledged.
        """
        now_ms = self._clock()
        offered = [self._examine(peer, one, now_ms) for one in deliveries]
        outcomes: list[Outcome] = []
        if any(not one.refusal for one in offered):
            with self._database.write() as connection:
                batch = DeliveryBatch(
                    connection, self._register, self._handles, self._member_id, peer, now_ms
                )
                outcomes = batch.settle(offered)
        else:
            outcomes = [Outcome(one.refusal, now_ms) for one in offered]
        refused = sum(1 for one in outcomes if one.refusal)
        log.info("consents.received", peer=peer, deliveries=len(outcomes), refused=refused)
        key = self._key()
        return [
            acknowledge(delivery, one.refusal, one.effective_at_ms, key, one.deleted)
            for delivery, one in zip(deliveries, outcomes, strict=True)
        ]

    def _examine(self, peer: str, delivery: Delivery, now_ms: int) -> Offered:
        try:
            if delivery.kind is Kind.EVENT:
                event = verify_event(delivery.data, self._controller_key(peer, delivery))  # 1 to 4
                return Offered(delivery, event=event)
            artefact = verify_artefact(
                delivery.data, self._controller_key(peer, delivery)
            )  # 1 to 4
            self._check_artefact(artefact, now_ms)
            return Offered(delivery, artefact=artefact)
        except CredenceError as error:
            return Offered(delivery, refusal=error.code)

    def _controller_key(self, peer: str, delivery: Delivery) -> Callable[[str], VerifyKey]:
        def look_up(controller: str) -> VerifyKey:
            # 2
            if controller != peer:
                raise ControllerMismatch("the consent node is another member than the caller")
            # 3
            entry = self._directory().active_member(controller)
            # A consent was signed under the key of its day, and outlives it.
            return entry.signer_among(signers(delivery.data, max_bytes=MAX_JWS_BYTES))

        return look_up

    def _check_artefact(self, artefact: Artefact, now_ms: int) -> None:
        # 5
        if self._member_id not in artefact.parties:
            raise NotAParty("the consent names this node neither as holder nor as recipient")
        # 6
        self._templates.check(artefact)
        # 7
        if now_ms >= artefact.valid_until_ms:
            raise refusal_error(Refusal.CONSENT_EXPIRED)
        # 8, as far as the epoch goes
        age = self._directory().epoch - artefact.handle_epoch
        if not 0 <= age <= MAX_EPOCH_AGE:
            raise HandleEpochUnusable(f"the handles are of key epoch {artefact.handle_epoch}")
