"""The operations of the API as calls: one function each, for either client to make."""


from api.sdk.making import Page, body_of, new_key, post
from api.sdk.reading import read, record
from api.sdk.results import LogLeaf, Score
from api.sdk.webhook_calls import (
    create_webhook_endpoint,
    delete_webhook_endpoint,
    get_webhook_endpoint,
    list_webhook_deliveries,
    list_webhook_endpoints,
    replay_webhooks,
    rotate_webhook_key,
    test_webhook_endpoint,
    update_webhook_endpoint,
)
from api.sdk.wire import Call, HttpAnswer

__all__ = [
    "Page",
    "consistency_proof",
    "create_score",
    "create_webhook_endpoint",
    "delete_webhook_endpoint",
    "get_score",
    "get_webhook_endpoint",
    "inclusion_proof",
    "list_webhook_deliveries",
    "list_webhook_endpoints",
    "log_checkpoint",
    "log_leaf",
    "log_leaves",
    "log_receipt",
    "new_key",
    "replay_webhooks",
    "rotate_webhook_key",
    "test_webhook_endpoint",
    "update_webhook_endpoint",
]


def create_score(
    subject: str,
    consent_id: str,
    *,
    purpose: str = "score",
    product: str = "standard",
    language: str = "en",
    idempotency_key: str | None = None,
) -> Call[Score]:
    """Score a subject."""
    body = {
        "subject": subject,
        "consent_id": consent_id,
        "purpose": purpose,
        "product": product,
        "language": language,
    }
    return post("createScore", "/v1/scores", Score.read, body, key=idempotency_key or new_key())


def get_score(score_id: str) -> Call[Score]:
    """Read a score again."""
    return Call("getScore", "GET", "/v1/scores/{score_id}", Score.read, {"score_id": score_id})


def log_receipt(seq: int) -> Call[bytes]:
    """The receipt of one entry of the log, as `credence audit verify receipt` reads it."""
    return Call("getLogReceipt", "GET", "/v1/log/receipts/{seq}", _bytes, {"seq": seq})


def log_checkpoint(*, witnessed: bool = True) -> Call[str]:
    """The newest checkpoint of the log, a signed note."""
    query = {"witnessed": witnessed}
    return Call("getLogCheckpoint", "GET", "/v1/log/checkpoint", _text, query=query)


def inclusion_proof(seq: int, size: int) -> Call[tuple[str, ...]]:
    """Hashes that lead from a leaf to the root of a tree of `size` leaves."""
    query = {"seq": seq, "size": size}
    return Call("getInclusionProof", "GET", "/v1/log/proof/inclusion", _path, query=query)


def consistency_proof(old: int, new: int) -> Call[tuple[str, ...]]:
    """Hashes that show that the tree of `new` leaves continues that of `old`."""
    query = {"from": old, "to": new}
    return Call("getConsistencyProof", "GET", "/v1/log/proof/consistency", _path, query=query)


def log_leaves(start: int, count: int = 256) -> Call[tuple[LogLeaf, ...]]:
    """The public part of up to 256 entries."""
    query = {"start": start, "count": count}
    return Call("getLogLeaves", "GET", "/v1/log/leaves", _leaves, query=query)


def log_leaf(seq: int) -> Call[LogLeaf]:
    """The public part of one entry."""
    return Call(
        "getLogLeaf", "GET", "/v1/log/leaves/{seq}", lambda answer: read(LogLeaf, answer),
        {"seq": seq},
    )  # fmt: skip


def _bytes(answer: HttpAnswer) -> bytes:
    return answer.body


def _text(answer: HttpAnswer) -> str:
    return answer.body.decode()


def _path(answer: HttpAnswer) -> tuple[str, ...]:
    return tuple(str(one) for one in body_of(answer)["path"])


def _leaves(answer: HttpAnswer) -> tuple[LogLeaf, ...]:
    return tuple(record(LogLeaf, one) for one in body_of(answer)["leaves"])
