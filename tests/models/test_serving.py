"""A bundle scores, explains and is refused when anything about it is off; no torch is needed."""

import json
import pickle
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.bundle import MAX_TENSOR_BYTES, Bundle, BundleInvalid
from models.calibration import Calibration
from models.catalogue import Catalogue, SignalStatus, load_default
from models.encoder import Encoder
from models.evaluate import Scorer
from models.proposal import propose
from models.reasons import MAX_REASONS, contributions, principal_reasons
from models.weights import logit, parameter_count, unflatten
from protocols.canonical import sha256
from protocols.errors import InvalidInput
from tests.models.federated import Cohort, publish
from tests.models.population import make

CATALOGUE = load_default()
ENCODER = Encoder(CATALOGUE)
PEOPLE = make(CATALOGUE, 400, seed=2)
ROOT = Path(__file__).resolve().parents[2]


def build() -> Bundle:
    plan = propose(CATALOGUE, "c", ["bank-a"], rounds=5)
    count = parameter_count(plan.architecture, ENCODER.width)
    flat = np.random.default_rng(0).normal(0, 0.2, count)
    weights = unflatten(flat, plan.architecture, ENCODER.width)
    encoded = ENCODER.encode(PEOPLE.status, PEOPLE.value)
    made = publish(plan, CATALOGUE, weights, [Cohort(encoded, PEOPLE.label)])
    # The calibration of 400 people is mostly noise: tests would hang on the draw.
    return Bundle(replace(made.manifest, calibration=Calibration(shift=-0.5)), weights)


BUNDLE = build()
MANIFEST, TENSORS = BUNDLE.pack()


def test_a_packed_bundle_loads_to_the_same_weights():
    loaded = Bundle.load(MANIFEST, TENSORS)
    assert all((loaded.weights[k] == v).all() for k, v in BUNDLE.weights.items())
    assert loaded.pack() == (MANIFEST, TENSORS)
    assert loaded.manifest.epsilon <= loaded.manifest.privacy.epsilon


@pytest.mark.parametrize(
    "tensors",
    [
        b"",
        TENSORS[:-1],
        TENSORS + b"\0",
        TENSORS[:-1] + bytes([TENSORS[-1] ^ 1]),
        pickle.dumps({"wide.weight": 1}),
        bytes(MAX_TENSOR_BYTES + 1),
    ],
)
def test_other_tensors_than_the_signed_ones_are_refused(tensors):
    with pytest.raises(BundleInvalid):
        Bundle.load(MANIFEST, tensors)


def repacked(weights) -> tuple[bytes, bytes]:
    """A manifest that is signed for these wrong tensors."""
    return Bundle(BUNDLE.manifest, weights).pack()


@pytest.mark.parametrize("case", ["missing", "extra", "shape", "dtype", "nan"])
def test_tensors_that_do_not_fit_the_architecture_are_refused(case):
    weights = dict(BUNDLE.weights)
    wide = weights["wide.weight"]
    if case == "missing":
        del weights["out.weight"]
    elif case == "extra":
        weights["more"] = wide
    elif case == "shape":
        weights["wide.weight"] = wide[:, :-1]
    elif case == "dtype":
        weights["wide.weight"] = wide.astype(np.float64)
    else:
        weights["wide.weight"] = np.full_like(wide, np.nan)
    with pytest.raises(BundleInvalid):
        Bundle.load(*repacked(weights))


@pytest.mark.parametrize("garbage", [pickle.dumps([1]), b"\xff" * 64, b"{}", bytes(8)])
def test_signed_garbage_is_refused_and_never_unpickled(garbage):
    manifest = json.loads(MANIFEST) | {"tensors_sha256": sha256(garbage).hex()}
    with pytest.raises(BundleInvalid):
        Bundle.load(manifest, garbage)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("format", 2),
        ("version", "x" * 41),
        ("width", 10**9),
        ("width", 3),
        ("bands", []),
        ("metrics", {"auc": "high"}),
        ("adjacency", "replace one"),
        ("architecture", {"hidden": 10_000, "block_dropout": 0.1}),
        ("surprise", 1),
        ("rounds", -1),
    ],
)
def test_a_manifest_outside_the_limits_is_refused(field, value):
    with pytest.raises(InvalidInput):
        Bundle.load(json.loads(MANIFEST) | {field: value}, TENSORS)


def test_scores_are_whole_points_in_the_band_they_fall_in():
    scores = Scorer(BUNDLE, CATALOGUE).score(PEOPLE.status, PEOPLE.value)
    assert ((scores.points >= 300) & (scores.points <= 850)).all()
    assert ((scores.pd > 0) & (scores.pd < 1)).all()
    floors = {band.name: band.floor for band in BUNDLE.manifest.bands}
    assert all(p >= floors[b] for p, b in zip(scores.points, scores.band, strict=True))
    order = np.argsort(scores.pd)
    assert (np.diff(scores.points[order]) <= 0).all()
    assert (scores.coverage == 1).all()


def test_a_score_does_not_depend_on_who_is_scored_beside():
    scorer = Scorer(BUNDLE, CATALOGUE)
    together = scorer.score(PEOPLE.status, PEOPLE.value)
    alone = scorer.score(PEOPLE.status[7:8], PEOPLE.value[7:8])
    assert alone.points[0] == together.points[7]
    assert alone.pd[0] == pytest.approx(together.pd[7], rel=1e-5)


def test_a_batch_says_of_everybody_what_is_said_of_one_alone():
    """Scores, reasons and their points, of more rows than go through the network at once."""
    many = make(CATALOGUE, 2200, seed=4)
    status, value = many.status, many.value
    status[::3, :5], status[1::5, 12:] = SignalStatus.NO_CONSENT, SignalStatus.NONE_ON_RECORD
    scorer = Scorer(BUNDLE, CATALOGUE)
    scores, lost = scorer.judge(status, value)
    reasons = principal_reasons(lost, ENCODER)
    assert list(reasons) == [reasons[one] for one in range(len(reasons))]
    np.testing.assert_array_equal(scores.points, scorer.score(status, value).points)
    assert {0, MAX_REASONS - 1} <= {len(one) for one in reasons}
    for one in (*range(40), *range(2030, 2070), 2199):
        row = slice(one, one + 1)
        alone, taken = scorer.judge(status[row], value[row])
        assert (alone.points[0], alone.band[0]) == (scores.points[one], scores.band[one])
        assert alone.coverage[0] == scores.coverage[one]
        assert alone.pd[0] == pytest.approx(scores.pd[one], rel=1e-5)
        np.testing.assert_allclose(taken[0], lost[one], atol=1e-3)
        (told,) = scorer.explain(status[row], value[row])
        by_hand = reasons_by_hand(lost[one])
        assert [(name, code) for _, name, code in by_hand] == [(r.family, r.code) for r in told]
        np.testing.assert_allclose(
            [r.points for r in told], [by for by, _, _ in by_hand], atol=0.06
        )


def reasons_by_hand(lost: np.ndarray) -> list[tuple[float, str, str]]:
    """Points, family and code of one subject's reasons, by the words of models/reasons.py."""
    families = {}
    for spec, points in zip(CATALOGUE.signals, lost.tolist(), strict=True):
        families.setdefault(spec.family, []).append((points, spec.id))
    found = [
        (sum(points for points, _ in members), name, max(members)[1])
        for name, members in families.items()
    ]
    return [one for one in sorted(found, reverse=True) if one[0] >= 1][:MAX_REASONS]


def test_coverage_falls_with_the_block_that_is_away():
    status = PEOPLE.status.copy()
    status[:, [s.block == "payments" for s in CATALOGUE.signals]] = SignalStatus.NO_CONSENT
    held = [s for s in CATALOGUE.signals if s.derived is None]
    share = sum(s.block != "payments" for s in held) / len(held)
    scores = Scorer(BUNDLE, CATALOGUE).score(status, PEOPLE.value)
    np.testing.assert_allclose(scores.coverage, share)


def test_a_bundle_of_another_catalogue_is_refused():
    other = Catalogue(2, CATALOGUE.signals)
    with pytest.raises(BundleInvalid):
        Scorer(BUNDLE, other)
    renamed = Bundle(replace(BUNDLE.manifest, width=ENCODER.width + 1), BUNDLE.weights)
    with pytest.raises(BundleInvalid):
        Scorer(renamed, CATALOGUE)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.01, 0.3, 5.0]))
def test_contributions_add_up_to_the_whole_difference(seed, size):
    rng = np.random.default_rng(seed)
    architecture = BUNDLE.manifest.architecture
    count = parameter_count(architecture, ENCODER.width)
    weights = unflatten(rng.normal(0, size, count), architecture, ENCODER.width)
    status, value = ENCODER.complete(PEOPLE.status[:20], PEOPLE.value[:20])
    encoded, reference = ENCODER.encode(status, value), ENCODER.reference(status)
    shares = contributions(weights, ENCODER, encoded, reference)
    whole = logit(weights, encoded) - logit(weights, reference)
    np.testing.assert_allclose(shares.sum(axis=1), whole, atol=1e-3 * (1 + np.abs(whole).max()))


def test_at_most_four_reasons_one_a_family_heaviest_first():
    for reasons in Scorer(BUNDLE, CATALOGUE).explain(PEOPLE.status, PEOPLE.value):
        assert len(reasons) <= MAX_REASONS
        families = [reason.family for reason in reasons]
        assert len(set(families)) == len(families)
        points = [reason.points for reason in reasons]
        assert points == sorted(points, reverse=True)
        for reason in reasons:
            assert reason.points >= 1
            assert CATALOGUE.signal(reason.code).family == reason.family


def test_nobody_is_told_a_reason_about_a_signal_that_was_not_given():
    status = np.full_like(PEOPLE.status, SignalStatus.NOT_HELD)
    bank = [s.block == "bank" for s in CATALOGUE.signals]
    status[:, bank] = PEOPLE.status[:, bank]
    given_ids = {s.id for s in CATALOGUE.signals if s.block == "bank"}
    for reasons in Scorer(BUNDLE, CATALOGUE).explain(status, PEOPLE.value):
        assert {reason.code for reason in reasons} <= given_ids


def test_the_reference_itself_has_no_reason():
    value = np.array([[spec.reference or 0.0 for spec in CATALOGUE.signals]])
    status = np.array(
        [[1 if spec.reference is not None else 2 for spec in CATALOGUE.signals]], np.uint8
    )
    value[0, CATALOGUE.index["statement_balance"]] = 0.1 * 250_000
    encoded = ENCODER.encode(status, value)
    shares = contributions(BUNDLE.weights, ENCODER, encoded, encoded)
    assert (shares == 0).all()
    assert list(principal_reasons(shares, ENCODER)) == [()]


def test_scoring_and_explaining_are_quick():
    scorer = Scorer(BUNDLE, CATALOGUE)
    scorer.explain(PEOPLE.status[:1], PEOPLE.value[:1])
    started = time.process_time()
    for _ in range(20):
        scorer.score(PEOPLE.status[:1], PEOPLE.value[:1])
        scorer.explain(PEOPLE.status[:1], PEOPLE.value[:1])
    assert (time.process_time() - started) / 20 < 0.05


def test_serving_and_coordinating_modules_import_no_torch():
    names = ("evaluate", "plan", "proposal", "optimiser", "aggregation", "calibration", "bundle")
    names += ("privacy.accountant", "privacy.budget", "privacy.noise")
    code = (
        f"import sys, {', '.join(f'models.{name}' for name in names)}\n"
        "loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "sys.exit(','.join(sorted(loaded & {'torch', 'opacus', 'flwr'})) or 0)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
