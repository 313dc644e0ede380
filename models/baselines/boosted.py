"""The plain form of a node's boosted trees: splits on lit columns, read as JSON, never unpickled.

An encoded column is 0 or 1, so a split is a column number: unlit goes one way, lit the other. What
is read is a set of finite trees whose leaves keep the catalogue's directions; nothing in it runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.baselines.additive import BaselineInvalid, BaselineNotPortable
from models.baselines.interface import RAW_LIMIT, Floats
from models.encoder import Encoded, Encoder
from models.fields import Fields

MAX_TREES = 400
MAX_NODES = 127
_LARGEST = 50.0
_LEAF = -1

Places = NDArray[np.int64]


@dataclass(frozen=True)
class Tree:
    """One tree; node 0 is its root, and children come after their parent.

    Attributes:
        column: int64[k], the column that splits, or -1 at a leaf.
        unlit, lit: int64[k], the child for a column of 0, and of 1; 0 at a leaf.
        value: float64[k], log-odds that a leaf adds; 0 elsewhere.
    """

    column: Places
    unlit: Places
    lit: Places
    value: Floats

    def raw(self, x: Encoded) -> Floats:
        """What it adds, float64[n]."""
        rows, place = np.arange(len(x)), np.zeros(len(x), np.int64)
        while (inner := self.column[place] != _LEAF).any():
            lit = x[rows, np.where(inner, self.column[place], 0)] > 0
            place = np.where(inner, np.where(lit, self.lit[place], self.unlit[place]), place)
        return self.value[place]


@dataclass(frozen=True)
class Boosted:
    """Boosted trees.

    Attributes:
        trees: added up.
        base: log-odds before any tree.
    """

    trees: tuple[Tree, ...]
    base: float

    def raw(self, x: Encoded) -> Floats:
        """Log-odds of default, float64[n]."""
        total = np.full(len(x), self.base)
        for tree in self.trees:
            total += tree.raw(x)
        return np.asarray(np.clip(total, -RAW_LIMIT, RAW_LIMIT))

    def facts(self) -> Mapping[str, Any]:
        """Its size."""
        return {"trees": len(self.trees), "nodes": sum(len(one.column) for one in self.trees)}

    def to_json(self) -> dict[str, Any]:
        """JSON object: a tree is its four lists."""
        trees = [
            [one.column.tolist(), one.unlit.tolist(), one.lit.tolist(), one.value.tolist()]
            for one in self.trees
        ]
        return {"base": self.base, "trees": trees}


def from_sklearn(model: Any, x: Encoded) -> Boosted:
    """The trees of a fitted `HistGradientBoostingClassifier`.

    The library gives no public view of them, so the result is held against its own answers.

    Args:
        model: fitted on encoded rows.
        x: float32[n, width], rows to compare on.

    Raises:
        BaselineNotPortable: another release of the library keeps its trees in another way.
    """
    try:
        base = float(np.ravel(model._baseline_prediction)[0])  # noqa: SLF001
        trees = tuple(_tree(one[0].nodes) for one in model._predictors)  # noqa: SLF001
        found = Boosted(trees, base)
        same = np.allclose(found.raw(x), _own_answer(model, x), atol=1e-6)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise BaselineNotPortable("this scikit-learn keeps its trees in another way") from error
    if not same:
        raise BaselineNotPortable("the trees as read do not answer as scikit-learn's do")
    return found


def _own_answer(model: Any, x: Encoded) -> Floats:
    return np.asarray(np.clip(model.decision_function(x), -RAW_LIMIT, RAW_LIMIT), np.float64)


def _tree(nodes: Any) -> Tree:
    leaf = nodes["is_leaf"].astype(bool)
    if (~leaf & ((nodes["num_threshold"] < 0) | (nodes["num_threshold"] >= 1))).any():
        raise ValueError("a split that is not between 0 and 1")
    return Tree(
        column=np.where(leaf, _LEAF, nodes["feature_idx"]).astype(np.int64),
        unlit=np.where(leaf, 0, nodes["left"]).astype(np.int64),
        lit=np.where(leaf, 0, nodes["right"]).astype(np.int64),
        value=np.where(leaf, nodes["value"], 0.0).astype(np.float64),
    )


def read_boosted(body: object, encoder: Encoder) -> Boosted:
    """Read what `Boosted.to_json` wrote.

    Checks of each tree: 1. its four lists have one length, within limits; 2. columns exist, leaves
    are finite and small; 3. each node but the root has one parent, before it; 4. no leaf behind a
    split in the risky direction lies below one on the other side.

    Raises:
        BaselineInvalid: a check fails.
    """
    fields = Fields(body, "trees", BaselineInvalid)
    base = fields.number("base", -_LARGEST, _LARGEST)
    items = fields.items("trees", MAX_TREES)
    fields.done()
    return Boosted(tuple(_read_tree(item, encoder) for item in items), base)


def _read_tree(item: object, encoder: Encoder) -> Tree:
    # 1. Shape.
    if not isinstance(item, list) or len(item) != 4:
        raise BaselineInvalid("a tree is four lists")
    column, unlit, lit = (_whole(part) for part in item[:3])
    value = np.array(
        Fields({"value": item[3]}, "tree", BaselineInvalid).numbers("value", MAX_NODES)
    )
    size = len(column)
    if not 1 <= size <= MAX_NODES or {len(unlit), len(lit), len(value)} != {size}:
        raise BaselineInvalid(f"a tree has 1 to {MAX_NODES} nodes, described alike")
    # 2. Columns and leaves.
    inner = column != _LEAF
    if (column < _LEAF).any() or (column >= encoder.width).any():
        raise BaselineInvalid("a tree splits on a column that is not there")
    if float(np.abs(value).max()) > _LARGEST:
        raise BaselineInvalid("a leaf is out of range")
    # 3. A tree: children after their parents, each named once.
    children = np.concatenate([unlit[inner], lit[inner]])
    parents = np.tile(np.flatnonzero(inner), 2)
    if (children <= parents).any() or not np.array_equal(np.sort(children), np.arange(1, size)):
        raise BaselineInvalid("a tree's nodes are not a tree")
    tree = Tree(column, unlit, lit, value)
    # 4. Directions.
    _check_directions(tree, encoder.wide_signs)
    return tree


def _check_directions(tree: Tree, signs: NDArray[np.int8]) -> None:
    low, high = tree.value.copy(), tree.value.copy()  # least and largest leaf below each node
    for node in range(len(tree.column) - 1, -1, -1):
        column = tree.column[node]
        if column == _LEAF:
            continue
        unlit, lit = tree.unlit[node], tree.lit[node]
        sign = int(signs[column])
        if (sign > 0 and high[unlit] > low[lit]) or (sign < 0 and high[lit] > low[unlit]):
            raise BaselineInvalid("a tree goes against the catalogue's direction")
        low[node], high[node] = min(low[unlit], low[lit]), max(high[unlit], high[lit])


def _whole(part: object) -> Places:
    if not isinstance(part, list) or len(part) > MAX_NODES:
        raise BaselineInvalid("a tree's list is missing or too long")
    numbers: Sequence[object] = part
    if not all(_is_whole(one) for one in numbers):
        raise BaselineInvalid("a tree's nodes and columns are whole numbers")
    found = np.array(part, np.float64)
    if len(found) and float(np.abs(found).max()) > 2**31:
        raise BaselineInvalid("a tree's nodes and columns are whole numbers")
    return found.astype(np.int64)


def _is_whole(one: object) -> bool:
    return isinstance(one, int | float) and not isinstance(one, bool) and float(one).is_integer()
