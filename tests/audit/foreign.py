"""A verifier that somebody else wrote: hashlib and json, nothing of ours.

It reads a receipt, a range export and a consistency file as their formats are documented, and asks
a callback whether a signature holds. RFC 9162 is followed word for word, recursively.
"""

import base64
import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any

Verify = Callable[[bytes, bytes], bool]
"""(signed text, signature) -> whether the log's Ed25519 key made it."""


def note(text: str, name: str, verify: Verify) -> tuple[int, bytes]:
    """Size and root of a signed note."""
    body, _, lines = text.rpartition("\n\n")
    body += "\n"
    blobs = [line.split(" ")[2] for line in lines.split("\n") if line.startswith(f"— {name} ")]
    assert any(verify(body.encode(), base64.b64decode(blob)[4:]) for blob in blobs)
    origin, size, root = body.split("\n")[:3]
    assert origin == name
    return int(size), base64.b64decode(root)


def receipt(data: str, name: str, verify: Verify) -> dict[str, Any]:
    """The leaf of a receipt that holds."""
    fields = json.loads(data)
    size, root = note(fields["checkpoint"], name, verify)
    path = [bytes.fromhex(one) for one in fields["path"]]
    assert climb(fields["seq"], size, sha256(b"\x00" + fields["leaf"].encode()).digest(), path) == (
        root
    )
    leaf: dict[str, Any] = json.loads(fields["leaf"])
    if fields["content"] == "shown":
        opened = b"credence/1|audit-payload|" + bytes.fromhex(fields["salt"])
        assert sha256(opened + fields["payload"].encode()).hexdigest() == leaf["pc"]
    return leaf


def climb(index: int, size: int, node: bytes, path: list[bytes]) -> bytes:
    """Fold the last sibling in last: the path is that of RFC 9162 section 2.1.3.1."""
    if size == 1:
        assert not path
        return node
    half = split(size)
    if index < half:
        return pair(climb(index, half, node, path[:-1]), path[-1])
    return pair(path[-1], climb(index - half, size - half, node, path[:-1]))


def export(lines: list[str], name: str, verify: Verify) -> list[dict[str, Any]]:
    """The leaves of a range export that holds."""
    head = json.loads(lines[0])
    stack = [bytes.fromhex(one) for one in head["before"]]
    roots = {head["start"]: fold(stack)}
    size = head["start"]
    leaves = []
    for line in lines[1:]:
        fields = json.loads(line)
        assert fields["seq"] == size
        node, bits = sha256(b"\x00" + fields["leaf"].encode()).digest(), size
        assert node.hex() == fields["hash"]
        while bits & 1:
            node, bits = pair(stack.pop(), node), bits >> 1
        stack.append(node)
        size += 1
        roots[size] = fold(stack)
        leaves.append(json.loads(fields["leaf"]))
    assert (size, roots[size].hex()) == (head["size"], head["root"])
    for one in head["notes"]:
        at, root = note(one["note"], name, verify)
        assert one["path"] or roots[at] == root
    return leaves


def fold(stack: list[bytes]) -> bytes:
    if not stack:
        return sha256(b"").digest()
    root = stack[-1]
    for left in reversed(stack[:-1]):
        root = pair(left, root)
    return root


def pair(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def split(size: int) -> int:
    half = 1
    while 2 * half < size:
        half *= 2
    return half
