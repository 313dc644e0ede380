"""How a watch counts people, and what is read back from the sum."""

import json

import numpy as np
import pytest

from models.calibration import BINS, Calibration
from models.catalogue import load_default
from models.drift import findings
from models.encoder import Encoder
from models.watch_tally import Counted, read_counts, watch_cells, watch_layout
from protocols.errors import InvalidInput

ENCODER = Encoder(load_default())
SIGNALS = tuple(spec.id for spec in ENCODER.catalogue.signals[:4])


def people(count):
    """Raw log-odds and outcomes."""
    random = np.random.default_rng(3)
    raw = random.normal(-1.5, 1.0, count)
    return raw, (random.random(count) < 1 / (1 + np.exp(-raw))).astype(np.int64)


def test_a_tally_of_encoded_people_is_read_back_signal_by_signal():
    random = np.random.default_rng(1)
    signals = ENCODER.catalogue.signals
    status = random.choice([1, 1, 1, 2, 3], (5000, len(signals))).astype(np.uint8)
    value = np.exp(random.normal(0, 3, (5000, len(signals))))
    x = ENCODER.encode(status, value)
    raw, labels = people(5000)
    layout = watch_layout(ENCODER, SIGNALS)
    counts = layout.add(watch_cells(ENCODER, SIGNALS, raw, labels, x))
    found = read_counts(layout, layout.noisy(counts, 0.5), 0.5, 1)
    assert abs(found.score.sum() - 5000) < 100
    for spec, position in ((one, ENCODER.catalogue.index[one]) for one in SIGNALS):
        edges = np.asarray(signals[position].edges)
        shown = (value[:, position][status[:, position] == 1][:, None] > edges).sum(axis=1)
        bins = np.bincount(shown, minlength=len(edges) + 1)
        told = found.signals[spec]
        assert np.abs(told[: len(edges) + 1] - bins).max() < 12
        assert abs(told[-1] - (status[:, position] == 3).sum()) < 12
    assert Counted.from_json(json.loads(json.dumps(found.to_json()))).score.shape == (BINS, 2)
    same = findings(found, found, Calibration())
    assert set(same.signals) == set(SIGNALS)
    assert max(one.value for one in same.signals.values()) < 0.02


def test_one_person_moves_a_tally_by_no_more_than_its_sensitivity():
    layout = watch_layout(ENCODER, SIGNALS)
    raw, labels = people(1)
    x = ENCODER.encode(
        np.ones((1, len(ENCODER.catalogue.signals)), np.uint8),
        np.zeros((1, len(ENCODER.catalogue.signals))),
    )
    one = layout.add(watch_cells(ENCODER, SIGNALS, raw, labels, x))
    assert np.linalg.norm(one) == pytest.approx(layout.sensitivity)


@pytest.mark.parametrize("signals", [("no_such_signal",), (SIGNALS[0], SIGNALS[0])])
def test_a_watch_of_unknown_or_doubled_signals_is_refused(signals):
    with pytest.raises(InvalidInput):
        watch_layout(ENCODER, signals)


@pytest.mark.parametrize(
    "change", [{"score": [[1.0]]}, {"signals": 3}, {"score_noise": -1}, {"more": 1}]
)
def test_counts_of_another_form_are_refused(change):
    body = Counted(np.ones((BINS, 2))).to_json() | change
    with pytest.raises(InvalidInput):
        Counted.from_json(body)
