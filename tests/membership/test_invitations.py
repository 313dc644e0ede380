"""Invitations over the wire: once, in time, for one member; whatever fails stores nothing."""

import pytest

from node.bootstrap import join
from protocols.errors import CredenceError
from protocols.invitations import Invitation
from tests.membership.world import HOUR_S, now_ms


def invited(world, member_id, role="bank", life_s=HOUR_S):
    return world.coordinator.membership.invite(member_id, role, life_s, now_ms()).to_text()


def used(world):
    text = invited(world, "bank-n")
    world.make("first")
    settings = world.root / "first" / "credence.toml"
    settings.write_text(settings.read_text().replace('"first"', '"bank-n"'))
    join(world.root / "first", text, now_ms())
    return text


def expired(world):
    """Its owner's clock is slow: only the coordinator can tell."""
    return world.coordinator.membership.invite("bank-n", "bank", 1, now_ms() - 60_000).to_text()


def for_another_member(world):
    return invited(world, "bank-o")


def for_another_role(world):
    return invited(world, "bank-n", "regulator")


def with_a_guessed_token(world):
    from dataclasses import replace

    return replace(Invitation.from_text(invited(world, "bank-n")), token=bytes(32)).to_text()


def for_a_member_that_is(world):
    first, second = invited(world, "bank-n"), invited(world, "bank-n")
    world.make("first")
    settings = world.root / "first" / "credence.toml"
    settings.write_text(settings.read_text().replace('"first"', '"bank-n"'))
    join(world.root / "first", first, now_ms())
    return second


@pytest.mark.parametrize(
    ("attack", "code"),
    [
        (used, "invitation_used"),
        (expired, "invitation_expired"),
        (for_another_member, "invitation_for_other"),
        (for_another_role, "declaration_mismatch"),
        (with_a_guessed_token, "invitation_refused"),
        (for_a_member_that_is, "already_member"),
    ],
)
def test_an_invitation_that_is_not_ones_own_admits_nobody(world, attack, code):
    text, home = attack(world), world.make("bank-n")
    before, size = world.directory, world.coordinator.audit.head().size
    at_ms = now_ms() - 60_000 if attack is expired else now_ms()
    with pytest.raises(CredenceError) as caught:
        join(home, text, at_ms)
    assert caught.value.code == code
    assert not (home / "certificate.pem").exists()
    assert world.directory == before
    assert world.coordinator.audit.head().size == size


def test_keys_of_a_member_admit_no_second_one(world):
    import shutil

    text = invited(world, "bank-n")
    shutil.copytree(world.root / "bank-a", world.root / "copy")
    settings = world.root / "copy" / "credence.toml"
    settings.write_text(settings.read_text().replace('"bank-a"', '"bank-n"'))
    with pytest.raises(CredenceError) as caught:
        join(world.root / "copy", text, now_ms())
    assert caught.value.code == "key_in_use"
