"""Whom a log asks, and whom a witness watches: both follow from the member directory.

There is no second trust root. A member's log and its witness sign with the key that the directory
names for it, the coordinator's with the key that signs the directory; a log's first origin and a
witness's key name follow from who it is. Witnesses outside the network, a supervisor's for
example, stand in the settings, each line `ORGANISATION KEY URL`.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from audit.database import Connection
from audit.verifier.cosignature import CosignatureKey
from audit.verifier.note import NoteKey, valid_key_name
from audit.verifier.policy import Policy, Witness
from audit.witness_keeper import epoch_of
from audit.witness_store import held_origins
from protocols.certificates import COORDINATOR_DNS, member_dns
from protocols.directory import Directory, MemberEntry
from protocols.errors import InvalidInput
from protocols.keys import VerifyKey

COORDINATOR = COORDINATOR_DNS  # no member id has a dot
ASKED = 6  # members that a log asks beside the coordinator and those in its settings
MAX_EXTERNAL = 8
_WITNESS = "/witness"
_COORDINATOR_LOG = re.compile(r"([a-z0-9][a-z0-9.-]{0,62}/coordinator)(/[1-9][0-9]{0,5})?")
_MEMBER_LOG = re.compile(r"([a-z][a-z0-9-]{1,40})\.members\.credence(/[1-9][0-9]{0,5})?")
_URL = re.compile(r"https://[!-~]{1,200}|http://(127\.0\.0\.1|localhost)(:[0-9]{1,5})?[!-~]{0,100}")


def witness_name(party: str) -> str:
    """The key name with which a member, or `COORDINATOR`, cosigns."""
    return (COORDINATOR_DNS if party == COORDINATOR else member_dns(party)) + _WITNESS


def witness_keys(directory: Directory, party: str, now_ms: int) -> list[CosignatureKey]:
    """The keys with which a party cosigns at a time.

    Raises:
        UnknownMember: it is not in the directory.
    """
    keys: Iterable[VerifyKey]
    if party == COORDINATOR:
        keys = [VerifyKey(directory.directory_key)]
    else:
        keys = directory.member(party).verify_keys(now_ms)
    return [CosignatureKey(witness_name(party), key) for key in keys]


def watched_keys(
    directory: Directory, connection: Connection, origin: str, now_ms: int
) -> Sequence[NoteKey]:
    """The keys of a log of this network; none: it is no such log.

    The coordinator's log has the network's name in its origin, which the directory does not say:
    the first one that was cosigned here is the only one.
    """
    member = _MEMBER_LOG.fullmatch(origin)
    if member is not None:
        entry = _find(directory, member[1])
        if entry is None or entry.status == "revoked":
            return ()
        if not epoch_of(origin, member_dns(member[1])):
            return ()
        return [NoteKey(origin, key) for key in entry.verify_keys(now_ms)]
    coordinator = _COORDINATOR_LOG.fullmatch(origin)
    if coordinator is None or not epoch_of(origin, coordinator[1]):
        return ()
    for held in held_origins(connection):
        known = _COORDINATOR_LOG.fullmatch(held)
        if known is not None and known[1] != coordinator[1]:
            return ()
    return [NoteKey(origin, VerifyKey(directory.directory_key))]


def is_coordinators(origin: str) -> bool:
    """Whether an origin has the form of a coordinator's."""
    return _COORDINATOR_LOG.fullmatch(origin) is not None


def all_keys(entry: MemberEntry) -> list[VerifyKey]:
    """Every key that a member has had: what it signed long ago is still its own word."""
    return [entry.verify_key, *(one.verify_key for one in entry.earlier_keys)]


def asked_members(directory: Directory, own: str) -> list[str]:
    """The members that the log of `own` asks: the same ones as long as they are members.

    Rendezvous hashing: a member that leaves or comes changes one of them at most.
    """
    others = [one.member_id for one in directory.members if one.active and one.member_id != own]

    def weight(member_id: str) -> bytes:
        return hashlib.sha256(f"credence/1|witness-of|{own}|{member_id}".encode()).digest()

    return sorted(others, key=weight)[:ASKED]


def network_witnesses(directory: Directory, own: str, now_ms: int) -> list[Witness]:
    """All witnesses in the network for the log of a member, or of `COORDINATOR`."""
    parties = [one.member_id for one in directory.members if one.active]
    return [
        Witness(party, key)
        for party in [COORDINATOR, *parties]
        if party != own
        for key in witness_keys(directory, party, now_ms)
    ]


@dataclass(frozen=True, slots=True)
class ExternalWitness:
    """A witness outside the network, as the settings name it."""

    organisation: str
    key: CosignatureKey
    url: str

    @classmethod
    def parse(cls, line: str) -> "ExternalWitness":
        """Read `ORGANISATION KEY URL`.

        Raises:
            InvalidInput: another form, another kind of key, or a URL that is neither https nor on
                this machine.
        """
        words = line.split()
        if len(words) != 3 or not valid_key_name(words[0]) or _URL.fullmatch(words[2]) is None:
            raise InvalidInput("a witness reads `ORGANISATION KEY URL`, the URL with https")
        return cls(words[0], CosignatureKey.parse(words[1]), words[2].rstrip("/"))

    @property
    def witness(self) -> Witness:
        """It, for a policy."""
        return Witness(self.organisation, self.key)


def policy_for(
    directory: Directory,
    outside: Sequence[ExternalWitness],
    member_id: str,
    keys: Sequence[NoteKey],
    minimum: int,
    now_ms: int,
) -> Policy | None:
    """Whose cosignatures count for a member's log, to another who asks for `minimum`; 0: None."""
    if minimum == 0:
        return None
    others = [one.witness for one in outside if one.organisation != member_id]
    return Policy.of(keys, [*network_witnesses(directory, member_id, now_ms), *others], minimum)


def _find(directory: Directory, member_id: str) -> MemberEntry | None:
    return next((one for one in directory.members if one.member_id == member_id), None)
