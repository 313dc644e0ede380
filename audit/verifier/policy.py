"""Which witnesses a log must have convinced: C2SP tlog-policy.

    log bank-a.members.credence+…
    witness bank-b bank-b.members.credence/witness+…
    witness payments payments.members.credence/witness+…
    witness regulator regulator.example/w1+…
    group org:bank-b any bank-b
    group org:payments any payments
    group org:regulator any regulator
    group organisations 2 org:bank-b org:payments org:regulator
    quorum organisations

`Policy.of` makes this form: one group an organisation, so that two keys of one institution count
once, and a quorum over the organisations. Any other tlog-policy file is read as well.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from audit.verifier.cosignature import Cosignature, CosignatureKey, cosignatures
from audit.verifier.note import Checkpoint, Note, NoteKey
from protocols.errors import Malformed, SignatureInvalid

MAX_POLICY_BYTES = 256 * 1024
NO_QUORUM = "none"
ORGANISATIONS = "organisations"
_PREFIX = "org:"
_LEAST_KEY_WORDS = {"log": 2, "witness": 3, "group": 4, "quorum": 2}
_THRESHOLD = re.compile(r"[1-9][0-9]{0,3}")


@dataclass(frozen=True, slots=True)
class Witness:
    """One witness key and the organisation that runs it."""

    organisation: str
    key: CosignatureKey


@dataclass(frozen=True, slots=True)
class Group:
    """So many (`threshold`) of these witnesses and groups."""

    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Witnessing:
    """How well a checkpoint is witnessed.

    Attributes:
        checkpoint: what the log said; a key of the policy signed it.
        met: whether the quorum is there.
        organisations: the groups (or witnesses) that the quorum counts, as far as they are there.
        missing: how many more it takes.
        cosignatures: all that verified.
    """

    checkpoint: Checkpoint
    met: bool
    organisations: tuple[str, ...]
    missing: int
    cosignatures: tuple[Cosignature, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """Whose checkpoints are believed, and cosigned by whom.

    Attributes:
        log_keys: keys of the log, named by its origins.
        witnesses: keys by their names in this policy.
        groups: groups by name, each of names before it.
        quorum: a group, a witness, or `none`.
    """

    log_keys: tuple[NoteKey, ...]
    witnesses: Mapping[str, CosignatureKey]
    groups: Mapping[str, Group]
    quorum: str

    @classmethod
    def of(cls, log_keys: Sequence[NoteKey], witnesses: Sequence[Witness], minimum: int) -> Self:
        """At least `minimum` of the organisations; 0: no witness is asked for.

        The log's own operator is to be left out of `witnesses` by the caller; a key of the log
        among them is refused.

        Raises:
            Malformed: a witness has the log's own key, or a name is no word.
        """
        own = {key.key for key in log_keys}
        named: dict[str, CosignatureKey] = {}
        by_organisation: dict[str, list[str]] = {}
        for witness in witnesses:
            if witness.key.key in own:
                raise Malformed("a log is no witness of itself")
            names = by_organisation.setdefault(witness.organisation, [])
            name = witness.organisation + (f".{len(names)}" if names else "")
            if not _is_word(name) or name in named:
                raise Malformed("an organisation's name is one word, and no other's")
            named[name] = witness.key
            names.append(name)
        groups = {
            _PREFIX + organisation: Group(1, tuple(names))
            for organisation, names in by_organisation.items()
        }
        quorum = NO_QUORUM
        if minimum > 0:
            groups[ORGANISATIONS] = Group(minimum, tuple(groups))
            quorum = ORGANISATIONS
        return cls(tuple(log_keys), named, groups, quorum)

    @property
    def minimum(self) -> int:
        """How many of the quorum's members there must be; 0: none."""
        if self.quorum == NO_QUORUM:
            return 0
        group = self.groups.get(self.quorum)
        return 1 if group is None else group.threshold

    @property
    def organisations(self) -> dict[str, list[CosignatureKey]]:
        """Keys by organisation, in a policy that `of` made; empty in one of another form."""
        return {
            name.removeprefix(_PREFIX): [self.witnesses[one] for one in group.members]
            for name, group in self.groups.items()
            if name.startswith(_PREFIX) and set(group.members) <= self.witnesses.keys()
        }

    def check(self, data: bytes) -> Witnessing:
        """Read a checkpoint and count its cosignatures.

        Checks: 1. it is a signed note with a checkpoint; 2. a key of the policy, named by the
        checkpoint's origin, signed it; 3. every cosignature by a known witness verifies.

        Raises:
            Malformed: check 1.
            SignatureInvalid: check 2 or 3.
        """
        note = Note.parse(data)  # 1
        checkpoint = Checkpoint.parse(note.text)
        # 2
        keys = [key for key in self.log_keys if key.name == checkpoint.origin]
        if not keys:
            raise SignatureInvalid(
                "the policy names no key of this log",
                next_step="Give the policy of the log that the checkpoint names.",
            )
        note.verify(keys)
        found = cosignatures(note, list(self.witnesses.values()))  # 3
        there = {one.key for one in found}
        names = self._counted({name for name, key in self.witnesses.items() if key in there})
        missing = max(0, self.minimum - len(names))
        return Witnessing(checkpoint, missing == 0, tuple(sorted(names)), missing, tuple(found))

    def _counted(self, there: set[str]) -> list[str]:
        """What the quorum counts, as far as it is there."""
        for name, group in self.groups.items():  # each stands after its members
            if name != self.quorum and sum(one in there for one in group.members) >= (
                group.threshold
            ):
                there.add(name)
        top = self.groups.get(self.quorum)
        members = top.members if top else tuple(self.groups) or (self.quorum,)
        return [name.removeprefix(_PREFIX) for name in members if name in there]

    def encode(self) -> str:
        """The policy file."""
        lines = [f"log {key.encode()}" for key in self.log_keys]
        lines += [f"witness {name} {key.encode()}" for name, key in self.witnesses.items()]
        lines += [
            f"group {name} {group.threshold} {' '.join(group.members)}"
            for name, group in self.groups.items()
            if group.members
        ]
        return "\n".join([*lines, f"quorum {self.quorum}", ""])

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a policy file.

        Raises:
            Malformed: another form, a key twice, a name that is not defined before.
        """
        if len(data) > MAX_POLICY_BYTES:
            raise Malformed(f"a policy has at most {MAX_POLICY_BYTES} bytes")
        try:
            text = data.decode("ascii")
        except UnicodeDecodeError as error:
            raise Malformed("a policy is ASCII") from error
        reader = _Reader()
        for line in text.split("\n"):
            words = line.replace("\t", " ").split()
            if words and not words[0].startswith("#"):
                reader.line(words)
        if not reader.quorum:
            raise Malformed("a policy has one quorum line")
        return cls(tuple(reader.logs), reader.witnesses, reader.groups, reader.quorum)


class _Reader:
    def __init__(self) -> None:
        self.logs: list[NoteKey] = []
        self.witnesses: dict[str, CosignatureKey] = {}
        self.groups: dict[str, Group] = {}
        self.quorum = ""

    def line(self, words: list[str]) -> None:
        if len(words) < _LEAST_KEY_WORDS.get(words[0], len(words) + 1):
            raise Malformed("a policy's lines are log, witness, group and quorum")
        getattr(self, f"_{words[0]}")(words[1:])

    def _log(self, words: list[str]) -> None:
        key = NoteKey.parse(words[0])
        if any(key == one for one in self.logs):
            raise Malformed("a policy names a log's key once")
        self.logs.append(key)

    def _witness(self, words: list[str]) -> None:
        key = CosignatureKey.parse(words[1])
        if any(key.key == one.key for one in self.witnesses.values()):
            raise Malformed("a policy names a witness's key once")
        self.witnesses[self._fresh(words[0])] = key

    def _group(self, words: list[str]) -> None:
        name, threshold, *members = words
        if len(set(members)) != len(members) or not all(map(self._known, members)):
            raise Malformed("a group is of witnesses and groups before it, each once")
        needed = {"any": 1, "all": len(members)}.get(threshold)
        if needed is None:
            if _THRESHOLD.fullmatch(threshold) is None or int(threshold) > len(members):
                raise Malformed("a group's threshold is any, all or a number up to its size")
            needed = int(threshold)
        self.groups[self._fresh(name)] = Group(needed, tuple(members))

    def _quorum(self, words: list[str]) -> None:
        if self.quorum or not (words[0] == NO_QUORUM or self._known(words[0])):
            raise Malformed("a policy has one quorum, defined before it")
        self.quorum = words[0]

    def _known(self, name: str) -> bool:
        return name in self.witnesses or name in self.groups

    def _fresh(self, name: str) -> str:
        if self._known(name) or name == NO_QUORUM:
            raise Malformed("a name in a policy is given once, and is not none")
        return name


def _is_word(text: str) -> bool:
    return text.isascii() and text.isprintable() and bool(text) and not set(text) & set(" #")
