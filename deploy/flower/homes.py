"""A network of virtual nodes on disk: a coordinator's home and, for each node, a real home.

Nothing of a node is imitated: it has its own keys, database, consents, audit log and ledger, and
joined the coordinator, whose directory lists it. Only its documents come from a file beside the
homes, because on Flower's engines no coordinator serves them.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

from audit.leaf import Entry
from consent.artefact import Artefact, Notice, Recipient, TrainingTerms, grant, new_consent_id
from consent.authority import device_key
from coordinator.bootstrap import Coordinator, init_coordinator, open_coordinator
from coordinator.membership import JoinAttempt
from coordinator.settings import make_settings
from deploy.flower.layout import MINIMUM_COHORT, Layout, member_id, now_ms, open_virtual
from deploy.flower.people import Person, make_people
from node.bootstrap import init_node, open_node
from node.network.joining import store_membership
from node.parts import Node
from node.storage import consents, outcomes, signals
from node.storage.consents import NewConsent
from node.storage.outcomes import Outcome
from node.storage.signals import OWN, SignalVector
from protocols.certificates import make_csr
from protocols.documents import to_proto
from protocols.joining import Declaration, sign_join
from protocols.keys import SigningKey

DAY_MS = 86_400_000
NOWHERE = "127.0.0.1:1"  # no virtual node dials or is dialled
DOCUMENTS = ("directory", "catalogue")
PAYMENTS = "payments"
HOMES_A_PROCESS = 16


@dataclass(frozen=True)
class _Joiner:
    home: Path
    invitation_id: str
    token: bytes


@dataclass(frozen=True)
class _Joined:
    home: Path
    people: Sequence[Person]
    as_of_ms: int


def make_network(root: Path, *, nodes: int, people: int, seed: int = 1) -> Layout:
    """Make the homes of a coordinator and of `nodes` nodes with `people` customers each.

    Args:
        root: a new or empty directory.
        nodes: how many, 2 to 1000.
        people: consenting customers of each.
        seed: of the people.
    """
    layout = Layout(root)
    layout.document("").mkdir(parents=True)
    everybody = make_people(nodes * people, seed)
    init_coordinator(layout.coordinator, make_settings(name="engines"), now_ms())
    with closing(open_coordinator(layout.coordinator)) as coordinator:
        joiners = [_invited(coordinator, layout, number) for number in range(nodes)]
        with _Pool(nodes) as pool:
            for joiner, attempt in zip(joiners, pool.map(_begin, joiners), strict=True):
                _admit(coordinator, joiner.home, attempt)
            for kind in DOCUMENTS:
                document = coordinator.membership.document(kind)
                layout.document(kind).write_bytes(to_proto(document).SerializeToString())
            shares = [
                _Joined(
                    joiner.home,
                    everybody.everybody[number * people : (number + 1) * people],
                    everybody.as_of_ms,
                )
                for number, joiner in enumerate(joiners)
            ]
            list(pool.map(_populate, shares))
    return layout


class _Pool:
    """Several processes for many nodes; none where starting them would take longer."""

    def __init__(self, nodes: int) -> None:
        workers = min(os.cpu_count() or 1, nodes // HOMES_A_PROCESS)
        self._pool = (
            ProcessPoolExecutor(workers, mp_context=get_context("spawn")) if workers > 1 else None
        )
        self.map = self._pool.map if self._pool is not None else map

    def __enter__(self) -> "_Pool":
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown()


def _invited(coordinator: Coordinator, layout: Layout, number: int) -> _Joiner:
    invitation = coordinator.membership.invite(member_id(number), "bank", 3600, now_ms())
    return _Joiner(layout.node(number), invitation.invitation_id, invitation.token)


def _begin(joiner: _Joiner) -> JoinAttempt:
    joiner.home.parent.mkdir(parents=True, exist_ok=True)
    name = joiner.home.name
    init_node(
        joiner.home,
        member_id=name,
        name=name,
        role="bank",
        holds=("credit_account",),
        listen=NOWHERE,
        max_epsilon=8.0,
        minimum_cohort=MINIMUM_COHORT,
    )
    with closing(open_node(joiner.home)) as node:
        declaration = Declaration(
            member_id=name,
            name=name,
            role="bank",
            licence="",
            contact="",
            holds=node.settings.holds,
            signing_key=node.keys.signing.verify_key.bytes,
            sealing_key=node.keys.sealing.public,
            endpoint=NOWHERE,
        ).to_body()
        csr = make_csr(node.keys.tls, name)
        signature = sign_join(declaration, csr, node.keys.signing)
    return JoinAttempt(joiner.invitation_id, joiner.token, csr, declaration, signature)


def _admit(coordinator: Coordinator, home: Path, attempt: JoinAttempt) -> None:
    joined = coordinator.membership.join(attempt, now_ms())
    key = coordinator.keys.directory.verify_key.bytes
    store_membership(home, coordinator.identity.ca, joined.certificate_der, NOWHERE, key)


def _populate(joined: _Joined) -> None:
    with closing(open_virtual(joined.home)) as node:
        node.documents.refresh()
        version = node.documents.catalogue().version
        granted = [_consent(node, _pseudonym(person)) for person in joined.people]
        vectors = [
            _vector(node, person, consent, joined.as_of_ms, version, own=own)
            for person, consent in zip(joined.people, granted, strict=True)
            for own in (True, False)
        ]
        labels = [Outcome(_pseudonym(one), one.defaulted, joined.as_of_ms) for one in joined.people]
        with node.database.write() as connection:
            entries = [_granted(node, consent) for consent in granted]
            leaves = node.audit.append_many(connection, entries)
            rows = [replace(one, leaf_seq=leaf.seq)
                    for one, leaf in zip(granted, leaves, strict=True)]  # fmt: skip
            consents.add_many(connection, rows)
            signals.put_many(connection, vectors)
            outcomes.replace_all(connection, labels)


def _pseudonym(person: Person) -> bytes:
    return person.number.to_bytes(32, "big")


def _consent(node: Node, pseudonym: bytes) -> NewConsent:
    subject_key, start = SigningKey.generate(), now_ms() - 1000
    artefact = Artefact(
        consent_id=new_consent_id(),
        version=1,
        prev_hash=None,
        template_id="synthetic",
        template_sha256=bytes(32),
        jurisdiction="CN",
        controller=node.member_id,
        recipients=(Recipient(node.member_id, node.member_id, ""),),
        holders=(PAYMENTS,),
        handles={PAYMENTS: bytes(32)},
        handle_epoch=0,
        purposes=("score", "train"),
        data_categories=("credit_account", "payment", "public_record"),
        valid_from_ms=start,
        valid_until_ms=start + 30 * DAY_MS,
        data_life_s=86_400,
        max_uses=1000,
        notice=Notice(1, "en", bytes(32)),
        adverse_notice_sha256=None,
        automated_decision=True,
        training=TrainingTerms("8", "0.00001"),
        authority=device_key(subject_key.verify_key.bytes),
    )
    signed = grant(artefact, subject_key, node.keys.signing)
    return NewConsent(artefact, signed, pseudonym, 0)


def _vector(
    node: Node, person: Person, consent: NewConsent, as_of_ms: int, version: int, *, own: bool
) -> SignalVector:
    return SignalVector(
        pseudonym=consent.pseudonym,
        source=node.member_id if own else PAYMENTS,
        purpose=OWN if own else "train",
        as_of_ms=as_of_ms,
        catalogue_version=version,
        signals=person.own if own else person.answered,
        consent_id=None if own else consent.artefact.consent_id,
        expires_at_ms=None if own else now_ms() + DAY_MS,
    )


def _granted(node: Node, consent: NewConsent) -> Entry:
    return Entry(
        kind="consent.granted",
        actor=node.member_id,
        purpose="consent",
        correlation="",
        payload={},
        subject=consent.pseudonym,
        at_ms=now_ms(),
    )
