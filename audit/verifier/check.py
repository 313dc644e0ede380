"""The verification itself: everything is computed again from the leaves' bytes.

Checks, in the order of the code:

1. Leaves stand in order, 0, 1, 2, ..., as many as the head says.
2. Each leaf is a leaf: the exact canonical form, nothing more, nothing less.
3. Its stored hash is SHA-256(0x00 || leaf).
4. Its payload is there, and its ciphertext hashes to the leaf's `ch` (databases only).
5. Every full tile is stored and holds the hashes and the root that the leaves give, and no other
   tile exists (databases only).
6. Rows of the subject index are whole and point at leaves; no payload is without a leaf
   (databases only).
7. The head's frontier and root are those of the leaves.
8. For each checkpoint, given by the reader or carried by an export: the first `size` leaves have
   its root; one beyond an export's end is led to by its consistency proof.

An export may begin at any leaf. Of those before it has the roots of the perfect subtrees they make,
from which the root at its beginning follows, and with the leaves every later one.

A failure of 1-7 names the first leaf that it concerns. When leaf, stored hash, tiles and head were
all re-computed by somebody who rewrote history, only 8 can tell: keep checkpoints elsewhere.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Sequence

from audit.verifier.consistency import ConsistencyInvalid, check_path
from audit.verifier.note import NoteKey
from audit.verifier.report import CheckpointResult, Findings, Outcome, Report
from audit.verifier.source import RawHead, RawLeaf, Source, SourceDamaged
from audit.verifier.tree import TILE_BITS, TILE_WIDTH, Tile, Tree
from audit.verifier.trust import NO_TRUST, Expected, Trust, outcome_of

Progress = Callable[[int, int], None]
"""Called now and then with (leaves done, leaves in all)."""

_PROGRESS_EVERY = 8192
_NAME = rb"[A-Za-z0-9._:@/=+-]"
_LEAF = re.compile(
    rb'\{"actor":"' + _NAME + rb'{1,128}","at_ms":(?:0|[1-9][0-9]{0,15}),"ch":"([0-9a-f]{64})",'
    rb'"correlation":"' + _NAME + rb'{0,128}","kind":"[a-z][a-z0-9_.]{0,63}",'
    rb'"pc":"[0-9a-f]{64}","purpose":"[a-z_]{0,32}","version":1\}'
)


def verify(source: Source, trust: Trust = NO_TRUST, progress: Progress | None = None) -> Report:
    """Verify a whole log, or the range that an export holds; O(n) time, O(log n) memory.

    Raises:
        Malformed: a checkpoint in an export is none.
        SignatureInvalid: it is not signed as the reader asks.
    """
    findings = Findings()
    try:
        head = source.head()
    except SourceDamaged as error:
        findings.add(None, "audit_head", str(error))
        return _report(findings, Tree(), 0, [], trust)
    named = NoteKey.parse(head.key) if head.key else None
    carried = [(trust.judge(one.note, named), one.path) for one in head.notes]
    sizes = [one.checkpoint.size for one in (*trust.kept, *(item for item, _ in carried))]
    walk = _Walk(source, findings, head, sizes, progress)
    try:
        walk.leaves(head)
    except SourceDamaged as error:
        findings.add(walk.tree.size, "audit_leaf", str(error))
    try:
        if source.has_store:
            _check_store(source, findings, max(head.size, walk.tree.size))
    except SourceDamaged as error:
        findings.add(None, "audit_tile", str(error))
    _check_head(head, findings, walk.tree)
    compared = [_compare(item, walk) for item in trust.kept]
    compared += [_compare(item, walk, path) for item, path in carried]
    return _report(findings, walk.tree, head.start, compared, trust)


class _Walk:
    """Reads the leaves once, checks 1-5, and notes the roots at the sizes of checkpoints."""

    def __init__(
        self,
        source: Source,
        findings: Findings,
        head: RawHead,
        sizes: Sequence[int],
        progress: Progress | None,
    ) -> None:
        self.tree = Tree(head.start, head.before)
        self.start = head.start
        self.roots: dict[int, bytes] = {0: Tree().root(), head.start: self.tree.root()}
        self._source = source
        self._findings = findings
        self._sizes = frozenset(sizes)
        self._progress = progress

    def leaves(self, head: RawHead) -> None:
        tree = self.tree
        for row in self._source.leaves():
            # 1. In order, none missing.
            if row.seq != tree.size:
                self._gap(row.seq)
                return
            for tile in tree.append(self._leaf(row)):
                self._tile(tile)
            if tree.size in self._sizes:
                self.roots[tree.size] = tree.root()
            if self._progress is not None and tree.size % _PROGRESS_EVERY == 0:
                self._progress(tree.size, head.size)
        # 1. As many as the head says.
        if tree.size != head.size:
            reason = f"the head counts {head.size} leaves, {tree.size} are there"
            self._findings.add(_lesser(tree.size, head.size), "audit_head", reason)

    def _leaf(self, row: RawLeaf) -> bytes:
        """Checks 2-4; returns the hash that the leaf's bytes give."""
        add = self._findings.add
        if not isinstance(row.leaf, bytes):
            add(row.seq, "audit_leaf", "the leaf is not bytes")
            return bytes(32)
        # 2. Canonical form.
        match = _LEAF.fullmatch(row.leaf)
        if match is None:
            add(row.seq, "audit_leaf", "not the canonical form of a leaf")
        # 3. Hash.
        computed = hashlib.sha256(b"\x00" + row.leaf).digest()
        if computed != row.leaf_hash:
            add(row.seq, "audit_leaf", "the leaf does not hash to its stored hash")
        # 4. Ciphertext.
        if match is not None and self._source.has_store:
            if row.ciphertext_hash is None:
                add(row.seq, "audit_payload", "the payload is missing")
            elif row.ciphertext_hash.hex().encode() != match[1]:
                add(row.seq, "audit_payload", "the ciphertext is not the one the leaf names")
        return computed

    def _tile(self, tile: Tile) -> None:
        # 5. Tiles as the leaves give them.
        if not self._source.has_store:
            return
        start, stop = _span(tile.level, tile.index)
        name = f"tile {tile.level}/{tile.index}"
        try:
            stored = self._source.tile(tile.level, tile.index)
        except SourceDamaged as error:
            self._findings.add(start, "audit_tile", f"{name}: {error}")
            return
        if stored is None:
            self._findings.add(start, "audit_tile", f"{name} is missing")
            return
        hashes, root = stored
        self._same_hashes(tile, hashes)
        if not isinstance(hashes, bytes) or len(hashes) != 32 * TILE_WIDTH or root != tile.root:
            self._findings.add_range(start, stop, "audit_tile", f"{name} is damaged")

    def _same_hashes(self, tile: Tile, stored: object) -> None:
        if not isinstance(stored, bytes):
            return
        for at, computed in enumerate(tile.hashes):
            if stored[32 * at : 32 * at + 32] != computed:
                start, stop = _span(tile.level - 1, tile.index * TILE_WIDTH + at)
                reason = f"tile {tile.level}/{tile.index} was made from other leaves"
                self._findings.add_range(start, stop, "audit_tile", reason)

    def _gap(self, found: int) -> None:
        """A leaf is missing: what comes after cannot be placed; what came before still can."""
        size = self.tree.size
        reason = f"leaf {size} must follow, leaf {found} does"
        self._findings.add(_lesser(size, found), "audit_leaf", reason)
        if self._source.has_store:
            for tile in self.tree.unfinished():
                stored = self._source.tile(tile.level, tile.index)
                if stored is not None:
                    self._same_hashes(tile, stored[0])


def _check_store(source: Source, findings: Findings, size: int) -> None:
    # 5. No other tile.
    for level, index in source.tile_names():
        reason = f"tile {level}/{index} has no leaves"
        if index < 0 or not 0 <= level < 8:
            findings.add(None, "audit_tile", reason)
        elif _span(level, index)[1] > size:
            findings.add(_span(level, index)[0], "audit_tile", reason)
    # 6. Index rows and payloads.
    for tag, seq, guard in source.index_rows():
        if not 0 <= seq < size or not _guarded(tag, seq, guard):
            reason = "the row is damaged or points at no leaf"
            findings.add(max(seq, 0), "audit_subject_index", reason)
    for seq in source.stray_payloads():
        findings.add(seq, "audit_payload", "the payload has no leaf")


def _check_head(head: RawHead, findings: Findings, tree: Tree) -> None:
    # 7. Frontier, then root.
    if head.size != tree.size:
        return  # already found; neither could match
    if head.frontier is not None:
        perfect = tree.perfect()
        for at, (start, width, root) in enumerate(perfect):
            if head.frontier[32 * at : 32 * at + 32] != root:
                reason = f"leaves {start} to {start + width - 1} give another frontier hash"
                findings.add_range(start, start + width, "audit_head", reason)
        if len(head.frontier) > 32 * len(perfect):
            findings.add(None, "audit_head", "the frontier is too long")
    if not hmac.compare_digest(head.root, tree.root()) and not findings.count:
        reason = "the leaves give another root than the head holds"
        findings.add(max(tree.size - 1, 0), "audit_head", reason)


def _compare(item: Expected, walk: _Walk, path: Sequence[bytes] = ()) -> CheckpointResult:
    # 8. The same root at the checkpoint's size.
    checkpoint = item.checkpoint
    computed = walk.roots.get(checkpoint.size)
    covered, reason = True, ""
    if computed is not None:
        if not hmac.compare_digest(computed, checkpoint.root):
            reason = f"the first {checkpoint.size} leaves give another root"
    elif checkpoint.size < walk.start:
        covered, reason = False, f"the export begins later, at leaf {walk.start}"
    elif path:
        try:
            check_path(walk.tree.size, checkpoint.size, walk.tree.root(), checkpoint.root, path)
        except ConsistencyInvalid as error:
            reason = error.message
    else:
        reason = f"the log has only {walk.tree.size} leaves"
    return CheckpointResult(
        checkpoint.origin,
        checkpoint.size,
        item.signed,
        matches=not reason,
        reason=reason,
        covered=covered,
        witnessed=item.witnessed,
    )


def _report(
    findings: Findings,
    tree: Tree,
    start: int,
    checkpoints: list[CheckpointResult],
    trust: Trust,
) -> Report:
    outcome = Outcome.INVALID if findings.count else outcome_of(checkpoints, trust)
    return Report(
        outcome=outcome,
        size=tree.size,
        root=tree.root(),
        failure_count=findings.count,
        first_failure=findings.first,
        failures=tuple(findings.kept),
        checkpoints=tuple(checkpoints),
        start=start,
    )


def _guarded(tag: object, seq: int, guard: object) -> bool:
    if not isinstance(tag, bytes) or len(tag) != 32:
        return False
    digest = hashlib.sha256(b"credence/1|audit-index|" + seq.to_bytes(8, "big") + tag).digest()
    return guard == digest[:8]


def _span(level: int, index: int) -> tuple[int, int]:
    """The leaves start <= seq < stop under a tile; level -1 stands for a single leaf."""
    bits = TILE_BITS * (level + 1)
    return index << bits, (index + 1) << bits


def _lesser(left: int, right: int) -> int:
    return max(min(left, right), 0)
