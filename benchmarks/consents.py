"""Consents granted, delivered and withdrawn, beside the floor: their signatures alone.

    python -m benchmarks.consents [--consents 4000]

All in one process on one core, without a wire. A grant is one signature by the person, one check
and one signature by the consent node; a receipt is two checks and one signed acknowledgement, which
the consent node checks in turn (`deliver again` has no more to store). Each is stored with its
audit leaf.
"""

import argparse
import logging
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from consent.artefact import sign_as_subject
from consent.lifecycle import Event
from node.consents.service import OfferTerms, SignedGrant
from protocols.keys import SigningKey
from tests.node.consent_world import ConsentWorld, Member, person, subject_key

CORE = 0
BATCH = 256


def main() -> None:
    """Measure and print one line a step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--consents", type=int, default=4000)
    count = parser.parse_args().consents
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {CORE})
    sign, verify = _floor()
    with tempfile.TemporaryDirectory() as folder:
        _measure(ConsentWorld(Path(folder), ("bank-a", "payments")), count, sign, verify)


def _measure(world: ConsentWorld, count: int, sign: float, verify: float) -> None:
    for member in world.members.values():
        member.enrol(*range(count))
    bank, holder = world.member("bank-a"), world.member("payments")
    keys = [subject_key(number) for number in range(count)]
    offer = bank.consents.offer(OfferTerms(holders=["payments"]))

    def signed(number: int) -> SignedGrant:
        key = keys[number]
        artefact = offer.artefact(person(number), key.verify_key.bytes)
        return SignedGrant(person(number), sign_as_subject(artefact, key))

    grants: list[SignedGrant] = []
    _line("sign", count, sign, lambda: grants.extend(map(signed, range(count))))
    _line("record", count, sign + verify, lambda: bank.consents.record_many(grants))
    ids = [one.terms.consent_id for one in bank.consents.page(limit=count)]
    deliveries = [
        world.deliverable(world.artefact_of("bank-a", consent_id), _number(bank, consent_id))
        for consent_id in ids
    ]

    def receive() -> None:
        for start in range(0, count, BATCH):
            holder.consents.receive("bank-a", deliveries[start : start + BATCH])

    _line("receive", count, 2 * verify + sign, receive)
    _line("deliver again", count, 3 * verify + sign, bank.consents.push_pending)
    some = ids[:100]

    def withdraw() -> None:
        for consent_id in some:
            said = world.said("bank-a", consent_id, _number(bank, consent_id), Event.WITHDRAW)
            bank.consents.withdraw(consent_id, said)

    _line("withdraw", len(some), 4 * verify + 3 * sign, withdraw)
    world.close()


def _number(bank: Member, consent_id: str) -> int:
    """The number of the person who gave a consent."""
    return int.from_bytes(bank.consents.get(consent_id).terms.pseudonym[:4], "big")


def _floor() -> tuple[float, float]:
    """Seconds of one Ed25519 signature and of one check, over a consent's length."""
    key, message, rounds = SigningKey.generate(), bytes(1700), 2000
    signature = key.sign_raw(message)
    started = time.perf_counter()
    for _ in range(rounds):
        key.sign_raw(message)
    signed = time.perf_counter()
    for _ in range(rounds):
        key.verify_key.verify_raw(message, signature)
    return (signed - started) / rounds, (time.perf_counter() - signed) / rounds


def _line(name: str, count: int, floor_s: float, work: Callable[[], object]) -> None:
    started, cpu = time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    print(
        f"{name:<14} {count / wall:8,.0f}/s  {count / cpu:8,.0f} per CPU s  "
        f"{wall / count / floor_s:5.1f} x its signatures"
    )


if __name__ == "__main__":
    main()
