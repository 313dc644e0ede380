"""A network of processes changes its pseudonym key while its banks go on asking."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from deploy.sandbox import network, people, population, records_out, work
from deploy.sandbox.layout import Layout, create
from deploy.sandbox.processes import Supervisor
from deploy.sandbox.progress import Stage
from node.bootstrap import Node, open_node
from node.storage import subjects
from tests.network import now_ms

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(240)]

BANK = "bank-a"
PEOPLE = 200


def silent() -> Stage:
    return Stage(lambda _done, _total, _note: None)


@dataclass
class Network:
    """The sandbox with people who consented."""

    layout: Layout
    supervisor: Supervisor

    @property
    def member_ids(self) -> list[str]:
        return [one.member_id for one in self.layout.members]

    def opened(self, member_id: str) -> Node:
        return open_node(self.layout.home(member_id))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with Supervisor() as supervisor:
        layout = create(tmp_path_factory.mktemp("change") / "network", reset=False)
        network.found(layout)
        network.start_coordinator(layout, supervisor)
        network.join(layout, silent(), max_epsilon=3.0)
        network.start_nodes(layout, supervisor)
        network.hold_ceremony(layout, supervisor, silent(), threshold=3)
        everybody = population.generate(7, PEOPLE)
        written = records_out.write(everybody, layout.root / "inbox", layout.root / "holdout.csv")
        for one in layout.members:
            inbox = written.directories[one.member_id]
            work.ingest(layout.home(one.member_id), inbox, written.as_of_ms)
        secret = layout.root / "subjects" / "keyring"
        people.Keyring.create(secret)
        granted = work.grant(layout.home(BANK), secret, 1.0, 3.0)
        assert granted.consents > 20
        assert granted.waiting == 0
        yield Network(layout, supervisor)


@dataclass
class Asking:
    """A bank that asks the holders about its customers, again and again."""

    node: Node
    rounds: int = 0
    answered: set[int] = field(default_factory=set)
    missed: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self._over.is_set():
            with self.node.database.read() as connection:
                everybody = self.node.consents.live_consents(connection, "score")
            # By what a change of names leaves as it is: the same people every time.
            wanted = sorted(everybody, key=lambda one: one.consent_id)[:20]
            report = self.node.fetcher.fetch(wanted, purpose="score", deadline_s=20)
            self.missed += [f"{one.holder}: {one.error}" for one in report.holders if one.error]
            self.answered.add(report.answered)
            self.rounds += 1

    def stop(self) -> None:
        self._over.set()


def test_everybody_is_found_at_every_moment_of_a_change_of_the_key(running: Network) -> None:
    """Ceremony, enrolment, switch and retirement at five nodes: no question goes unanswered."""
    asking = Asking(running.opened(BANK))
    names = _names(running)
    thread = threading.Thread(target=asking.run)
    thread.start()
    try:
        network.hold_ceremony(running.layout, running.supervisor, silent(), threshold=3)
        for step in (_enrol, _switch, _retire):
            for member_id in running.member_ids:
                before = asking.rounds
                step(running, member_id)
                _wait(lambda before=before: asking.rounds > before + 1)
        running.supervisor.check()
    finally:
        asking.stop()
        thread.join(30)
        asking.node.close()
    assert asking.rounds > 30
    assert asking.missed == []
    # Not every holder knows everybody; who was found before is found at every moment since.
    assert len(asking.answered) == 1
    assert asking.answered.pop() > 20
    after = _names(running)
    assert after.keys() == names.keys()  # customers and their references are who they were
    assert not set(after.values()) & set(names.values())


def _enrol(running: Network, member_id: str) -> None:
    node = running.opened(member_id)
    try:
        node.rotation().enrol(2)
    finally:
        node.close()


def _switch(running: Network, member_id: str) -> None:
    node = running.opened(member_id)
    try:
        assert node.rotation().switch(2, now_ms()) > 0
    finally:
        node.close()


def _retire(running: Network, member_id: str) -> None:
    node = running.opened(member_id)
    try:
        node.rotation().retire(now_ms())
    finally:
        node.close()


def _names(running: Network) -> dict[tuple[str, str, str], bytes]:
    found = {}
    for member_id in running.member_ids:
        node = running.opened(member_id)
        try:
            with node.database.read() as connection:
                for one in subjects.all_subjects(connection):
                    found[member_id, one.customer_id, one.subject_ref] = one.pseudonym
        finally:
            node.close()
    return found


def _wait(holds) -> None:
    pause = threading.Event()
    for _ in range(600):
        if holds():
            return
        pause.wait(0.05)
    raise AssertionError("the bank asks no more")
