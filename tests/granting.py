"""People of a `tests.network.Network` who really sign: grants recorded, delivered and withdrawn."""

from collections.abc import Iterable, Sequence

from consent.artefact import sign_as_subject
from consent.events import sign_event
from consent.lifecycle import Event
from consent.policy import Terms
from node.consents.service import Changed, OfferTerms, SignedGrant
from node.storage import consents, subjects
from node.storage.subjects import Subject
from protocols.envelope import OutgoingRequest, Query, new_request
from protocols.keys import SigningKey
from protocols.pseudonyms import query_token
from protocols.suites import MLKEM768_X25519
from tests.network import Network, now_ms, person

KEY = SigningKey.from_seed(b"p" * 32)


def know(network: Network, members: Iterable[str], numbers: Iterable[int]) -> None:
    """Let members know people."""
    people = [Subject(person(n), f"sub_{n}", f"C{n}", now_ms()) for n in numbers]
    for member_id in members:
        with network.node(member_id).database.write() as connection:
            subjects.replace_all(connection, people)


def grant(
    network: Network, controller: str, numbers: Sequence[int], holders: Sequence[str], **terms: int
) -> list[Terms]:
    """Consents of people, recorded at their bank and delivered to the holders."""
    node = network.node(controller)
    offer = node.consents.offer(OfferTerms(holders=list(holders), **terms))  # type: ignore[arg-type]
    signed = []
    for number in numbers:
        artefact = offer.artefact(person(number), KEY.verify_key.bytes)
        signed.append(SignedGrant(person(number), sign_as_subject(artefact, KEY)))
    recorded = [one.consent_id for one in node.consents.record_many(signed)]
    node.consents.push_pending()
    with node.database.read() as connection:
        kept = consents.terms_by_id(connection, recorded)
    return [kept[one] for one in recorded]


def withdraw(network: Network, controller: str, terms: Terms) -> Changed:
    """The person withdraws at their bank, which tells whom it reaches."""
    node = network.node(controller)
    said = node.consents.event(terms.consent_id, Event.WITHDRAW)
    return node.consents.withdraw(terms.consent_id, sign_event(said, KEY))


def request(network: Network, terms: Terms, *, by: str, holder: str) -> OutgoingRequest:
    """A signed question about one consent, as a member that never heard of an end would ask."""
    node = network.node(by)
    pair_key = node.pair_keys.with_member(holder)
    token = query_token(pair_key, terms.pseudonym, terms.consent_hash)
    return new_request(
        sender=by,
        holder=holder,
        purpose="score",
        queries=[Query(terms.consent_hash, token)],
        now_ms=now_ms(),
        key=node.keys.signing,
        suite_number=MLKEM768_X25519,
    )
