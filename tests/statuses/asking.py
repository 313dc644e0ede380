"""Questions as a keeper sends them, and what is said when a proof ran out or a withdrawal bit."""

import os

from node.consents.service import SignedGrant
from node.consents.status_inbox import Question
from node.storage import statuses
from tests.node.consent_world import person

STALE = "status_stale"
WITHDRAWN = "consent_withdrawn"


def ask(world, member_id, controller):
    """A question as a member's keeper would send it now."""
    parts = world.parts[member_id]
    with parts.member.database.read() as connection:
        proof = statuses.proofs(connection, [controller]).get(controller)
    have = proof.bits_sha256 if proof else b""
    return Question(
        controller, os.urandom(16), have, world.clock(member_id), world.instant(member_id)
    )


def renewed(world, artefact):
    return SignedGrant(person(1), world.world.sign(artefact, 1))
