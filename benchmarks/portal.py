"""Pages of the portal with 10,000 consents in the node, beside a bare route on the same server.

    python -m benchmarks.portal [--consents 10000] [--own 1000] [--times 60]

One reader over a kept connection, loopback; the times are those that the reader sees, with reading
the session, the database and rendering. The reader has `--own` of the consents, with entries in the
log for each. The promise is under 100 ms a page.
"""

import argparse
import http.client
import logging
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import structlog

from api.http.app import create_app
from api.http.faces import faces_of
from api.http.server import HttpServer
from consent.authority import account
from node.consents.desk import ConfirmedGrant
from node.consents.offers import OfferTerms
from node.storage import subjects
from node.storage.subjects import Subject
from tests.browser.portal_world import PortalWorld, open_portal, ref
from tests.network import now_ms, person

READER = 1
BATCH = 500
CLASSES = ("credit_account", "payment", "public_record")
CHOICE = "purpose=score&purpose=train&recipient=bank-a&class=payment&class=tax&days=90"


def main() -> None:
    """Measure and print a line a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--consents", type=int, default=10_000)
    parser.add_argument("--own", type=int, default=1_000)
    parser.add_argument("--times", type=int, default=60)
    arguments = parser.parse_args()
    silent = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=silent)
    with tempfile.TemporaryDirectory() as folder, open_portal(Path(folder)) as world:
        fill(world, arguments.consents, arguments.own)
        app = create_app(world.node, faces=faces_of(world.node))

        @app.get("/floor")
        def floor() -> dict[str, str]:
            return {"status": "ok"}

        server = HttpServer(app, "127.0.0.1:0")
        server.start()
        held = sum(world.node.consents.counts().values())
        print(f"{held} consents in the node, {arguments.own} of them the reader's")
        print(f"{'page':<34}{'KiB':>8}{'p50 ms':>10}{'p99 ms':>10}{'x floor':>10}")
        base = 0.0
        for name, path in pages(world):
            size, times = read(server.port, path, world.session(READER), arguments.times)
            median, worst = statistics.median(times), times[int(len(times) * 0.99)]
            base = base or median
            print(
                f"{name:<34}{size / 1024:>8.1f}{median:>10.2f}{worst:>10.2f}{median / base:>10.1f}"
            )
        server.stop()


def pages(world: PortalWorld) -> Iterator[tuple[str, str]]:
    """What is read, the floor first."""
    newest = world.node.consents.of_subject(person(READER))[0].terms.consent_id
    entry = world.node.audit.about(person(READER))[0]
    yield "bare route", "/floor"
    yield "home", "/portal/"
    yield "my consents, first page", "/portal/consents"
    yield "one consent", f"/portal/consents/{newest}"
    yield "its receipt", f"/portal/consents/{newest}/receipt"
    yield "grant, step 1", "/portal/consents/new"
    yield "grant, step 2", f"/portal/consents/confirm?{CHOICE}"
    yield "who looked", "/portal/access"
    yield "all entries about me", "/portal/access?show=all"
    yield "proof of the oldest entry", f"/portal/access/{entry}/proof.json"
    yield "my score", "/portal/score"
    yield "my data", "/portal/data"


def fill(world: PortalWorld, consents: int, own: int) -> None:
    """People with a consent each, and a reader with many."""
    world.enrol(READER)
    node = world.node
    people = [READER] * own + list(range(2, 2 + max(0, consents - own)))
    with node.database.write() as connection:
        known = subjects.all_subjects(connection)
        new = [Subject(person(n), ref(n), f"HB-{10_000 + n}", now_ms()) for n in set(people[own:])]
        subjects.replace_all(connection, [*known, *new])
    offer = node.consents.offer(OfferTerms(purposes=("score",), data_categories=CLASSES))
    authority = account("password_totp")
    for start in range(0, len(people), BATCH):
        node.consents.record_many(
            [
                ConfirmedGrant(person(n), offer.artefact(person(n), authority))
                for n in people[start : start + BATCH]
            ]
        )
    world.settle()
    rests_on = node.consents.of_subject(person(READER))[0].terms.consent_id
    for _ in range(30):
        world.score(READER, rests_on)


def read(port: int, path: str, token: str, times: int) -> tuple[int, list[float]]:
    """Bytes of a page and the sorted times of its readings, milliseconds."""
    connection = http.client.HTTPConnection("localhost", port)
    taken, size = [], 0
    for number in range(times + 3):
        began = time.perf_counter()
        connection.request("GET", path, headers={"Cookie": f"credence={token}"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{path} answered {answer.status}")
        if number >= 3:  # the first ones load templates
            taken.append((time.perf_counter() - began) * 1e3)
        size = len(body)
    connection.close()
    return size, sorted(taken)


if __name__ == "__main__":
    main()
