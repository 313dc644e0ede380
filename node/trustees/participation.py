"""A trustee's way through a key ceremony, one short step at a time.

Rules, beside those of `protocols.dkg`:

1. A plan is taken part in when the coordinator signed it, this node is among its trustees, its
   threshold is a majority, and its epoch is above that of every key held here.
2. An entry from the board counts only with its trustee's signature under the key of the directory;
   one without ends the ceremony here: somebody forges.
3. One's own entries are on the board as they were posted, or the ceremony ends here: somebody
   withholds.
4. The share is sealed and stored before it is confirmed: a key that exists is never short of it.
5. The polynomial lives in memory only: a process that starts anew during a ceremony is silent for
   the rest of it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from node.enrolment.pseudonym_keys import PseudonymKeys
from node.trustees.board_client import KeyBoard, SignedEntry
from node.trustees.shares import Shares
from protocols import dkg
from protocols.ceremony import read_plan, sign_entry, verify_entry
from protocols.directory import Directory
from protocols.dkg_entries import ROUNDS, Ceremony, Round
from protocols.documents import Document
from protocols.errors import CredenceError, NotFound, StateConflict
from protocols.keys import SealingKey, SigningKey, VerifyKey

WAITING_S = 2.0  # between looks while no ceremony is under way
BUSY_S = 0.1
FINAL = ("completed", "failed")

log = structlog.get_logger("node.ceremony")


class BoardForged(CredenceError):
    """The board shows an entry that its trustee did not sign, or two of one trustee."""

    code = "board_forged"
    category = "unauthenticated"
    next_step = "Report this to the other members: the board's keeper shows what nobody posted."


class BoardWithheld(CredenceError):
    """This trustee's own entry is not on the board as it was posted."""

    code = "board_withheld"
    category = "conflict"
    next_step = "Report this to the other members: the board's keeper withholds entries."


class CeremonyTooWeak(StateConflict):
    """A ceremony whose threshold is no majority, or whose epoch is not a new one."""

    code = "ceremony_too_weak"
    next_step = "Ask the operator for a majority threshold and a new epoch."


@dataclass
class _Taking:
    """A ceremony under way: this trustee's secret state, and what it has seen and posted."""

    ceremony: Ceremony
    trustee: dkg.Trustee
    board: dict[Round, dict[str, bytes]] = field(default_factory=dict)
    made: dict[Round, SignedEntry] = field(default_factory=dict)
    posted: set[Round] = field(default_factory=set)


class Participation:
    """Takes part in the network's ceremonies; one thread calls `step` again and again."""

    def __init__(
        self,
        *,
        member_id: str,
        signing: Callable[[], SigningKey],
        sealing: Callable[[], SealingKey],
        directory_key: VerifyKey | None,
        directory: Callable[[], Directory],
        board: KeyBoard,
        keys: PseudonymKeys,
        shares: Shares,
        now_ms: Callable[[], int],
    ) -> None:
        self._member_id = member_id
        self._signing = signing
        self._sealing = sealing
        self._directory_key = directory_key
        self._directory = directory
        self._board = board
        self._keys = keys
        self._shares = shares
        self._now_ms = now_ms
        self._taking: _Taking | None = None
        self._learnt = b""  # body of the newest key's document
        self._over = ""  # id of the ceremony that is done with here
        self._next_look = 0.0  # monotonic seconds

    def step(self) -> None:
        """Look at the board when it is time; do what the open round asks for.

        Raises:
            BoardForged, BoardWithheld, CeremonyTooWeak, CeremonyFailed: this node leaves the
                ceremony.
            CredenceError: the coordinator cannot be reached; the next step tries again.
        """
        if self._directory_key is None or time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + (BUSY_S if self._taking else WAITING_S)
        try:
            announced = self._board.current()
        except NotFound:
            return
        ceremony = read_plan(announced.plan, self._directory_key)
        if announced.result is not None:
            self._learn(announced.result)
        if announced.state in FINAL or self._member_id not in ceremony.trustees:
            self._taking = None
            return
        if ceremony.ceremony_id == self._over:
            return
        try:
            self._take_part(ceremony, announced.state)
        except (BoardForged, BoardWithheld, CeremonyTooWeak, dkg.CeremonyFailed) as error:
            self._leave(ceremony, error)
            raise

    def _take_part(self, ceremony: Ceremony, state: str) -> None:
        if self._taking is None or self._taking.ceremony != ceremony:
            self._taking = self._enter(ceremony, state)
        if self._taking is None or state not in ROUNDS:
            return
        round_ = ROUNDS[ROUNDS.index(state)]
        taking = self._taking
        if round_ in taking.posted:
            return
        for earlier in ROUNDS[: ROUNDS.index(round_)]:
            if earlier not in taking.board:
                taking.board[earlier] = self._read(taking, earlier)
        entry = taking.made.get(round_) or self._make(taking, round_)
        if entry is not None:
            taking.made[round_] = entry
            self._board.post(ceremony.ceremony_id, round_, entry)
        taking.posted.add(round_)
        self._next_look = 0.0

    def _enter(self, ceremony: Ceremony, state: str) -> _Taking | None:
        if state not in {"announced", "commitment"}:  # rule 5
            log.warning("ceremony.missed", ceremony=ceremony.ceremony_id, state=state)
            self._over = ceremony.ceremony_id
            return None
        epochs = self._keys.epochs()
        if 2 * ceremony.threshold <= len(ceremony.trustees) or (
            epochs and ceremony.epoch <= epochs[0]
        ):  # rule 1
            raise CeremonyTooWeak("the threshold is no majority, or the epoch is not a new one")
        directory = self._directory()
        publics = {name: directory.active_member(name).sealing_key for name in ceremony.trustees}
        log.info("ceremony.begins", ceremony=ceremony.ceremony_id, epoch=ceremony.epoch)
        trustee = dkg.Trustee(ceremony, self._member_id, self._sealing(), publics)
        return _Taking(ceremony, trustee)

    def _read(self, taking: _Taking, round_: Round) -> dict[str, bytes]:
        ceremony, directory = taking.ceremony, self._directory()
        found: dict[str, bytes] = {}
        for entry in self._board.read(ceremony.ceremony_id, round_):
            name = entry.member_id
            try:
                keys = directory.member(name).verify_keys(self._now_ms())
                verify_entry(ceremony, round_, name, entry.body, entry.signature, keys)  # rule 2
            except CredenceError as error:
                raise BoardForged("the board shows an entry that nobody signed") from error
            if found.setdefault(name, entry.body) != entry.body:
                raise BoardForged("the board shows two entries of one trustee")
        own = taking.made.get(round_)
        if own is not None and found.get(self._member_id) != own.body:  # rule 3
            raise BoardWithheld(f"this node's own entry of {round_} is not on the board")
        return found

    def _make(self, taking: _Taking, round_: Round) -> SignedEntry | None:
        """This trustee's entry; None when it has nothing to say, because it is out."""
        trustee, board = taking.trustee, taking.board
        if round_ == "commitment":
            body = trustee.commitment()
        elif round_ == "deal":
            body = trustee.deal()
        elif round_ == "verdict":
            body = trustee.verdict(board)
        elif round_ == "answer":
            body = trustee.answer(board)
        else:
            judgement, share = trustee.conclude(board)
            if self._member_id not in judgement.qualified:
                log.warning("ceremony.out", why=judgement.blamed.get(self._member_id, ""))
                return None
            ceremony = taking.ceremony
            index = ceremony.index(self._member_id)
            now_ms = self._now_ms()
            self._shares.store(ceremony.ceremony_id, ceremony.epoch, index, share, now_ms)  # rule 4
            body = dkg.confirmation(judgement)
        signature = sign_entry(taking.ceremony, round_, self._member_id, body, self._signing())
        return SignedEntry(self._member_id, body, signature)

    def _learn(self, result: Document) -> None:
        if self._learnt == result.body:
            return
        key = self._keys.install(result)
        with self._shares.database.write() as connection:
            retired = self._shares.retire(connection, key.epoch, self._now_ms())
        self._learnt = result.body
        log.info("ceremony.completed", epoch=key.epoch, version=key.version, retired=retired)

    def _leave(self, ceremony: Ceremony, error: CredenceError) -> None:
        log.error("ceremony.left", ceremony=ceremony.ceremony_id, code=error.code)
        self._over, self._taking = ceremony.ceremony_id, None
