"""What a watch reads out of a noised tally."""

import numpy as np
import pytest

from models.calibration import BINS, EDGES, Calibration
from models.drift import PSI_ALERT, PSI_WATCH, findings
from models.metrics import auc, psi
from models.watch_tally import Counted

HONEST = Calibration()  # PD is the logistic of the log-odds


def people(count, shift=0.0, seed=3, slope=1.0):
    """Raw log-odds, and outcomes that follow `slope` of them."""
    random = np.random.default_rng(seed)
    raw = random.normal(-1.5 + shift, 1.0, count)
    return raw, (random.random(count) < 1 / (1 + np.exp(-slope * raw))).astype(np.int64)


def counted(raw, labels, noise=0.0, seed=5):
    table = np.zeros(BINS * 2)
    np.add.at(table, np.searchsorted(EDGES, raw) * 2 + labels, 1)
    table = table + np.random.default_rng(seed).normal(0, 1, table.size) * noise
    return Counted(table.reshape(BINS, 2), score_noise=noise)


def test_the_same_people_have_not_moved():
    found = findings(counted(*people(20_000)), counted(*people(20_000, seed=4)), HONEST)
    assert found.psi.value < 0.01
    assert found.psi.high < PSI_WATCH
    assert found.ratio.low < 1 < found.ratio.high
    assert len(found.groups) >= 8


@pytest.mark.parametrize(("shift", "over"), [(0.4, PSI_WATCH), (0.9, PSI_ALERT)])
def test_people_who_have_moved_are_seen_through_the_noise(shift, over):
    found = findings(
        counted(*people(20_000, shift), noise=15.0),
        counted(*people(20_000), noise=15.0, seed=6),
        HONEST,
    )
    assert found.psi.low > over


def test_noise_alone_is_not_taken_for_drift():
    """Few people, much noise: the raw index alarms, the corrected one does not."""
    for seed in range(8):
        then = counted(*people(3000), noise=40.0, seed=seed)
        now = counted(*people(3000, seed=seed), noise=40.0, seed=100 + seed)
        assert findings(now, then, HONEST).psi.low < PSI_WATCH


def test_nothing_is_said_of_few_people_in_much_noise():
    """360 people and noise of 22 in each cell: no index, and no alarm, whatever the noise was."""
    for seed in range(20):
        then = counted(*people(360), noise=22.0, seed=seed)
        now = counted(*people(360, seed=seed), noise=22.0, seed=100 + seed)
        found = findings(now, then, HONEST)
        assert found.psi is None or found.psi.low < PSI_WATCH
        assert found.ratio.low < 1.25


def test_figures_are_those_of_the_people_themselves():
    raw, labels = people(50_000)
    found = findings(counted(raw, labels), counted(raw, labels), HONEST)
    assert found.people == 50_000
    assert found.auc.value == pytest.approx(auc(labels, raw), abs=0.003)
    assert found.ratio.value == pytest.approx(
        float((1 / (1 + np.exp(-raw))).sum() / labels.sum()), abs=0.02
    )
    assert all(abs(one.expected - one.observed) < 0.03 for one in found.groups)


def test_a_score_that_no_longer_says_how_many_default_is_seen():
    found = findings(counted(*people(20_000)), counted(*people(20_000)), Calibration(shift=0.7))
    assert found.ratio.low > 1.3


def test_the_index_is_the_one_of_the_metrics():
    then, now = counted(*people(20_000)), counted(*people(20_000, 0.5, seed=9))
    raw = psi(then.score.sum(axis=1), now.score.sum(axis=1))
    assert findings(now, then, HONEST).psi.value == pytest.approx(raw, rel=0.2)
