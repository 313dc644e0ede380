"""One person's withdrawal in the main job: signed, told, measured, proven in later rounds."""

import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from deploy.sandbox.people import Keyring
from deploy.sandbox.run import JobFailed, Run

if TYPE_CHECKING:
    from deploy.sandbox.acts import Person
    from node.consents.parties import Parties, PartyStanding

ANSWER_S = 15.0


def withdraw(run: Run, person: "Person") -> dict[str, dict[str, Any]]:
    """Withdraw with the person's own key; what each party said to it.

    Returns:
        By member id: `acknowledged_s`, seconds from the withdrawal until its answer was here;
        `cannot_serve_s`, after how many it could not have served without having heard; `deleted`,
        how many things it attests to have deleted.

    Raises:
        JobFailed: a party did not acknowledge, or did not attest.
    """
    from consent.events import sign_event
    from consent.lifecycle import Event
    from node.bootstrap import open_node

    key = Keyring.open(run.secret).key_of(person.bank.member_id, person.customer_id)
    node = open_node(run.layout.home(person.bank.member_id))
    try:
        event = node.consents.event(person.consent_id, Event.WITHDRAW)
        changed = node.consents.withdraw(person.consent_id, sign_event(event, key))
        standings = _answered(node.statuses.parties, person.consent_id)
    finally:
        node.close()
    found: dict[str, dict[str, Any]] = {}
    for one in standings:
        if one.acknowledged_at_ms is None or one.refusal or one.deletion is None:
            raise JobFailed(f"{one.member_id} did not acknowledge the withdrawal: {one.refusal}")
        until_ms = one.cannot_serve_after_ms or changed.effective_at_ms
        found[one.member_id] = {
            "acknowledged_s": (one.acknowledged_at_ms - changed.effective_at_ms) / 1000,
            "cannot_serve_s": (until_ms - changed.effective_at_ms) / 1000,
            "deleted": one.deletion.total,
        }
    return found


def bound_s(parties: dict[str, dict[str, Any]]) -> float:
    """After how many seconds no party could serve that had heard nothing."""
    return max(float(one["cannot_serve_s"]) for one in parties.values())


def prove_absence(run: Run, person: "Person") -> int:
    """In how many training rounds after the withdrawal the person was not, as they can check.

    Raises:
        JobFailed: there is no proof, or it does not hold.
    """
    from audit.verifier.absence import check_training_proof
    from node.bootstrap import open_node
    from node.consents.training_proof import make_training_proof
    from protocols.errors import CredenceError

    node = open_node(run.layout.home(person.bank.member_id))
    try:
        proof = make_training_proof(node.database, node.audit, person.consent_id, node.keys.signing)
        return check_training_proof(json.dumps(proof).encode()).rounds
    except CredenceError as error:
        raise JobFailed(f"the person's absence is not proven: {error.message}") from error
    finally:
        node.close()


def _answered(parties: "Parties", consent_id: str) -> Sequence["PartyStanding"]:
    """What each party said; the bank's running node may be the one that told it, a moment later."""
    until = time.monotonic() + ANSWER_S
    while True:
        standings = parties.parties(consent_id)
        said = all(one.acknowledged_at_ms and (one.refusal or one.deletion) for one in standings)
        if said or time.monotonic() > until:
            return standings
        time.sleep(0.05)
