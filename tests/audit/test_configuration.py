"""A start under other settings is an act, and has its leaf."""

from typing import Any

import pytest

from audit import configuration
from audit.configuration import CHANGED, note_configuration
from audit.leaf import parse_leaf
from protocols.errors import InvalidInput
from tests.audit.world import World

KEY = b"k" * 32
SETTINGS = {"listen": "127.0.0.1:1", "database_url": "postgresql://u:canary-pw@h/d", "holds": []}


@pytest.fixture(autouse=True)
def _table(world: World) -> None:
    configuration.metadata.create_all(world.database.engine)


def note(world: World, settings: dict[str, Any], actor: str = "bank-a") -> list[str]:
    return note_configuration(world.log, world.database, KEY, settings, actor=actor, now_ms=1)


def test_changed_fields_are_named_and_no_value_stands_anywhere(world: World) -> None:
    """Catalogue item 27: a password in a setting is in no leaf, no payload and no row."""
    assert note(world, SETTINGS) == sorted(SETTINGS)
    assert note(world, SETTINGS) == []
    assert note(world, {**SETTINGS, "database_url": "postgresql://u:other@h/d"}) == ["database_url"]
    assert note(world, {"listen": "127.0.0.1:1"}) == ["database_url", "holds"]
    with world.database.read() as connection:
        leaves = [parse_leaf(one.leaf) for one in world.log.leaves(connection, 0, 9)]
    assert [leaf["kind"] for leaf in leaves] == [CHANGED] * 3
    payloads = world.log.payloads(range(3))
    assert payloads[1] == {"fields": ["database_url"], "first": False}
    assert "canary" not in str(payloads)
    for file in world.home.iterdir():
        assert b"canary-pw" not in file.read_bytes()


def test_a_change_that_cannot_be_logged_is_not_noted_either(world: World) -> None:
    """Leaf and row are one transaction: the next start tries again."""
    note(world, SETTINGS)
    changed = {**SETTINGS, "holds": ["payment"]}
    with pytest.raises(InvalidInput):
        note(world, changed, actor="no such actor")
    assert world.log.head().size == 1
    assert note(world, changed) == ["holds"]
