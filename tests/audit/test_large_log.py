"""A log with more than one level of tiles: proved, checked, and told how far that is."""

from pathlib import Path

from audit import merkle
from audit.verifier import Outcome, verify_path
from tests.audit.world import World, by_hand, first_failure, flip, open_world


def test_progress_is_told(tmp_path: Path) -> None:
    world = open_world(tmp_path / "home")
    world.prefill(9_000)
    world.close()
    told: list[tuple[int, int]] = []
    verify_path(world.home, progress=lambda *args: told.append(args))
    assert told == [(8_192, 9_000)]


def test_a_log_with_more_than_one_level_of_tiles_is_proved_and_checked(tmp_path: Path) -> None:
    world = open_world(tmp_path / "large")
    world.prefill(65_400)
    world.fill(300, batch=100)
    report = verify_path(world.home)
    assert (report.outcome, report.root) == (Outcome.VALID, world.log.head().root)
    check_large_proofs(world)
    world.close()
    with by_hand(world.home) as connection:
        query = "SELECT hashes FROM audit_tile WHERE level = 1"
        (hashes,) = connection.execute(query).fetchone()
        update = "UPDATE audit_tile SET hashes = ? WHERE level = 1"
        connection.execute(update, (flip(hashes, 256 * 17),))
    assert first_failure(world.home) == 256 * 17


def check_large_proofs(world: World) -> None:
    size = world.log.head().size
    with world.database.read() as connection:
        hashes = [row.leaf_hash for row in world.log.leaves(connection, 0, size)]
    for old in (1, 255, 65_535, 65_536, 65_537, size - 1):
        old_root = merkle.Frontier().extend(hashes[:old]).root()
        root = world.log.head().root
        inclusion = world.log.inclusion_proof(old, size)
        merkle.verify_inclusion(old, size, hashes[old], inclusion, root)
        consistency = world.log.consistency_proof(old, size)
        merkle.verify_consistency(old, size, old_root, root, consistency)
