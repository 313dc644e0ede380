"""`credence demo --quick`: the shortest way to a score. A coordinator, a bank and two holders, the
personas, the expert scorecard; nobody trains.

What is left out is only training and numbers of people: members join by invitation and make their
pseudonym key together, records are ingested, consents signed and delivered, holders asked, every
act logged.
"""

import json
import shlex
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy.sandbox import network, work
from deploy.sandbox.financing import register
from deploy.sandbox.layout import INSTITUTIONS, LOOPBACK, Institution, Layout, MemberLayout
from deploy.sandbox.people import Keyring
from deploy.sandbox.personas import AS_OF_MS, PERSONAS, SILENT, Persona, by_name, identifier_of
from deploy.sandbox.personas import write as write_records
from deploy.sandbox.progress import Stage
from deploy.sandbox.run import JobFailed, Run

if TYPE_CHECKING:
    from node.parts import Node

BANK = "bank-a"
SOURCES = ("payments", "public-records")
TRUSTEES_NEEDED = 2
MODEL_S = 30.0
DELIVERY_S = 20.0
CLIENT = "getting-started"

MEMBERS: tuple[Institution, ...] = (
    *(one for one in INSTITUTIONS if one[0] in {BANK, *SOURCES}),
    (SILENT, "Silent Registry", "public_record_publisher", ("public_record",)),
)
"""The last joins and is never started: nothing behind its port answers."""


def run_quick(run: Run) -> dict[str, Any]:
    """All stages; what a developer needs to know."""
    for name, act in (("join", _join), ("key", _key), ("people", _people), ("model", _model)):
        with run.stages.stage(name) as stage:
            act(run, stage)
    run.supervisor.check()
    return _client(run)


@contextmanager
def silence(layout: Layout) -> Iterator[None]:
    """Hold the ports of members that never answer: a connection is taken, and nothing said."""
    with ExitStack() as held:
        for member in layout.members:
            if not member.serves and member.exchange_port:
                listener = held.enter_context(socket.socket())
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((LOOPBACK, member.exchange_port))
                listener.listen()
        yield


def _join(run: Run, stage: Stage) -> None:
    network.found(run.layout)
    network.start_coordinator(run.layout, run.supervisor)
    network.join(run.layout, stage, max_epsilon=run.options.epsilon)
    network.start_nodes(run.layout, run.supervisor)
    stage.summary = f"{len(run.layout.serving)} members serve, one is silent"


def _key(run: Run, stage: Stage) -> None:
    made = network.hold_ceremony(run.layout, run.supervisor, stage, threshold=TRUSTEES_NEEDED)
    stage.summary = f"{made.threshold} of {len(made.trustees)} members can make a pseudonym"


def _people(run: Run, stage: Stage) -> None:
    directories = write_records(run.layout.root / "inbox")
    home = run.layout.home(BANK)
    keyring = Keyring.create(run.secret)
    for number, (member_id, directory) in enumerate(directories.items()):
        stage.advance(number, len(directories) + 1, member_id)
        if member_id == BANK:
            name_them(home)
        work.ingest(run.layout.home(member_id), directory, AS_OF_MS)
    _consent(home, keyring)
    stage.summary = f"{len(PERSONAS)} people with their records and consents"


def name_them(home: Path) -> None:
    """Let the bank know the personas by their references before it ingests their records.

    Whoever is known keeps their reference.
    """
    from node.bootstrap import open_node
    from node.storage import subjects
    from node.storage.subjects import Subject

    node = open_node(home)
    try:
        names = node.pseudonyms.pseudonyms([identifier_of(one) for one in PERSONAS])
        with node.database.write() as connection:
            known = subjects.all_subjects(connection)
            new = [Subject(name, one.subject, one.customer_id, _now_ms())
                   for name, one in zip(names, PERSONAS, strict=True)]  # fmt: skip
            subjects.replace_all(connection, [*known, *new])
    finally:
        node.close()


def _consent(home: Path, keyring: Keyring) -> None:
    """They sign; then one withdraws, one freezes, one disputes."""
    from consent.events import sign_event
    from consent.lifecycle import Event
    from node.bootstrap import open_node

    node = open_node(home)
    try:
        people = _pseudonyms(node)
        for one in PERSONAS:
            _grant(node, one, people[one.name], keyring)
        _deliver(node)
        withdrawn = by_name("withdrawn")
        event = node.consents.event(withdrawn.consent, Event.WITHDRAW)
        key = keyring.key_of(BANK, withdrawn.customer_id)
        node.consents.withdraw(withdrawn.consent, sign_event(event, key))
        node.rights.freeze(people["frozen"])
        node.rights.dispute(
            people["disputed"],
            BANK,
            "late_months_6m",
            "I paid this month; the bank has my receipt.",
        )
    finally:
        node.close()


def _grant(node: "Node", persona: Persona, pseudonym: bytes, keyring: Keyring) -> None:
    from consent.artefact import sign_as_subject
    from node.consents.service import OfferTerms, SignedGrant

    holders = (BANK, *(persona.holders or SOURCES))
    offer = node.consents.offer(OfferTerms(("score",), holders=holders, max_uses=1000))
    key = keyring.key_of(BANK, persona.customer_id)
    artefact = offer.artefact(pseudonym, key.verify_key.bytes, consent_id=persona.consent)
    node.consents.record_many([SignedGrant(pseudonym, sign_as_subject(artefact, key))])


def _deliver(node: "Node") -> None:
    """Wait until every member that answers has the consents."""
    deadline = time.monotonic() + DELIVERY_S
    while any(count for member, count in node.consents.unanswered().items() if member != SILENT):
        if time.monotonic() > deadline:
            raise JobFailed("the consents did not reach their holders")
        time.sleep(0.1)


def _pseudonyms(node: "Node") -> dict[str, bytes]:
    from node.storage import subjects

    with node.database.read() as connection:
        return {one.name: subjects.by_ref(connection, one.subject).pseudonym for one in PERSONAS}


def _model(run: Run, stage: Stage) -> None:
    """The expert scorecard is published and becomes champion; the bank follows."""
    from coordinator.bootstrap import open_coordinator
    from coordinator.expert import publish_expert
    from coordinator.releases import Order
    from models.catalogue import Catalogue
    from node.bootstrap import open_node
    from node.storage import bundles

    coordinator = open_coordinator(run.layout.coordinator_home)
    try:
        catalogue = Catalogue.from_body(coordinator.membership.document("catalogue").body)
        version = publish_expert(coordinator, catalogue, _now_ms())
        coordinator.releases.challenge(version, Order(_now_ms(), "operator", "the sandbox"))
        coordinator.releases.promote(version, Order(_now_ms(), "operator", "the sandbox"))
    finally:
        coordinator.close()
    node = open_node(run.layout.home(BANK))
    try:
        deadline = time.monotonic() + MODEL_S
        while True:
            with node.database.read() as connection:
                if bundles.active_version(connection) == version:
                    break
            if time.monotonic() > deadline:
                raise JobFailed(f"{BANK} does not follow to {version}")
            run.supervisor.check()
            time.sleep(0.1)
    finally:
        node.close()
    stage.summary = f"{version}, made by experts; nobody trained"


def _client(run: Run) -> dict[str, Any]:
    """Register the developer's client with a key that is made for it."""
    from node.access.presented import SCOPES

    bank: MemberLayout = next(one for one in run.layout.members if one.member_id == BANK)
    client = register(run.layout, bank, CLIENT, _now_ms(), SCOPES)
    found = {
        "url": bank.http_url,
        "client_id": client.client_id,
        "key": str(client.key),
        "personas": [
            {"name": one.name, "subject": one.subject, "consent": one.consent, "answer": one.answer}
            for one in PERSONAS
        ],
    }
    (run.layout.root / "developer.json").write_text(json.dumps(found, indent=2) + "\n")
    lines = {"URL": bank.http_url, "CLIENT": client.client_id, "KEY": str(client.key)}
    (run.layout.root / "developer.env").write_text(
        "".join(f"export CREDENCE_{name}={shlex.quote(value)}\n" for name, value in lines.items())
    )
    return found


def _now_ms() -> int:
    return int(time.time() * 1000)
