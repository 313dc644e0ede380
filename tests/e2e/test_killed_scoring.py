"""A bank's node in a process of its own, killed outright amid scores: each is given once."""

import asyncio
import math
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.sdk import Client, ClientKey, Identity, calls
from api.sdk.core import Patience
from api.sdk.errors import IdempotencyConflict, SdkError
from api.sdk.jobs import BatchLine
from api.sdk.proofs import check_score
from api.sdk.results import Score
from audit.leaf import parse_leaf
from audit.verifier.note import NoteKey
from deploy.sandbox.processes import Supervisor
from node.access.presented import SCOPES
from node.settings import SETTINGS_FILE, settings_text
from node.storage import scores
from protocols.jose import parse_jwk
from tests.network import now_ms
from tests.node.scoring_world import BANK, World, open_world, ref

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

LINES = 12
LET_THROUGH = 4
WAIT_S = 30.0


@dataclass
class Gate:
    """Before one holder: requests wait until some are let through, or all."""

    arrived: int = 0
    let_through: float = 0
    passed: int = 0

    def stand_before(self, world: World, holder: str) -> "Gate":
        exchange = world.network.node(holder).exchange
        answer = exchange.answer_soon

        async def pass_through(*given: Any, **more: Any) -> bytes:
            self.arrived += 1
            while self.passed >= self.let_through:
                await asyncio.sleep(0.002)
            self.passed += 1
            return await answer(*given, **more)

        exchange.answer_soon = pass_through  # type: ignore[method-assign]
        return self

    def open(self) -> None:
        self.let_through = math.inf


@dataclass
class Bank:
    """The bank: its homes' files here, its process elsewhere."""

    world: World
    supervisor: Supervisor
    url: str
    who: Identity
    threads: ThreadPoolExecutor

    def start(self) -> None:
        home = self.world.network.root / BANK
        self.supervisor.start(BANK, ["node", "run", str(home)], home.parent / "bank-a.log")
        self.supervisor.wait_until(BANK, self._answers)

    def kill(self) -> None:
        self.supervisor.kill(BANK)

    def client(self) -> Client:
        """One that asks once: repeating is what the test does."""
        return Client(self.url, self.who, patience=Patience(attempts=1))

    def ask(self, one: bytes, consent_id: str, key: str, **more: str) -> Score:
        with self.client() as client:
            return client.score(ref(one), consent_id, idempotency_key=key, **more)

    def asking(self, one: bytes, consent_id: str, key: str) -> Future[Score]:
        return self.threads.submit(self.ask, one, consent_id, key)

    def kept(self, key: str) -> bool:
        """Whether a score under this key is on disk."""
        with self.world.node.database.read() as connection:
            return bool(scores.under_keys(connection, [(self.who.client_id, key)]))

    def given(self) -> Counter[str]:
        """How many scores each person was given, by the log."""
        node = self.world.node
        leaves = node.log_reader.leaves(0, node.audit.head().size)
        told = [parse_leaf(one.leaf.encode()) for one in leaves]
        return Counter(str(one["correlation"]) for one in told if one["kind"] == "score.issued")

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", timeout=1.0).is_success
        except httpx.HTTPError:
            return False


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Bank]:
    with (
        open_world(tmp_path) as world,
        Supervisor() as supervisor,
        ThreadPoolExecutor(4) as threads,
    ):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            address = f"127.0.0.1:{probe.getsockname()[1]}"
        changed = world.node.settings.model_copy(update={"http": address, "train": False})
        (tmp_path / BANK / SETTINGS_FILE).write_text(settings_text(changed))
        key = ClientKey.generate()
        row = world.clients.add_with_keys("desk", now_ms(), [parse_jwk(key.public_jwk)], SCOPES)
        yield Bank(world, supervisor, f"http://{address}", Identity(row.client_id, key), threads)


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def proved(bank: Bank, client: Client, score: Score) -> None:
    node = bank.world.node
    key = NoteKey(node.audit.origin, node.keys.signing.verify_key).encode()
    assert check_score(score, client.receipt(score.receipt.seq), [key]).content == "shown"


def test_scores_and_batches_outlive_a_node_that_is_killed(bank: Bank) -> None:
    """Killed while holders are asked, and again when an answer is on disk and on its way."""
    one, other, *people = bank.world.enrol(*range(1, LINES + 3))
    asked = {one: "public-records", other: "payments"} | dict.fromkeys(people, "payments")
    terms = {
        person: bank.world.consent(person, holders=(BANK, holder)).consent_id
        for person, holder in asked.items()
    }
    lines = [(ref(person), terms[person]) for person in people]
    for_one = Gate().stand_before(bank.world, "public-records")
    for_many = Gate().stand_before(bank.world, "payments")

    bank.start()
    cut_off = bank.asking(one, terms[one], "one")
    with bank.client() as client:
        batch = client.make(calls.create_batch(lines, idempotency_key="batch"))
    until(lambda: (for_one.arrived, for_many.arrived) == (1, LINES))
    with pytest.raises(IdempotencyConflict):  # under way, and another body
        bank.ask(one, terms[one], "one", language="zh-Hant")
    for_many.let_through = LET_THROUGH
    until(lambda: bank.given().total() == LET_THROUGH)
    bank.kill()  # what became of these lines may be written down or not
    assert isinstance(cut_off.exception(WAIT_S), SdkError)
    assert not bank.kept("one")
    before = bank.given()
    assert before.total() == LET_THROUGH

    for_one.open()
    for_many.open()
    bank.start()
    first = bank.ask(one, terms[one], "one")
    with bank.client() as client:
        again = client.make(calls.create_batch(lines, idempotency_key="batch"))
        assert again.batch_id == batch.batch_id
        until(lambda: client.make(calls.get_batch(batch.batch_id)).ended)
    unheard = bank.asking(other, terms[other], "other")
    until(lambda: bank.kept("other"))
    bank.kill()
    unheard.exception(WAIT_S)  # whether it was heard is left to chance

    bank.start()
    second = bank.ask(other, terms[other], "other")
    with pytest.raises(IdempotencyConflict):  # after a crash, and another body
        bank.ask(other, terms[other], "other", language="zh-Hant")
    assert bank.ask(one, terms[one], "one").raw == first.raw
    with bank.client() as client:
        found: list[BatchLine] = list(
            client.pages(lambda at: calls.batch_results(batch.batch_id, cursor=at, limit=5))
        )
        for score in (first, second, found[0].score, found[-1].score):
            assert score is not None
            proved(bank, client, score)
    assert [(line.subject, line.consent_id) for line in found] == lines
    assert [line.line for line in found] == list(range(1, LINES + 1))
    ids = {line.score.score_id for line in found if line.score} | {first.score_id, second.score_id}
    assert bank.given() == Counter(ids)  # one leaf each, and no score beside these
    assert before.keys() < ids
    assert {one.consent_uses_left for one in (first, second)} == {999}
