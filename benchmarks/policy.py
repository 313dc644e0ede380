"""What a holder spends on a consent: deciding a release, and verifying an artefact it never saw.

    python -m benchmarks.policy [--seconds 2] [--json FILE]

One core, best of five turns, floor and measurement taking turns. A decision is `consent.policy.
decide` on facts at hand, the artefact verified before; its floor is reading the fields and
making the answer's object. Verifying begins with the bytes as delivered and ends with the terms:
every artefact is another one, by another key. Its floor is the bare signature checks that it holds:
of a device key two of Ed25519; of a passkey one of ES256 and two of Ed25519, the consent node's and
that of the attestation.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import astuple, fields, replace
from operator import attrgetter
from pathlib import Path

from consent.artefact import Artefact, countersign, grant, verify_artefact
from consent.attestation import hash_of_handles, sign_attestation
from consent.authority import device_key, passkey
from consent.policy import Decision, decide
from consent.signatures import challenge, confirmed
from protocols.cose_keys import parse_cose_key
from protocols.keys import SigningKey
from tests.consent.samples import BANK, NOW_MS, artefact, attestation, bank_key, facts
from tests.passkey_device import PasskeyDevice

TURNS = 5
FRESH = 400
DECISIONS_A_SECOND = 20_000
VERIFY_MS = 1.0


def main() -> int:
    """Measure, print, and say whether the targets are reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="Of each measurement.")
    parser.add_argument("--json", type=Path, help="Write the figures here too.")
    arguments = parser.parse_args()
    decision, decision_floor = paired(decisions(), reading(), arguments.seconds)
    device, device_floor = paired(*by_device(), arguments.seconds)
    person, person_floor = paired(*by_passkey(), arguments.seconds)
    figures = {
        "decisions_per_s": round(1 / decision),
        "decisions_floor_per_s": round(1 / decision_floor),
        "verify_device_key_ms": round(device * 1000, 3),
        "verify_device_key_floor_ms": round(device_floor * 1000, 3),
        "verify_passkey_ms": round(person * 1000, 3),
        "verify_passkey_floor_ms": round(person_floor * 1000, 3),
    }
    print(f"policy decision       {1 / decision:>12,.0f} a second")
    print(f"  floor, fields read  {1 / decision_floor:>12,.0f} a second")
    for name, taken, floor in (
        ("device key", device, device_floor),
        ("passkey", person, person_floor),
    ):
        print(f"fresh artefact, {name:<10} {taken * 1000:.3f} ms")
        print(f"  floor, bare signatures   {floor * 1000:.3f} ms ({taken / floor:.1f} x)")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    reached = 1 / decision >= DECISIONS_A_SECOND and max(device, person) * 1000 < VERIFY_MS
    print("targets reached" if reached else "targets missed")
    return 0 if reached else 1


def paired(
    measured: Callable[[int], None], floor: Callable[[int], None], seconds: float
) -> tuple[float, float]:
    """Seconds a call of each, best turn of five; they alternate, so a busy moment hits both."""
    counts = [calls_in(one, seconds / TURNS / 2) for one in (measured, floor)]
    best = [float("inf"), float("inf")]
    for _ in range(TURNS):
        for index, one in enumerate((measured, floor)):
            start = time.perf_counter()
            one(counts[index])
            best[index] = min(best[index], (time.perf_counter() - start) / counts[index])
    return best[0], best[1]


def calls_in(one: Callable[[int], None], seconds: float) -> int:
    """About how many calls take so long."""
    count = 16
    while True:
        start = time.perf_counter()
        one(count)
        taken = time.perf_counter() - start
        if taken > seconds / 4:
            return max(1, round(count * seconds / taken))
        count *= 4


def decisions() -> Callable[[int], None]:
    """Release decisions that allow."""
    asked = facts()
    assert decide(asked, NOW_MS).allowed

    def run(count: int) -> None:
        for _ in range(count):
            decide(asked, NOW_MS)

    return run


def reading() -> Callable[[int], None]:
    """Reading what a decision depends on, and making its answer."""
    asked = facts()
    terms = asked.terms
    assert terms is not None

    read = attrgetter(*(one.name for one in fields(terms)))

    def run(count: int) -> None:
        for _ in range(count):
            found = read(terms)
            assert found
            Decision(None, terms.data_categories, 0)

    return run


def by_device() -> tuple[Callable[[int], None], Callable[[int], None]]:
    """Verifying artefacts by device keys, and its two signatures."""
    keys = [SigningKey.generate() for _ in range(FRESH)]
    made = [artefact(authority=device_key(key.verify_key.bytes)) for key in keys]
    signed = [grant(one, key, BANK) for one, key in zip(made, keys, strict=True)]
    bare = [(key, key.sign_raw(b"m" * 2000)) for key in keys]
    own = BANK.sign_raw(b"m" * 2000)

    def floor(count: int) -> None:
        for index in range(count):
            key, signature = bare[index % FRESH]
            key.verify_key.verify_raw(b"m" * 2000, signature)
            BANK.verify_key.verify_raw(b"m" * 2000, own)

    return verifying(signed), floor


def by_passkey() -> tuple[Callable[[int], None], Callable[[int], None]]:
    """Verifying artefacts by passkeys, and its three signatures; no key is met twice in a row."""
    devices = [PasskeyDevice() for _ in range(2 * FRESH)]
    signed = [signed_by(one) for one in devices]
    bare = [(parse_cose_key(one.public_key), one.sign(b"m" * 100)) for one in devices]
    own = BANK.sign_raw(b"m" * 2000)

    def floor(count: int) -> None:
        for index in range(count):
            key, signature = bare[index % len(bare)]
            key.verify(b"m" * 100, signature)
            BANK.verify_key.verify_raw(b"m" * 2000, own)
            BANK.verify_key.verify_raw(b"m" * 2000, own)

    run = verifying(signed)

    def fresh(count: int) -> None:
        parse_cose_key.cache_clear()
        run(count)

    return fresh, floor


def signed_by(device: PasskeyDevice) -> bytes:
    """The sample, granted by this passkey."""
    given: Artefact = artefact()
    stated = replace(attestation(given, device), handles_sha256=hash_of_handles(given.handles))
    made = replace(given, authority=passkey(device.public_key, stated.sha256))
    assertion = device.confirm(challenge(made.body(), made.authority))
    attested = sign_attestation(stated, BANK)
    return countersign(confirmed(made.body(), made.authority, assertion, attested), BANK)


def verifying(signed: list[bytes]) -> Callable[[int], None]:
    """Verifying one after another."""
    assert len({astuple(verify_artefact(one, bank_key).authority) for one in signed}) == len(signed)

    def run(count: int) -> None:
        for index in range(count):
            verify_artefact(signed[index % len(signed)], bank_key)

    return run


if __name__ == "__main__":
    raise SystemExit(main())
