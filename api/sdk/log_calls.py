"""The operations on the node's log as calls."""

from functools import partial

from api.sdk.making import body_of
from api.sdk.reading import read, record
from api.sdk.results import LogLeaf
from api.sdk.wire import Call, HttpAnswer

_LOG = "/v1/log"


def log_receipt(seq: int) -> Call[bytes]:
    """The receipt of one entry of the log, as `credence audit verify receipt` reads it."""
    return Call("getLogReceipt", "GET", f"{_LOG}/receipts/{{seq}}", _bytes, {"seq": seq})


def log_checkpoint(*, witnessed: bool = True) -> Call[str]:
    """The newest checkpoint of the log, a signed note."""
    query = {"witnessed": witnessed}
    return Call("getLogCheckpoint", "GET", f"{_LOG}/checkpoint", _text, query=query)


def inclusion_proof(seq: int, size: int) -> Call[tuple[str, ...]]:
    """Hashes that lead from a leaf to the root of a tree of `size` leaves."""
    query = {"seq": seq, "size": size}
    return Call("getInclusionProof", "GET", f"{_LOG}/proof/inclusion", _path, query=query)


def consistency_proof(old: int, new: int) -> Call[tuple[str, ...]]:
    """Hashes that show that the tree of `new` leaves continues that of `old`."""
    query = {"from": old, "to": new}
    return Call("getConsistencyProof", "GET", f"{_LOG}/proof/consistency", _path, query=query)


def log_leaves(start: int, count: int = 256) -> Call[tuple[LogLeaf, ...]]:
    """The public part of up to 256 entries."""
    query = {"start": start, "count": count}
    return Call("getLogLeaves", "GET", f"{_LOG}/leaves", _leaves, query=query)


def log_leaf(seq: int) -> Call[LogLeaf]:
    """The public part of one entry."""
    reads = partial(read, LogLeaf)
    return Call("getLogLeaf", "GET", f"{_LOG}/leaves/{{seq}}", reads, {"seq": seq})


def _bytes(answer: HttpAnswer) -> bytes:
    return answer.body


def _text(answer: HttpAnswer) -> str:
    return answer.body.decode()


def _path(answer: HttpAnswer) -> tuple[str, ...]:
    return tuple(str(one) for one in body_of(answer)["path"])


def _leaves(answer: HttpAnswer) -> tuple[LogLeaf, ...]:
    return tuple(record(LogLeaf, one) for one in body_of(answer)["leaves"])
