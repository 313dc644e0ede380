"""Trustees in memory: a real ceremony and real evaluations, without gRPC, coordinator or clock.

trustees = make_trustees()
service = trustees.service(database, local_key=b"l" * 32)
service.pseudonyms(["11010519491231002X"])
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

from audit.database import Database
from node.enrolment.pseudonyms import PseudonymService
from protocols import dkg
from protocols.ceremony import PseudonymKey, make_key, sign_entry
from protocols.dkg_entries import ROUNDS, Ceremony, Round
from protocols.enrolment import Evaluated, evaluate_batch, split_elements
from protocols.errors import CredenceError, NotFound
from protocols.keys import SealingKey, SigningKey
from protocols.ristretto import Scalar

NAMES = ("bank-a", "bank-b", "bank-c", "payments", "public-records")


@dataclass(frozen=True)
class Made:
    """A ceremony's result and everybody's share."""

    key: PseudonymKey
    shares: dict[str, Scalar]


def hold_ceremony(
    epoch: int = 1,
    threshold: int = 2,
    names: tuple[str, ...] = NAMES[:3],
    signing: dict[str, SigningKey] | None = None,
) -> Made:
    """All trustees, honest, through all five rounds."""
    ceremony = Ceremony(f"cer_{epoch}", epoch, threshold, names)
    sealing = {name: SealingKey.generate() for name in names}
    publics = {name: key.public for name, key in sealing.items()}
    trustees = {name: dkg.Trustee(ceremony, name, sealing[name], publics) for name in names}
    board: dict[Round, dict[str, bytes]] = {}
    board["commitment"] = {name: one.commitment() for name, one in trustees.items()}
    board["deal"] = {name: one.deal() for name, one in trustees.items()}
    board["verdict"] = {name: one.verdict(board) for name, one in trustees.items()}
    board["answer"] = {name: one.answer(board) for name, one in trustees.items()}
    judgement = dkg.judge(ceremony, board)
    shares = {name: one.conclude(board)[1] for name, one in trustees.items()}
    keys = signing or {name: SigningKey.generate() for name in names}
    body = dkg.confirmation(judgement)
    signatures = {name: sign_entry(ceremony, ROUNDS[4], name, body, keys[name]) for name in names}
    return Made(make_key(epoch, ceremony, judgement, signatures), shares)


@cache
def _ceremony(epoch: int, threshold: int, count: int) -> Made:
    return hold_ceremony(epoch, threshold, NAMES[:count])


@dataclass
class MemoryTrustees:
    """The trustees of one or more epochs, who may be made to fail.

    Attributes:
        made: the keys, the newest last.
        down: trustee -> what it raises instead of answering.
        meddle: trustee -> what it makes of a right answer.
        asked: elements evaluated, by trustee.
    """

    made: list[Made]
    down: dict[str, CredenceError] = field(default_factory=dict)
    meddle: dict[str, Callable[[Evaluated], Evaluated]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)

    def newest(self) -> PseudonymKey:
        """The newest epoch's key."""
        return self.made[-1].key

    def of_epoch(self, epoch: int) -> PseudonymKey:
        """An epoch's key."""
        return self._of(epoch).key

    def evaluate(self, trustee: str, epoch: int, blinded: bytes) -> Evaluated:
        """As a trustee's node would answer."""
        if trustee in self.down:
            raise self.down[trustee]
        made = self._of(epoch)
        elements = split_elements(blinded)
        self.asked[trustee] += len(elements)
        done = evaluate_batch(made.shares[trustee], made.key.index(trustee), elements)
        return self.meddle.get(trustee, lambda answer: answer)(done)

    def service(
        self, database: Database, local_key: bytes = b"l" * 32, processes: int = 1
    ) -> PseudonymService:
        """A node's enrolment client that asks these trustees."""
        return PseudonymService(
            database=database,
            keys=self,
            evaluator=self,
            local_key=local_key,
            processes=processes,
        )

    def _of(self, epoch: int) -> Made:
        for made in self.made:
            if made.key.epoch == epoch:
                return made
        raise NotFound(f"no key of epoch {epoch}")


def make_trustees(threshold: int = 2, count: int = 3, epochs: int = 1) -> MemoryTrustees:
    """Trustees after their ceremonies; the ceremonies are held once a test process."""
    return MemoryTrustees([_ceremony(n, threshold, count) for n in range(1, epochs + 1)])
