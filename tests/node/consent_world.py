"""A small network for consents: real services, databases and logs; the wire is a function call.

world = ConsentWorld(tmp_path)
bank = world.member("bank-a")
grant = world.signed("bank-a", person)
bank.consents.record_many([grant])
bank.consents.push_pending()
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from audit.database import Database
from audit.shredding import DataKeys
from audit.store import AuditLog
from consent.artefact import Artefact, countersign, sign_as_subject
from consent.authority import device_key
from consent.delivery import Acknowledgement, Delivery, Kind
from consent.events import ConsentEvent, countersign_event, sign_event
from consent.lifecycle import Event
from consent.templates import Templates
from node.consents.service import ConsentService, OfferTerms, SignedGrant, artefact_of
from node.network.pairwise import PairKeys
from node.network.rpc_errors import PeerUnreachable
from node.storage import signals, subjects
from node.storage.schema import ensure_schema
from node.storage.signals import SignalVector
from node.storage.subjects import Subject
from protocols.directory import Directory, MemberEntry, Status
from protocols.keys import SealingKey, SigningKey

START_MS = 1_780_000_000_000
ROLES = {
    "bank-a": ("bank", ("credit_account",)),
    "bank-b": ("bank", ("credit_account",)),
    "payments": ("data_provider", ("payment",)),
    "public-records": ("public_record_publisher", ("public_record",)),
}


def person(number: int) -> bytes:
    """A pseudonym."""
    return number.to_bytes(4, "big") * 8


def subject_key(number: int) -> SigningKey:
    """A person's own key."""
    return SigningKey.from_seed(number.to_bytes(4, "little") * 8)


@cache
def empty_database() -> bytes:
    """A database with the schema and nothing in it; made once, for making one takes a moment."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "empty.db"
        database = Database(f"sqlite:///{path}")
        ensure_schema(database)
        with database.read() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()
        return path.read_bytes()


class LocalCourier:
    """Hands deliveries to the other members' services, unless the line is cut."""

    def __init__(self, world: "ConsentWorld", sender: str) -> None:
        self._world = world
        self._sender = sender
        self.cut: set[str] = set()
        self.lose_answers: set[str] = set()
        self.delivered = 0

    def deliver(self, member_id: str, deliveries: Sequence[Delivery]) -> Iterator[Acknowledgement]:
        if member_id in self.cut:
            raise PeerUnreachable(f"{member_id} cannot be reached")
        answers = self._world.members[member_id].consents.receive(self._sender, deliveries)
        self.delivered += len(deliveries)
        if member_id in self.lose_answers:
            raise PeerUnreachable(f"{member_id} went away")
        yield from answers


@dataclass
class Member:
    """One member: its keys, its database, its log, its consents."""

    member_id: str
    signing: SigningKey
    sealing: SealingKey
    database: Database
    data_keys: Database
    audit: AuditLog
    consents: ConsentService
    courier: LocalCourier
    status: Status = "active"

    def enrol(self, *numbers: int) -> None:
        """Let the member know people."""
        with self.database.write() as connection:
            known = subjects.all_subjects(connection)
            new = [
                Subject(person(n), f"sub_{self.member_id}_{n}", f"C{n}", START_MS) for n in numbers
            ]
            subjects.replace_all(connection, [*known, *new])

    def keep_vector(self, pseudonym: bytes, source: str, purpose: str, consent_id: str) -> None:
        """Let the member have fetched signals under a consent."""
        vector = SignalVector(
            pseudonym, source, purpose, START_MS, 1, {"paid_ratio_1m": (1, 0.5)}, consent_id, 2**52
        )
        with self.database.write() as connection:
            signals.put_many(connection, [vector])

    def vectors(self, pseudonym: bytes) -> list[SignalVector]:
        """What it has about a person."""
        with self.database.read() as connection:
            return signals.of_subject(connection, pseudonym, START_MS)

    def leaves(self) -> int:
        """Size of its log."""
        return self.audit.head().size


@dataclass
class ConsentWorld:
    """Members that know one another, on one clock."""

    root: Path
    names: Sequence[str] = tuple(ROLES)
    now_ms: int = START_MS
    epoch: int = 1
    version: int = 1
    directory_key: SigningKey = field(default_factory=SigningKey.generate)
    members: dict[str, Member] = field(default_factory=dict)
    _directory: Directory | None = None

    def __post_init__(self) -> None:
        for member_id in self.names:
            self.members[member_id] = self._open(member_id)

    def member(self, member_id: str) -> Member:
        return self.members[member_id]

    def directory(self) -> Directory:
        if self._directory is None or self._directory.version != self.version:
            self._directory = Directory(
                version=self.version,
                issued_at_ms=START_MS,
                epoch=self.epoch,
                members=tuple(self._entry(self.members[one]) for one in sorted(self.members)),
                directory_key=self.directory_key.verify_key.bytes,
            )
        return self._directory

    def publish(self, *, epoch: int | None = None, **statuses: Status) -> None:
        """Put another directory in force; member ids with `_` for `-`."""
        for member_id, status in statuses.items():
            self.members[member_id.replace("_", "-")].status = status
        self.epoch = self.epoch if epoch is None else epoch
        self.version += 1

    def artefact(
        self, controller: str, number: int, *, replaces: Artefact | None = None, **terms: Any
    ) -> Artefact:
        """What a person would sign."""
        offer = self.member(controller).consents.offer(OfferTerms(**terms))
        key = subject_key(number).verify_key.bytes
        return offer.artefact(person(number), key, replaces=replaces)

    def signed(self, controller: str, number: int, **terms: Any) -> SignedGrant:
        """What a person signed."""
        artefact = self.artefact(controller, number, **terms)
        return SignedGrant(person(number), self.sign(artefact, number))

    def sign(self, artefact: Artefact, number: int) -> bytes:
        """An artefact with a person's signature."""
        return sign_as_subject(artefact, subject_key(number))

    def artefact_of(self, member_id: str, consent_id: str) -> Artefact:
        """The version in force at a member."""
        return artefact_of(self.member(member_id).consents.get(consent_id))

    def grant(self, controller: str, number: int, *, push: bool = True, **terms: Any) -> str:
        """A consent in force; its id."""
        service = self.member(controller).consents
        (recorded,) = service.record_many([self.signed(controller, number, **terms)])
        if push:
            service.push_pending()
        return recorded.consent_id

    def said(self, controller: str, consent_id: str, number: int, event: Event) -> bytes:
        """What a person signed later."""
        statement = self.member(controller).consents.event(consent_id, event)
        return sign_event(statement, subject_key(number))

    def deliverable(self, artefact: Artefact, number: int) -> Delivery:
        """An artefact signed by a person and its consent node, on its way."""
        signed = sign_as_subject(artefact, subject_key(number))
        return Delivery(
            Kind.ARTEFACT, countersign(signed, self.member(artefact.controller).signing)
        )

    def event_about(
        self, artefact: Artefact, number: int, event: Event, **changes: Any
    ) -> Delivery:
        """A later word of a person, countersigned, on its way."""
        said = ConsentEvent(
            event=event,
            consent_id=artefact.consent_id,
            consent_hash=artefact.consent_hash,
            controller=artefact.controller,
            authority=device_key(subject_key(number).verify_key.bytes),
            at_ms=self.now_ms,
        )
        signed = sign_event(replace(said, **changes), subject_key(number))
        node = self.member(artefact.controller).signing
        return Delivery(Kind.EVENT, countersign_event(signed, node))

    def pair_key(self, member_id: str, other: str) -> bytes:
        """What two members share in the epoch in force."""
        sealing = self.member(member_id).sealing
        return PairKeys(member_id, lambda: [sealing], self.directory).with_member(other)

    def tick(self, ms: int) -> None:
        """Let time pass."""
        self.now_ms += ms

    def close(self) -> None:
        for member in self.members.values():
            member.database.close()
            member.data_keys.close()

    def _entry(self, member: Member) -> MemberEntry:
        role, holds = ROLES[member.member_id]
        return MemberEntry(
            member_id=member.member_id,
            name=member.member_id.title(),
            role=role,
            licence="",
            contact="privacy@example.org",
            holds=holds,
            signing_key=member.signing.verify_key.bytes,
            sealing_key=member.sealing.public,
            certificate_sha256=bytes(32),
            endpoint="localhost:1",
            status=member.status,
            joined_at_ms=START_MS,
        )

    def _open(self, member_id: str) -> Member:
        (self.root / f"{member_id}.db").write_bytes(empty_database())
        database = Database(f"sqlite:///{self.root / member_id}.db")
        data_keys = Database(f"sqlite:///{self.root / member_id}-keys.db")
        audit = AuditLog(member_id, database, DataKeys(data_keys, bytes(32)), bytes(32))
        signing, sealing = SigningKey.generate(), SealingKey.generate()
        courier = LocalCourier(self, member_id)
        service = ConsentService(
            database,
            audit,
            member_id=member_id,
            signing_key=lambda: signing,
            directory=self.directory,
            pair_keys=PairKeys(member_id, lambda: [sealing], self.directory),
            courier=courier,
            templates=Templates.load_default(),
            clock=lambda: self.now_ms,
        )
        return Member(member_id, signing, sealing, database, data_keys, audit, service, courier)
