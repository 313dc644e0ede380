"""The release as a document: what is read is what was signed, and nothing else is."""

import json

import pytest

from protocols.canonical import canonical_json
from protocols.documents import sign_document
from protocols.errors import InvalidInput, Malformed
from protocols.keys import SigningKey
from protocols.releases import MAX_VERSIONS, Release, Staged, accept

KEY = SigningKey.generate()
RELEASE = Release(
    serial=7,
    at_ms=1_780_000_000_000,
    champion="model-0002",
    challenger="model-0003",
    staged=Staged("model-0004", ("bank-a", "bank-b")),
    models={f"model-000{number}": f"{number}" * 64 for number in (2, 3, 4)},
    withdrawn=("model-0001",),
)


def test_a_release_is_read_back_as_it_was_written():
    assert Release.from_body(RELEASE.to_body()) == RELEASE
    assert accept(None, sign_document("release", RELEASE.to_body(), KEY), KEY.verify_key) == RELEASE
    assert [RELEASE.named_for(one) for one in ("bank-a", "bank-c")] == ["model-0004", "model-0002"]


@pytest.mark.parametrize(
    "changes",
    [
        {"champion": "model-0001"},  # withdrawn
        {"champion": "model-0009"},  # unknown
        {"champion": "model-0003"},  # the challenger too
        {"challenger": 3},
        {"staged": {"version": "model-0004", "members": []}},
        {"staged": {"version": "model-0004", "members": ["bank-b", "bank-a"]}},
        {"staged": {"version": "model-0004", "members": ["Bank A"]}},
        {"staged": {"version": "model-0004", "members": ["bank-a"], "share": 1}},
        {"staged": ["model-0004"]},
        {"models": {"model-0002": "0" * 63}},
        {"models": {"../etc": "0" * 64}},
        {"models": []},
        {"withdrawn": ["model-0001", "model-0001"]},
        {"withdrawn": ["model-0002"]},  # and still a model
        {"withdrawn": [f"m{number:05d}" for number in range(MAX_VERSIONS)]},
        {"version": 0},
        {"version": True},
        {"version": 1.5},
        {"at_ms": -1},
        {"extra": None},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_field_of_the_wrong_form_is_refused(changes):
    body = canonical_json(json.loads(RELEASE.to_body()) | changes)
    with pytest.raises(Malformed):
        Release.from_body(body)


def test_a_missing_field_is_refused():
    for name in json.loads(RELEASE.to_body()):
        value = json.loads(RELEASE.to_body())
        del value[name]
        with pytest.raises(Malformed):
            Release.from_body(canonical_json(value))


def test_what_cannot_stand_is_not_written():
    with pytest.raises(InvalidInput):
        Release(1, 0, "model-0001", None, None, {}, ())
