"""Counts of people in several tables at once."""

import numpy as np
import pytest

from models.privacy.noise import GRID
from models.tally import NOWHERE, Block, Layout
from protocols.errors import InvalidInput

FLAT = Layout((Block("scores", (3, 2)), Block("ages", (4,)), Block("reasons", (5,))))
KINDS = Layout(
    (
        Block("everyone", (2,)),
        Block("members", (2,), weight=4, people="member"),
        Block("held_out", (2,), people="held_out"),
        Block("groups", (2,), people="held_out"),
    )
)


def test_people_are_counted_in_the_cells_they_are_in_and_nowhere_else() -> None:
    counts = FLAT.add({"scores": np.array([0, 5, 5]), "ages": np.array([1, NOWHERE, 3])})
    read = FLAT.read(counts * GRID)  # as `noisy` scales them, where no weight is above 1
    np.testing.assert_array_equal(read["scores"], [[1, 0], [0, 0], [0, 2]])
    np.testing.assert_array_equal(read["ages"], [0, 1, 0, 1])
    np.testing.assert_array_equal(read["reasons"], np.zeros(5))


def test_the_sensitivity_is_the_root_of_the_number_of_blocks_a_person_can_be_in() -> None:
    assert pytest.approx(3**0.5) == FLAT.sensitivity
    assert pytest.approx((1 + 16) ** 0.5) == KINDS.sensitivity


@pytest.mark.parametrize("kind", ["member", "held_out"])
def test_no_single_person_moves_the_vector_further_than_the_sensitivity(kind: str) -> None:
    one = np.zeros(1, np.int64)
    names = [block.name for block in KINDS.blocks if block.people in {"", kind}]
    moved = KINDS.add(dict.fromkeys(names, one))
    assert np.linalg.norm(moved) <= KINDS.sensitivity


def test_a_person_in_blocks_of_two_kinds_is_refused_not_released() -> None:
    one = np.zeros(1, np.int64)
    with pytest.raises(InvalidInput):
        KINDS.add({"members": one, "groups": one})


@pytest.mark.parametrize(
    "cells",
    [
        {"other": np.zeros(1, np.int64)},
        {"ages": np.array([4])},
        {"ages": np.array([-2])},
        {"ages": np.zeros(2, np.int64), "scores": np.zeros(1, np.int64)},
    ],
)
def test_cells_that_are_not_the_layouts_are_refused(cells: dict[str, np.ndarray]) -> None:
    with pytest.raises(InvalidInput):
        FLAT.add(cells)


def test_the_noise_of_a_cell_has_the_deviation_that_is_charged() -> None:
    layout = Layout((Block("a", (4000,), weight=2, people="x"), Block("b", (4000,), people="y")))
    nodes = 3
    total = sum((layout.noisy(layout.add({}), 6.0) for _ in range(nodes)), np.zeros(8000, np.int64))
    for name, cells in layout.read(total).items():
        assert np.std(cells) == pytest.approx(layout.deviation(name, 6.0, nodes), rel=0.06)
    assert layout.deviation("a", 6.0) == pytest.approx(6.0)


@pytest.mark.parametrize(
    "blocks",
    [
        (),
        (Block("a", (2,), weight=3),),
        (Block("a", (2,)), Block("a", (3,))),
        (Block("a", (0,)),),
        (Block("a", (70_000,)),),
    ],
)
def test_a_layout_without_sense_is_refused(blocks: tuple[Block, ...]) -> None:
    with pytest.raises(InvalidInput):
        Layout(blocks)
