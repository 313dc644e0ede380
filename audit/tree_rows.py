"""The tree as rows: its head, its full tiles, and the nodes that proofs ask for."""

from collections.abc import Sequence

from sqlalchemy import bindparam, insert, select, update

from audit import tiles
from audit.bulk import Prepared
from audit.database import Connection
from audit.merkle import Frontier
from audit.tables import audit_head, audit_leaf, audit_tile

# Built once: for one leaf, building a statement costs more than running it.
_LOCKED_HEAD = Prepared(select(audit_head.c.size, audit_head.c.frontier).with_for_update())
_UPDATE_HEAD = Prepared(
    update(audit_head).values(
        size=bindparam("new_size"), root=bindparam("new_root"), frontier=bindparam("new_frontier")
    )
)
_TILE = Prepared(
    select(audit_tile.c.hashes).where(
        audit_tile.c.level == bindparam("level"), audit_tile.c.idx == bindparam("index")
    )
)
_LEAF_HASHES = Prepared(
    select(audit_leaf.c.leaf_hash)
    .where(audit_leaf.c.seq >= bindparam("start"), audit_leaf.c.seq < bindparam("stop"))
    .order_by(audit_leaf.c.seq)
)
_ROOTS = Prepared(
    select(audit_tile.c.root)
    .where(
        audit_tile.c.level == bindparam("level"),
        audit_tile.c.idx >= bindparam("start"),
        audit_tile.c.idx < bindparam("stop"),
    )
    .order_by(audit_tile.c.idx)
)


def locked_frontier(connection: Connection) -> Frontier:
    """The head, with its row locked until the transaction ends (a no-op on SQLite)."""
    ((size, frontier),) = _LOCKED_HEAD.rows(connection)
    return Frontier.from_bytes(size, frontier)


def grow(connection: Connection, frontier: Frontier, hashes: Sequence[bytes]) -> Frontier:
    """Enter leaves whose rows are there, hashes in order, into tiles and head; the new frontier."""
    grown = frontier.extend(hashes)
    store_tiles(connection, frontier.size, hashes)
    _UPDATE_HEAD.run(
        connection, new_size=grown.size, new_root=grown.root(), new_frontier=grown.to_bytes()
    )
    return grown


def store_tiles(connection: Connection, old: int, new_hashes: Sequence[bytes]) -> None:
    """Store the tiles that became full, lowest level first: a tile's root is its parent's hash."""
    start, added, level = old, list(new_hashes), 0
    while full := tiles.completed(start, start + len(added)):
        # Hashes from the first new tile's beginning on: those stored before, then the new ones.
        begin = full.start * tiles.TILE_WIDTH
        row = [*_level_hashes(connection, level, begin, start), *added]
        made = [
            b"".join(row[at : at + tiles.TILE_WIDTH])
            for at in range(0, len(full) * tiles.TILE_WIDTH, tiles.TILE_WIDTH)
        ]
        roots = [tiles.tile_root(hashes) for hashes in made]
        connection.execute(
            insert(audit_tile),
            [
                {"level": level, "idx": index, "hashes": hashes, "root": root}
                for index, hashes, root in zip(full, made, roots, strict=True)
            ],
        )
        start, added, level = full.start, roots, level + 1


def nodes(connection: Connection, cache: tiles.TileCache) -> tiles.TileNodes:
    """The tree's nodes as `connection` sees them, for one proof."""

    def hashes(level: int, index: int) -> bytes:
        for (stored,) in _TILE.rows(connection, level=level, index=index):
            return bytes(stored)
        start = index * tiles.TILE_WIDTH
        return b"".join(_level_hashes(connection, level, start, start + tiles.TILE_WIDTH))

    # What a write transaction sees may never be.
    committed = not connection.get_execution_options().get("credence_write", False)
    return tiles.TileNodes(hashes, cache if committed else None)


def _level_hashes(connection: Connection, level: int, start: int, stop: int) -> list[bytes]:
    """The hashes start <= i < stop of one tile level that exist: leaf hashes, or tile roots."""
    if start >= stop:
        return []
    if level == 0:
        rows = _LEAF_HASHES.rows(connection, start=start, stop=stop)
    else:
        rows = _ROOTS.rows(connection, level=level - 1, start=start, stop=stop)
    return [row[0] for row in rows]
