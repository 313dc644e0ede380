"""What is disputed or under review now, in a score that was given out before.

The score itself stays as it was logged; its `disputes` and `review_pending` are those of the moment
it is read, for a disputed item is flagged in every answer from then on (Credit Reporting Industry
Regulation, article 25).
"""

import json
from collections.abc import Mapping
from typing import Any

from node.storage.marks import Mark, MarkKind, Marks


def flagged(body: str, marked: Marks, readable: Mapping[str, frozenset[str]]) -> str:
    """The answer `body` (JSON) with the flags of now; the same text when they are the same.

    Args:
        body: as it was given out.
        marked: marks of the person.
        readable: signals that the consent lets its reader know of, by source.
    """
    told: dict[str, Any] = json.loads(body)
    known = {
        (mark.source, mark.signal): _item(mark)
        for mark in marked.items(MarkKind.STATED, MarkKind.DISPUTED)
        if mark.signal in readable.get(mark.source, frozenset())
    }
    # What only its holder called disputed (`since_ms` is null) is as it was when it was scored.
    theirs = [
        one
        for one in told["disputes"]
        if one["since_ms"] is None and (one["source"], one["signal"]) not in known
    ]
    disputes = sorted([*known.values(), *theirs], key=lambda one: (one["source"], one["signal"]))
    if disputes == told["disputes"] and marked.review_pending == told["review_pending"]:
        return body
    told |= {"disputes": disputes, "review_pending": marked.review_pending}
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def _item(mark: Mark) -> dict[str, Any]:
    return {
        "source": mark.source,
        "signal": mark.signal,
        "status": "disputed" if mark.kind is MarkKind.DISPUTED else "stated",
        "since_ms": mark.since_ms,
        "statement": mark.statement,
    }
