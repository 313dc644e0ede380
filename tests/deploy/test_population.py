"""The synthetic population: seeded, shaped like the real one, neither trivial nor hopeless."""

import csv
import time
from collections import Counter
from dataclasses import fields

import numpy as np
import pytest

from deploy.sandbox import holdout, population, records_out
from deploy.sandbox.identities import identifiers
from deploy.sandbox.shape import BANK_SHARES, BANKS, PAYMENTS, PUBLIC_RECORDS
from node.records.cleaning import clean
from node.records.connectors import CsvDirectory
from node.storage.pseudonyms import put_enrolled
from protocols.canonical import sha256
from protocols.errors import InvalidInput
from protocols.legal_ids import normalise_identifier, oprf_input
from protocols.pseudonyms import cache_key
from tests.deploy.scorecard import auc, held_out_auc, signals_of_everybody
from tests.node.ingest_world import LOCAL_KEY, NOW_MS, World

SEED = 7


@pytest.fixture(scope="module")
def people():
    return population.generate(SEED)


@pytest.fixture(scope="module")
def written(people, tmp_path_factory):
    root = tmp_path_factory.mktemp("sandbox")
    return records_out.write(people, root / "inbox", root / "holdout.csv")


def read(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def same(one, other):
    if one is None or isinstance(one, (str, int, tuple)) or not hasattr(one, "__len__"):
        return one == other
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(
            one, other, equal_nan=one.dtype.kind == "M"
        )
    raise AssertionError(type(one))


def columns(people):
    for field in fields(people):
        value = getattr(people, field.name)
        if field.name == "filings":
            yield from ((f"filings.{f.name}", getattr(value, f.name)) for f in fields(value))
        else:
            yield field.name, value


def test_one_seed_gives_one_population(people):
    again = dict(columns(population.generate(SEED)))
    assert all(same(value, again[name]) for name, value in columns(people))
    other = population.generate(SEED + 1)
    assert not np.array_equal(other.defaulted, people.defaulted)


def test_twelve_thousand_people_take_less_than_five_seconds():
    start = time.process_time()
    assert len(population.generate(1)) == 12_000
    assert time.process_time() - start < 5


@pytest.mark.slow
def test_thirty_thousand_enrolled_people_are_ingested_in_less_than_ten_seconds(tmp_path):
    written = records_out.write(
        population.generate(1, 30_000), tmp_path / "inbox", tmp_path / "holdout.csv"
    )
    world = World(tmp_path / "home")
    # Enrolment has a measurement of its own, benchmarks/pseudonyms.py.
    with (written.directories[PAYMENTS] / "customers.csv").open() as file:
        places = [cache_key(LOCAL_KEY, oprf_input(r["identifier"])) for r in csv.DictReader(file)]
    with world.database.write() as connection:
        put_enrolled(connection, 1, {place: sha256(place) for place in places})
    start = time.process_time()
    report = world.service.ingest_directory(written.directories[PAYMENTS], now_ms=NOW_MS)
    assert time.process_time() - start < 10
    assert report.subjects == written.customers[PAYMENTS] > 28_000
    assert report.as_of_ms == written.as_of_ms
    assert world.trustees.asked.total() == 0
    world.close()


@pytest.mark.parametrize("size", [99, population.MAX_SIZE + 1])
def test_an_absurd_size_is_refused(size):
    with pytest.raises(ValueError, match="has 100 to"):
        population.generate(1, size)


def test_a_tenth_to_a_quarter_default(people):
    assert 0.10 <= people.defaulted.mean() <= 0.25


def test_six_percent_have_a_public_record(people):
    assert len(np.unique(people.filings.person)) == round(0.06 * len(people))
    listed = set(people.filings.person[people.filings.kind == "dishonest_debtor"])
    assert listed <= set(people.filings.person[people.filings.kind == "enforcement"])


def test_banks_differ_in_size_and_segment(people):
    shares = np.bincount(people.bank) / len(people)
    np.testing.assert_allclose(shares, BANK_SHARES, atol=0.001)
    limits = [np.median(people.credit_limit[people.bank == bank]) for bank in range(3)]
    rates = [people.defaulted[people.bank == bank].mean() for bank in range(3)]
    assert limits[2] < limits[0] < limits[1]
    assert rates[1] < rates[0] < rates[2]
    richest_of_c = people.credit_limit[people.bank == 2].max()
    assert richest_of_c > limits[1]  # softly: the segments overlap


def test_risk_moves_everything_the_same_way(people):
    """Each of what institutions see has a say in the label, and none says nearly all."""
    worst = np.char.isdigit(people.status).sum(axis=1)
    balance = people.billed[:, -1] / people.credit_limit
    unpaid = ((people.billed > 0) & (people.paid == 0)).sum(axis=1)
    recorded = np.isin(np.arange(len(people)), people.filings.person)
    for sight in (worst, balance, unpaid, recorded, -people.credit_limit):
        assert 0.51 < auc(sight.astype(float), people.defaulted) < 0.75


@pytest.mark.parametrize("seed", [SEED, 8])
def test_simple_models_rank_within_a_realistic_band(seed, tmp_path):
    people = population.generate(seed)
    status, value = signals_of_everybody(people, tmp_path)
    bank = held_out_auc(people, status, value, ["bank"])
    combined = held_out_auc(people, status, value, ["bank", "payments", "public"])
    assert 0.70 <= bank <= 0.85
    assert 0.70 <= combined <= 0.85
    assert combined >= bank + 0.01


def test_every_directory_passes_the_nodes_own_cleaning(written, people):
    for member, directory in written.directories.items():
        records = clean(CsvDirectory(directory).read())
        assert records.customers.num_rows == written.customers[member]
    assert sum(written.customers[bank] for bank in BANKS) == len(people)


def test_each_member_writes_only_what_it_keeps(written):
    files = {m: {p.name for p in d.iterdir()} for m, d in written.directories.items()}
    bank = {"customers.csv", "accounts.csv", "statements.csv", "outcomes.csv"}
    assert files == {
        **dict.fromkeys(BANKS, bank),
        PAYMENTS: {"customers.csv", "statements.csv"},
        PUBLIC_RECORDS: {"customers.csv", "public_records.csv"},
    }
    for row in read(written.directories["bank-c"] / "statements.csv")[:50]:
        assert row["status"]
        assert row["billed"] == row["paid"] == ""
    for row in read(written.directories[PAYMENTS] / "statements.csv")[:50]:
        assert row["status"] == ""
        assert row["billed"]
        assert row["paid"]


def test_a_person_is_one_person_at_every_member(written, people):
    """Joined by identifier only: customer ids and row orders tell nothing."""
    names = identifiers(SEED, people.person_id)
    bank = {r["identifier"]: r["customer_id"] for r in _customers(written, "bank-a")}
    payments = {r["identifier"]: r["customer_id"] for r in _customers(written, PAYMENTS)}
    assert set(bank) == {names[at] for at in np.flatnonzero(people.bank == 0)}
    shared = sorted(bank.keys() & payments.keys())
    assert len(shared) == (people.at_payments & (people.bank == 0)).sum()
    ours = [int(bank[name][1:]) for name in shared]
    theirs = [int(payments[name][1:]) for name in shared]
    assert abs(np.corrcoef(ours, theirs)[0, 1]) < 0.1
    assert not set(bank.values()) & set(payments.values())


def _customers(written, member):
    return read(written.directories[member] / "customers.csv")


def test_a_fifth_of_each_bank_is_held_out_in_both_outcomes_and_nowhere_else(written, people):
    outcomes = holdout.read(written.holdout)
    assert len(outcomes) == written.held_out
    held = holdout.choose(people)
    for at, bank in enumerate(BANKS):
        trained = read(written.directories[bank] / "outcomes.csv")
        customers = {row["customer_id"] for row in _customers(written, bank)}
        mine = customers & outcomes.keys()
        assert not mine & {row["customer_id"] for row in trained}
        assert len(mine) + len(trained) == len(customers)
        assert len(mine) == pytest.approx(0.2 * len(customers), abs=2)
        labels = people.defaulted[people.bank == at]
        rate = np.mean([outcomes[customer] for customer in mine])
        assert rate == pytest.approx(labels.mean(), abs=2 / len(mine))
    assert held.sum() == len(outcomes)
    assert not any(written.holdout.is_relative_to(d) for d in written.directories.values())


def test_outcomes_are_observed_after_every_window_closed(people):
    assert np.datetime64(people.observed_on) > np.datetime64(people.as_of_ms, "ms")
    assert people.filings.filed_on.max() < np.datetime64(people.as_of_ms, "ms")


def test_identifiers_are_valid_distinct_and_nobodys():
    names = identifiers(3, np.arange(20_000))
    assert len(set(names)) == 20_000
    assert all(normalise_identifier(name) == name for name in names)
    assert {name[:2] for name in names} == {"99"}  # no such division
    assert not set(names) & set(identifiers(4, np.arange(20_000)))
    assert max(Counter(name[6:14] for name in names).values()) < 60  # birthdays say nothing


@pytest.mark.parametrize("number", [-1, 10_000_000])
def test_a_person_number_out_of_range_is_refused(number):
    with pytest.raises(ValueError, match="person ids"):
        identifiers(1, np.array([number]))


def test_a_directory_that_cannot_be_written_is_one_clear_error(tmp_path):
    (tmp_path / "inbox").touch()
    with pytest.raises(InvalidInput, match="cannot write the records"):
        records_out.write(population.generate(1, 100), tmp_path / "inbox", tmp_path / "h.csv")


def test_held_out_outcomes_that_are_damaged_are_refused(tmp_path):
    with pytest.raises(InvalidInput, match="no readable held-out"):
        holdout.read(tmp_path / "nowhere.csv")
    (tmp_path / "bad.csv").write_text("customer_id,defaulted\nA1,x\n")
    with pytest.raises(InvalidInput, match="no readable held-out"):
        holdout.read(tmp_path / "bad.csv")


def test_files_are_the_same_bytes_for_the_same_seed(tmp_path):
    for name in ("one", "two"):
        small = population.generate(SEED, 500)
        records_out.write(small, tmp_path / name, tmp_path / f"{name}.csv")
    ones = sorted((tmp_path / "one").rglob("*.csv"))
    assert len(ones) == 16
    for path in ones:
        twin = tmp_path / "two" / path.relative_to(tmp_path / "one")
        assert path.read_bytes() == twin.read_bytes(), path
    assert (tmp_path / "one.csv").stat().st_size > 0
