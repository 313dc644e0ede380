"""Key sets of clients: what is taken, how they change."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from node.access.keys import ClientKeyUsed
from protocols import jose
from protocols.errors import CredenceError, InvalidInput, SignatureInvalid
from protocols.jose import Compact, KeySetInvalid, parse_jwks
from tests.access.world import World, key_set, make_key, public


@pytest.mark.parametrize("kind", ["Ed25519", "P-256"])
def test_a_key_and_its_thumbprint_are_what_another_library_says(kind: str) -> None:
    key = make_key(kind)
    (parsed,) = parse_jwks(key_set(key))
    assert parsed.thumbprint == parsed.kid == key.thumbprint()
    assert json.loads(parsed.text) == public(key) | {"kid": parsed.kid}
    name = parsed.algorithms[-1]
    token = jws.serialize_compact({"alg": name}, b'{"a": 1}', key, algorithms=[name])
    compact = Compact.parse(token, max_bytes=1000)
    compact.verify(parsed, name)
    assert compact.claims(max_bytes=100) == {"a": 1}
    with pytest.raises(SignatureInvalid):
        Compact(compact.head, compact.body[:-1] + "A", compact.signature).verify(parsed, name)
    (other,) = parse_jwks(key_set(make_key(kind)))
    with pytest.raises(SignatureInvalid):
        compact.verify(other, name)


def test_a_generated_key_is_an_ed25519_pair_that_another_library_reads() -> None:
    private = jose.generate_private_jwk()
    key = OKPKey.import_key(private)
    assert key.is_private
    assert private["kid"] == key.thumbprint()
    (parsed,) = parse_jwks(json.dumps(jose.public_part(private)).encode())
    assert parsed.algorithms == ("EdDSA", "Ed25519")


def _refused() -> list[bytes]:
    good = public(make_key())
    point = public(make_key("P-256"))
    sets: list[object] = [
        {"keys": []},
        {"keys": [public(make_key()) for _ in range(5)]},
        {"keys": [good, good]},
        {"keys": [good | {"kid": "a"}, public(make_key()) | {"kid": "a"}]},
        {"keys": "all"},
        {"keys": [1]},
        make_key().as_dict(private=True),
        OctKey.generate_key(256).as_dict(private=True),
        RSAKey.generate_key(2048).as_dict(private=False),
        ECKey.generate_key("P-384").as_dict(private=False),
        OKPKey.generate_key("X25519").as_dict(private=False),
        good | {"use": "enc"},
        good | {"key_ops": ["sign"]},
        good | {"alg": "ES256"},
        good | {"alg": "none"},
        good | {"kid": ""},
        good | {"kid": "x" * 97},
        good | {"kid": 'quote"'},
        good | {"x": good["x"] + "A"},
        good | {"x": "!" * 43},
        point | {"y": point["x"]},
        point | {"x": "A" * 43, "y": "A" * 43},
        [good],
        None,
    ]
    return [json.dumps(one).encode() for one in sets]


_REFUSED = [*_refused(), b"", b"{", b"\xff", b"[" * 5000]


@pytest.mark.parametrize("data", _REFUSED, ids=range(len(_REFUSED)))
def test_a_key_set_that_is_not_one_is_refused(data: bytes) -> None:
    """Private, shared and weak keys, points off the curve, too many, twice, deep."""
    with pytest.raises(KeySetInvalid):
        parse_jwks(data)


def test_a_key_set_that_is_too_large_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(KeySetInvalid, match="bytes"):
        parse_jwks(b" " * (jose.MAX_JWKS_BYTES + 1))


@given(st.one_of(st.binary(max_size=300), st.text(max_size=100).map(str.encode)))
def test_no_bytes_break_the_parsers(data: bytes) -> None:
    for parse in (
        parse_jwks,
        lambda one: Compact.parse(one.decode("latin-1"), max_bytes=1000).header(),
    ):
        try:
            parse(data)
        except CredenceError:
            continue


def test_at_most_four_keys_are_in_force_those_that_end_too(world: World) -> None:
    now_ms, clients = world.clock[0], world.access.clients
    first, more = [make_key() for _ in range(2)], [make_key() for _ in range(3)]
    row = clients.add_with_keys(f"many {now_ms}", now_ms, parse_jwks(key_set(*first)))
    with pytest.raises(InvalidInput, match="at most 4"):
        clients.rotate(row.name, now_ms, parse_jwks(key_set(*more)), 1000)
    _, new, ending = clients.rotate(
        row.name, now_ms, parse_jwks(key_set(first[0], *more[:2])), 1000
    )
    assert (len(new), ending) == (2, [first[1].thumbprint()])
    later = now_ms + 1000
    clients.rotate(row.name, later, parse_jwks(key_set(first[0], *more)), 1000)
    kept = {key.kid: key.until_ms for key in clients.keys_of(row.client_id)}
    assert kept.pop(first[1].thumbprint()) == later
    assert set(kept.values()) == {None}
    with pytest.raises(ClientKeyUsed):
        clients.rotate(row.name, later, parse_jwks(key_set(first[1])), 0)
    with pytest.raises(InvalidInput, match="90 days"):
        clients.rotate(row.name, later, parse_jwks(key_set(first[0])), 91 * 86_400_000)


def test_each_change_of_a_client_is_a_leaf(world: World) -> None:
    before, now_ms = world.node.audit.head().size, world.clock[0]
    clients = world.access.clients
    row = clients.add_with_keys(f"changed {now_ms}", now_ms, parse_jwks(key_set(make_key())))
    clients.rotate(row.name, now_ms, parse_jwks(key_set(make_key())), 1000)
    clients.limit(row.name, now_ms, rate=0.5, burst=None, daily_quota=7)
    clients.revoke(row.name, now_ms)
    assert world.kinds(before) == [
        "client.added", "client.keys_rotated", "client.limited", "client.revoked"
    ]  # fmt: skip
    for given_limits in ({"rate": 0.0}, {"burst": 0}, {"daily_quota": -1}):
        limits = {"rate": None, "burst": None, "daily_quota": None} | given_limits
        with pytest.raises(InvalidInput):
            clients.limit(row.name, now_ms, **limits)


def test_the_private_key_of_a_client_is_nowhere_in_the_home(tmp_path: Path) -> None:
    """Made by `credence client add --generate`, written for the client, and forgotten."""
    from typer.testing import CliRunner

    from api.cli.main import app
    from node.bootstrap import init_node

    home, out = tmp_path / "home", tmp_path / "desk.jwk"
    init_node(home, member_id="bank-a", name="A", role="bank")

    def call(*arguments: object):
        return CliRunner().invoke(app, ["client", *map(str, arguments)])

    added = call("add", home, "--name", "Desk", "--generate", out, "--json")
    assert added.exit_code == 0, added.output
    private = json.loads(out.read_text())
    assert out.stat().st_mode & 0o777 == 0o600
    assert json.loads(added.output)["kids"] == [private["kid"]]
    again = call("rotate", home, "--name", "Desk", "--generate", out)
    assert again.exit_code != 0  # never over a key that is there
    given_set = tmp_path / "jwks.json"
    given_set.write_bytes(key_set(make_key("P-256")))
    rotated = call("rotate", home, "--name", "Desk", "--jwks", given_set, "--json")
    assert json.loads(rotated.output)["ending"] == [private["kid"]]
    limited = call("limit", home, "--name", "Desk", "--rate", 5)
    assert "rate 5" in limited.output
    (listed,) = json.loads(call("list", home, "--json").output)
    assert [one["until_ms"] is None for one in listed["keys"]] == [False, True]
    assert "ending" in call("list", home).output
    taken = call("add", home, "--name", "Desk", "--generate", tmp_path / "second.jwk")
    assert taken.exit_code != 0
    assert not (tmp_path / "second.jwk").exists()
    assert call("add", home, "--name", "Plain").exit_code != 0  # plain_tokens is off
    files = [path.read_bytes() for path in home.glob("*") if path.is_file()]
    assert not any(private["d"].encode() in content for content in files)
