"""One DP step a round: what counts, and that nothing else touches the model."""

import numpy as np
import pytest

from coordinator.federation.flower import (
    Array,
    ArrayRecord,
    ConfigRecord,
    Error,
    Message,
    MetricRecord,
    RecordDict,
    run_id_of,
)
from coordinator.federation.grid import StreamGrid
from coordinator.federation.strategy import DpSgdStrategy, to_arrays
from coordinator.federation.streams import Streams
from models.optimiser import ServerOptimiser
from models.privacy.noise import GRID
from protocols import federation as names
from protocols.canonical import sha256
from protocols.federation import PROTOCOL
from protocols.tensors import tensor_bytes
from protocols.v1.federation_pb2 import Hello, NodeFrame
from tests.federation.rounds import Campaign

NODES = {"bank-a": 11, "bank-b": 12, "bank-c": 13}


@pytest.fixture
def strategy(campaign: Campaign) -> DpSgdStrategy:
    optimiser = ServerOptimiser(campaign.plan, campaign.encoder, None)
    bands = dict.fromkeys(NODES.values(), 80)
    return DpSgdStrategy(campaign.plan, sha256(campaign.document.body), optimiser, bands)


@pytest.fixture
def grid(campaign: Campaign) -> StreamGrid:
    streams = Streams()
    for member_id, number in NODES.items():
        attachment = streams.open(member_id, number)
        greeting = Hello(member_id=member_id, protocol=PROTOCOL)
        streams.receive(attachment, NodeFrame(hello=greeting))
    return StreamGrid(streams, run_id_of(campaign.plan.campaign_id), NODES, grace_s=0.0)


def messages(strategy: DpSgdStrategy, grid: StreamGrid) -> dict[int, Message]:
    """The round's messages by node."""
    arrays = to_arrays(strategy.optimiser.weights)
    sent = list(strategy.configure_train(1, arrays, ConfigRecord(), grid))
    return {one.metadata.dst_node_id: one for one in sent}


def answer(message: Message, values: np.ndarray, epsilon: object = 0.5) -> Message:
    """A node's reply."""
    array = Array(str(values.dtype), values.shape, "numpy.ndarray", tensor_bytes(values))
    content = {names.UPDATE: ArrayRecord({names.UPDATE: array})}
    if epsilon is not None:
        content[names.LEDGER] = MetricRecord({names.EPSILON: epsilon})
    return Message(RecordDict(content), reply_to=message)


def honest(strategy: DpSgdStrategy, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=strategy.optimiser.parameters + 1) * GRID).astype(np.int64)


def state(strategy: DpSgdStrategy) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in strategy.optimiser.state().items()}


def test_each_attached_member_gets_the_model_and_the_round(strategy, grid, campaign):
    sent = messages(strategy, grid)
    assert set(sent) == set(NODES.values())
    content = sent[11].content
    assert content[names.ROUND][names.CAMPAIGN_ID] == "camp-1"
    assert content[names.ROUND][names.ROUND_NUMBER] == 1
    assert content[names.ROUND][names.PLAN_SHA256] == sha256(campaign.document.body)
    assert set(content[names.MODEL]) == set(strategy.optimiser.weights)


def test_a_round_takes_one_step_and_says_loss_epsilon_and_participants(strategy, grid):
    sent, before = messages(strategy, grid), state(strategy)
    replies = [answer(m, honest(strategy, n), epsilon=n / 10) for n, m in sent.items()]
    arrays, metrics = strategy.aggregate_train(1, replies)
    assert state(strategy) != before
    assert strategy.optimiser.round == 1
    assert set(arrays) == set(strategy.optimiser.weights)
    assert metrics["participants"] == 3
    assert metrics["epsilon"] == 1.3
    assert np.isfinite(metrics["loss"])


def test_the_order_of_replies_does_not_matter(strategy, grid, campaign):
    sent = messages(strategy, grid)
    replies = [answer(m, honest(strategy, n)) for n, m in sent.items()]
    other = DpSgdStrategy(
        campaign.plan,
        b"",
        ServerOptimiser(campaign.plan, campaign.encoder, None),
        dict.fromkeys(NODES.values(), 80),
    )
    strategy.aggregate_train(1, replies)
    other.aggregate_train(1, replies[::-1])
    assert state(strategy) == state(other)


def bad_updates(size: int) -> dict[str, tuple[np.ndarray, object]]:
    good = np.zeros(size, np.int64)
    return {
        "short": (good[:-1], 0.5),
        "long": (np.zeros(size + 1, np.int64), 0.5),
        "matrix": (good.reshape(1, -1), 0.5),
        "float64": (good.astype(np.float64), 0.5),
        "nan": (np.full(size, np.nan), 0.5),
        "int32": (good.astype(np.int32), 0.5),
        "huge": (np.full(size, 2**61, np.int64), 0.5),
        "scaled": (np.full(size, 400 * GRID, np.int64), 0.5),
        "no ledger": (good, None),
        "ledger nan": (good, float("nan")),
        "ledger below zero": (good, -1.0),
        "ledger whole": (good, 1),
    }


@pytest.mark.parametrize("name", list(bad_updates(2)))
def test_a_bad_update_is_rejected_and_below_quorum_the_model_stays_bit_for_bit(
    strategy, grid, name
):
    sent, before = messages(strategy, grid), state(strategy)
    values, epsilon = bad_updates(strategy.optimiser.parameters + 1)[name]
    replies = [answer(sent[11], honest(strategy, 1)), answer(sent[12], values, epsilon)]
    assert strategy.aggregate_train(1, replies) == (None, None)
    assert set(strategy.refusals) == {12}
    assert state(strategy) == before


def test_a_bad_update_beside_a_quorum_counts_for_nothing(strategy, grid, campaign):
    sent = messages(strategy, grid)
    good = [answer(sent[n], honest(strategy, n)) for n in (11, 12)]
    huge = answer(sent[13], np.full(strategy.optimiser.parameters + 1, 2**61, np.int64))
    without = DpSgdStrategy(
        campaign.plan,
        b"",
        ServerOptimiser(campaign.plan, campaign.encoder, None),
        dict.fromkeys(NODES.values(), 80),
    )
    strategy.aggregate_train(1, [*good, huge])
    without.aggregate_train(1, good)
    assert strategy.refusals == {13: "update_implausible"}
    assert state(strategy) == state(without)


def test_a_refusal_is_kept_by_its_code(strategy, grid):
    sent = messages(strategy, grid)
    refusal = Message(Error(2, "budget_exhausted"), reply_to=sent[13])
    replies = [answer(sent[n], honest(strategy, n)) for n in (11, 12)]
    arrays, _ = strategy.aggregate_train(1, [*replies, refusal])
    assert arrays is not None
    assert strategy.refusals == {13: "budget_exhausted"}


def test_a_reply_without_the_update_is_rejected(strategy, grid):
    sent = messages(strategy, grid)
    empty = Message(RecordDict(), reply_to=sent[12])
    assert strategy.aggregate_train(1, [answer(sent[11], honest(strategy, 1)), empty])[0] is None
    assert strategy.refusals == {12: "malformed"}


def test_tallies_are_summed_at_a_quorum_only(strategy, grid):
    arrays = to_arrays(strategy.optimiser.averaged)
    sent = list(strategy.configure_evaluate(6, arrays, ConfigRecord(), grid))
    values = np.full(strategy.layout.size, 3 * GRID, np.int64)
    assert strategy.aggregate_evaluate(6, [answer(sent[0], values)]) is None
    assert strategy.tally is None
    replies = [answer(message, values) for message in sent]
    assert strategy.aggregate_evaluate(6, replies)["participants"] == 3
    np.testing.assert_array_equal(strategy.summed(), np.full(strategy.layout.size, 9 * GRID))
    assert strategy.tallies == 3


def test_a_tally_with_an_impossible_count_is_rejected(strategy, grid):
    sent = list(strategy.configure_evaluate(6, strategy.evaluated, ConfigRecord(), grid))
    honest_one = np.zeros(strategy.layout.size, np.int64)
    below = honest_one.copy()
    below[7] = -(2**45)
    replies = [answer(sent[0], below), *(answer(one, honest_one) for one in sent[1:])]
    strategy.aggregate_evaluate(6, replies)
    assert (strategy.refusals, strategy.tallies) == ({11: "update_implausible"}, 2)


def test_a_node_outside_the_campaign_gets_no_message(grid, campaign):
    optimiser = ServerOptimiser(campaign.plan, campaign.encoder, None)
    strategy = DpSgdStrategy(campaign.plan, b"", optimiser, {11: 80, 12: 80})
    assert set(messages(strategy, grid)) == {11, 12}
