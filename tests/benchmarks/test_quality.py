"""The quality benchmark runs any numeric credit table and refuses what it cannot use."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from benchmarks import quality
from benchmarks.credit.federated import Cohort, Settings, make_plan
from benchmarks.credit.inside import FUSED, OWN, InsideBanks, compared
from benchmarks.credit.priors import PriorSettings, make_prior
from benchmarks.credit.table import formula, read_recipe, read_table
from benchmarks.credit.worlds import draw
from models.baselines.trees import BOOSTED
from models.calibration import Calibration
from models.catalogue import CatalogueInvalid
from models.encoder import Encoder
from models.metrics import auc
from models.plan import Architecture
from models.training import fit_plain
from models.weights import logit
from protocols.errors import InvalidInput

UCI = Path(quality.HERE) / "uci.yaml"
SMALL = {
    "version": 1,
    "world": "",
    "segments": ["income"],
    "ignore": ["id"],
    "ranges": {"income": [0, 100]},
    "signals": [
        {"id": "income", "from": "income", "edges": [20, 40, 60, 80], "monotone": -1},
        {"id": "burden", "from": {"ratio": [["debt"], ["income"]]}, "edges": [0.2, 0.5, 1, 2]},
    ],
}


@pytest.fixture
def small(tmp_path: Path) -> tuple[Path, Path]:
    """A made-up table of 900 people and its catalogue."""
    rng = np.random.default_rng(0)
    income, debt = rng.uniform(0, 100, 900), rng.uniform(0, 60, 900)
    bad = rng.random(900) < 1 / (1 + np.exp(0.06 * income - 0.05 * debt))
    data, catalogue = tmp_path / "table.csv", tmp_path / "catalogue.yaml"
    lines = ["id,income,debt,town,bad"]
    lines += [
        f"{row},{income[row]:.2f},{debt[row]:.2f},north,{int(bad[row])}" for row in range(900)
    ]
    data.write_text("\n".join(lines) + "\n")
    catalogue.write_text(yaml.safe_dump(SMALL))
    return data, catalogue


def run(small: tuple[Path, Path], *more: str) -> int:
    data, catalogue = small
    return quality.main(
        ["--data", str(data), "--label", "bad", "--catalogue", str(catalogue), *more]
    )


def test_a_small_table_gives_the_whole_grid(small, tmp_path, capsys):
    out = tmp_path / "out.json"
    code = run(small, "--nodes", "2", "--epsilon", "inf,8", "--seeds", "1", "--json", str(out))
    assert code == 0
    result = json.loads(out.read_text())
    rows = {row["model"]: row for row in result["models"]}
    assert {
        "LightGBM, every column (pooled)",
        "logistic regression (pooled)",
        "WOE scorecard (pooled)",
        "DP-EBM, epsilon 8 (pooled)",
        "each bank alone, no privacy",
        "each bank alone, epsilon 8",
        "Credence, no privacy",
        "Credence, epsilon 8, local",
        "Credence, epsilon 8, distributed",
        "WOE scorecard, federated, epsilon 8, local",
        "WOE scorecard, federated, epsilon 8, distributed",
    } <= set(rows)
    scorecard = rows["WOE scorecard, federated, epsilon 8, distributed"]
    assert scorecard["auc"] > 0.65
    assert scorecard["epsilon_promised"] <= 8 < scorecard["epsilon_alone"]
    assert rows["Credence, no privacy"]["auc"] > 0.75
    assert rows["Credence, epsilon 8, local"]["auc"] > 0.6
    shared = rows["Credence, epsilon 8, distributed"]
    assert shared["epsilon_promised"] <= 8 < shared["epsilon_alone"]
    assert len(shared["auc_by_bank"]) == 2
    printed = capsys.readouterr().out
    assert "synthetic worlds" in printed
    assert "Credence, epsilon 8, distributed" in printed


def test_inside_each_bank_the_shared_score_is_blended_with_its_own_models(monkeypatch):
    """A bank's own half and the fusion are measured on its own held-out customers only."""
    monkeypatch.setitem(BOOSTED, "max_iter", 15)
    monkeypatch.setitem(BOOSTED, "learning_rate", 0.2)
    recipe = read_recipe(UCI)
    encoder = Encoder(recipe.catalogue)
    table = draw(77, 1600)
    x, y = encoder.encode(*recipe.signals(table.columns)), table.label
    parts = [Cohort(x[:600], y[:600]), Cohort(x[600:1000], y[600:1000])]
    tests = [Cohort(x[1000:1300], y[1000:1300]), Cohort(x[1300:], y[1300:])]
    inside = InsideBanks(encoder, parts, tests, 0)
    weights = fit_plain(
        encoder, Architecture(block_dropout=0.0), x[:1000], y[:1000], seed=0, epochs=4
    )
    own, fused = inside.own()[OWN]["banks"], inside.fused(weights, Calibration())
    assert min(own) > 0.6
    assert min(np.array(fused["banks"]) - own) > -0.03
    assert fused["ece"] < 0.1
    cells = "auc_by_split_and_bank"
    rows = {f"{FUSED}, x": {cells: [[0.8, 0.7]]}, OWN: {cells: [[0.79, 0.71]]}}
    (line,) = compared(rows)
    assert (line["cells"], line["at_or_above"], line["least"]) == (2, 1, -0.01)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--label", "nobody"], "no column nobody"),
        (["--label", "town"], "line 2, column town: 'north' is no number"),
        (["--label", "debt"], "must hold 0 and 1 only"),
        (["--epsilon", "0"], "above 0"),
        (["--epsilon", "much"], "numbers or inf"),
        (["--mode", "central"], "local, distributed"),
        (["--nodes", "0"], "from 1"),
        (["--seeds", "99"], "from 1"),
        (["--data", "/nowhere/table.csv"], "cannot be read"),
        (["--catalogue", "/nowhere/catalogue.yaml"], "cannot be read"),
    ],
)
def test_a_bad_argument_is_refused_in_a_sentence(small, capsys, arguments, said):
    assert run(small, *arguments) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace(",1\n", ",0\n"), "one class only"),
        (lambda text: text.replace("\n7,", "\n7,many,"), "values, not 5"),
        (lambda text: text.replace("id,income", "id,inc"), "no column income"),
        (lambda text: text.replace("id,income,debt", "income,income,debt"), "columns once"),
        (lambda text: text.split("\n")[0], "no rows"),
        (lambda text: "", "columns once"),
        (lambda text: "\n".join(text.split("\n")[:60]) + "\n", "at least 200 rows"),
    ],
)
def test_a_bad_table_is_refused_in_a_sentence(small, capsys, change, said):
    data, _ = small
    data.write_text(change(data.read_text()))
    assert run(small, "--seeds", "1") == 2
    assert said in capsys.readouterr().err


def test_a_word_in_a_column_that_is_read_is_refused_by_line(small, capsys):
    data, _ = small
    lines = data.read_text().split("\n")
    lines[5] = lines[5].replace(lines[5].split(",")[1], "plenty")
    data.write_text("\n".join(lines))
    assert run(small, "--seeds", "1") == 2
    assert "line 6, column income: 'plenty' is no number" in capsys.readouterr().err


@pytest.mark.parametrize(
    "change",
    [
        {"signals": []},
        {"signals": [{"id": "income", "edges": [1]}]},
        {"signals": [{"id": "income", "from": "income", "edges": [2, 1]}]},
        {"signals": [{"id": "income", "from": {"median": ["income"]}, "edges": [1]}]},
        {"signals": [{"id": "income", "from": {"max": "income"}, "edges": [1]}]},
        {"signals": [{"id": "income", "from": {"ratio": [["income"]]}, "edges": [1]}]},
        {"signals": [{"id": "income", "from": "income", "edges": [1], "colour": "red"}]},
        {"ranges": {"income": [1]}},
        {"ranges": ["income"]},
        {"segments": "income"},
        {"version": 0},
        {"world": "of wonders"},
        {"ignore": "id"},
        {"extra": 1},
    ],
)
def test_a_bad_catalogue_is_refused(tmp_path, change):
    path = tmp_path / "catalogue.yaml"
    path.write_text(yaml.safe_dump(SMALL | change))
    with pytest.raises(CatalogueInvalid):
        read_recipe(path)


def test_a_file_that_is_no_yaml_is_refused(tmp_path):
    path = tmp_path / "catalogue.yaml"
    path.write_text("signals: [")
    with pytest.raises(InvalidInput):
        read_recipe(path)


def test_every_formula_computes_what_is_written():
    table = {"a": np.array([1.0, 2.0, np.nan]), "b": np.array([3.0, 0.0, 4.0])}

    def of(value):
        return formula("x", value)(table).tolist()

    assert of("b") == [3, 0, 4]
    assert of({"sum": ["a", "b"]})[:2] == [4, 2]
    assert of({"max": ["a", "b"]})[:2] == [3, 2]
    assert of({"min": ["a", "b"]})[:2] == [1, 0]
    assert of({"mean": ["a", "b"]})[:2] == [2, 1]
    assert of({"slope": ["a", "b"]})[:2] == [1, -2]
    assert of({"count": {"columns": ["a", "b"], "above": 1.5}}) == [1, 1, 1]
    ratio = of({"ratio": [["a"], ["b"]]})
    assert ratio[0] == pytest.approx(1 / 3)
    assert np.isnan(ratio[1])
    first = of({"first": {"columns": ["a", "b"], "above": 3.5}})
    assert np.isnan(first[:2]).all()
    assert first[2] == 1


def test_the_uci_catalogue_reads_a_world_of_statements():
    recipe = read_recipe(UCI)
    table = draw(3, 500)
    assert recipe.columns() == set(table.columns)
    x = Encoder(recipe.catalogue).encode(*recipe.signals(table.columns))
    assert 0.1 < x.mean() < 0.6
    assert not {"SEX", "EDUCATION", "MARRIAGE", "AGE"} & recipe.columns()


def test_a_world_is_drawn_the_same_again_and_another_is_another():
    one, again, other = draw(5, 300), draw(5, 300), draw(6, 300)
    assert all((one.columns[name] == again.columns[name]).all() for name in one.columns)
    assert (one.label == again.label).all()
    assert (one.columns["LIMIT_BAL"] != other.columns["LIMIT_BAL"]).any()


def test_a_prior_ranks_people_of_a_world_it_never_saw():
    recipe = read_recipe(UCI)
    architecture = Architecture(hidden=4, block_dropout=0.0)
    prior = make_prior(recipe, architecture, PriorSettings(worlds=3, people=2_000, epochs=4))
    table = draw(42, 6_000)
    x = Encoder(recipe.catalogue).encode(*recipe.signals(table.columns))
    assert auc(table.label, logit(prior.start, x)) > 0.65
    assert prior.matrix.shape[0] == x.shape[1]


def test_each_cell_spends_its_whole_epsilon_and_no_more():
    recipe = read_recipe(UCI)
    for epsilon in (1.0, 3.0):
        plan = make_plan(
            recipe.catalogue, 3, Architecture(), Settings(rounds=20),
            epsilon=epsilon, delta=1e-5, mode="distributed", rows=20_000,
        )  # fmt: skip
        assert plan.privacy.honest_minimum == 3
        assert plan.privacy.sampling_rate == 1.0


def test_a_table_is_cut_the_same_way_for_a_seed_and_banks_differ(small):
    data, catalogue = small
    recipe = read_recipe(catalogue)
    table = read_table(data, "bad", recipe.columns())
    one, again = (quality.split(table, recipe, 3, 0) for _ in range(2))
    assert (one.train == again.train).all()
    assert (one.bank == again.bank).all()
    assert not set(one.train) & set(one.test)
    sizes = np.bincount(one.bank)
    assert sizes[0] > 1.4 * sizes[1] > 1.5 * sizes[2]
    means = [table.columns["income"][one.bank == bank].mean() for bank in range(3)]
    assert means[0] < means[1] < means[2]
