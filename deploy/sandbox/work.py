"""What the sandbox does at a bank or another member, each call in a process of its own.

A member's own staff would use the command line for these; the sandbox calls the same services
beside the running nodes, several members at a time.
"""

import time
from dataclasses import dataclass
from pathlib import Path

from deploy.sandbox import holdout
from deploy.sandbox.people import Keyring

FETCH_DEADLINE_S = 300.0
DELIVERY_S = 120.0


@dataclass(frozen=True)
class Ingested:
    """What one member took in."""

    member_id: str
    people: int
    signals: tuple[str, ...]
    enrolment_s: float


@dataclass(frozen=True)
class Granted:
    """Consents recorded at one bank, and how many parties still wait for theirs."""

    bank: str
    consents: int
    asked: int
    waiting: int


@dataclass(frozen=True)
class Fetched:
    """What one bank asked of the holders."""

    bank: str
    subjects: int
    answered: int
    requests: int
    request_ms: tuple[float, ...]
    incomplete: tuple[str, ...]


def ingest(home: Path, inbox: Path, as_of_ms: int) -> Ingested:
    """Turn a member's CSV files into records and signals."""
    from node.bootstrap import open_node

    node = open_node(home)
    try:
        begun: dict[str, float] = {}
        report = node.ingestion().ingest_directory(
            inbox,
            now_ms=_now_ms(),
            as_of_ms=as_of_ms,
            progress=lambda stage: begun.update({stage: time.monotonic()}),
        )
        enrolment_s = begun["store"] - begun["pseudonyms"]
        signals = tuple(sorted(report.signals))
        return Ingested(node.member_id, report.subjects, signals, enrolment_s)
    finally:
        node.close()


def grant(home: Path, secret: Path, share: float, epsilon: float) -> Granted:
    """Let a bank's customers sign consents for `score` and `train`, and deliver them."""
    from consent.artefact import sign_as_subject
    from node.bootstrap import open_node
    from node.consents.service import OfferTerms, SignedGrant
    from node.storage import subjects

    keyring = Keyring.open(secret)
    node = open_node(home)
    try:
        offer = node.consents.offer(OfferTerms(epsilon=f"{epsilon:g}"))
        with node.database.read() as connection:
            customers = subjects.all_subjects(connection)
        willing = (
            (one.pseudonym, keyring.key_of(node.member_id, one.customer_id))
            for one in customers
            if keyring.agrees(node.member_id, one.customer_id, share)
        )
        recorded = node.consents.record_many(
            SignedGrant(
                pseudonym, sign_as_subject(offer.artefact(pseudonym, key.verify_key.bytes), key)
            )
            for pseudonym, key in willing
        )
        # The running node delivers too; what it has under way counts until it is answered. A holder
        # that does not know a person says so, and is asked again later.
        deadline = time.monotonic() + DELIVERY_S
        while (waiting := sum(node.consents.unanswered().values())) and time.monotonic() < deadline:
            node.consents.push_pending()
            time.sleep(0.1)
        return Granted(node.member_id, len(recorded), len(customers), waiting)
    finally:
        node.close()


def fetch(home: Path, holdout_file: Path) -> Fetched:
    """Fetch what the holders know of a bank's consenting customers.

    Training customers' signals are asked for under `train`, held-out customers' under `score`:
    what was released for one purpose is not used for another.
    """
    from node.bootstrap import open_node
    from node.storage import subjects

    held_out = holdout.read(holdout_file)
    node = open_node(home)
    try:
        with node.database.read() as connection:
            names = {one.pseudonym: one.customer_id for one in subjects.all_subjects(connection)}
            people = {
                "train": node.consents.live_consents(connection, "train"),
                "score": node.consents.live_consents(connection, "score"),
            }
        reports = []
        for purpose, consented in people.items():
            wanted = [
                one
                for one in consented
                if (names[one.pseudonym] in held_out) == (purpose == "score")
            ]
            reports.append(node.fetcher.fetch(wanted, purpose=purpose, deadline_s=FETCH_DEADLINE_S))
        holders = [holder for report in reports for holder in report.holders]
        return Fetched(
            bank=node.member_id,
            subjects=sum(report.asked for report in reports),
            answered=sum(report.answered for report in reports),
            requests=sum(report.requests for report in reports),
            request_ms=tuple(ms for holder in holders for ms in holder.request_ms),
            incomplete=tuple(
                f"{holder.holder}: {holder.error or 'unanswered'}"
                for holder in holders
                if not holder.complete
            ),
        )
    finally:
        node.close()


def _now_ms() -> int:
    return int(time.time() * 1000)
