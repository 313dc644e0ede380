"""Clients as they stood a moment ago."""

from node.access.recent import LIFE_S, MOST, RecentClients
from node.storage.clients import ClientRow


def row(number: int) -> ClientRow:
    return ClientRow(f"cli_{number}", f"c {number}", None, "scores:write", 0)


def test_a_client_is_known_for_a_moment() -> None:
    clock = [0.0]
    recent = RecentClients(lambda: clock[0])
    recent.keep(row(1))
    assert recent.find("cli_1") == row(1)
    assert recent.find("cli_2") is None
    clock[0] = LIFE_S
    assert recent.find("cli_1") is None


def test_one_that_changed_is_looked_up_anew() -> None:
    recent = RecentClients(lambda: 0.0)
    recent.keep(row(1))
    recent.forget("cli_1")
    recent.forget("cli_2")
    assert recent.find("cli_1") is None


def test_no_more_than_so_many_are_kept() -> None:
    recent = RecentClients(lambda: 0.0)
    for number in range(MOST + 1):
        recent.keep(row(number))
    known = [number for number in range(MOST + 1) if recent.find(f"cli_{number}") is not None]
    assert known == [MOST]
