"""An attestation of deletion: by the party, about the consent, under a key it has now."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent.deletion import Deletion, parse_signed, sign_deletion, verify_deletion
from protocols.errors import CredenceError, SignatureInvalid
from protocols.keys import SigningKey
from tests.consent.samples import NOW_MS

PARTY, OTHER = SigningKey.generate(), SigningKey.generate()
CONSENT = "con_" + "a" * 26
MADE = Deletion("payments", CONSENT, bytes(32), 2, 1, 3, NOW_MS)


def test_an_attestation_is_read_back_and_counts_everything():
    jws = sign_deletion(MADE, PARTY)
    assert verify_deletion(jws, "payments", CONSENT, [PARTY.verify_key]) == MADE
    assert parse_signed(jws).total == 6


def test_after_a_rotation_the_earlier_key_counts_too():
    keys = [OTHER.verify_key, PARTY.verify_key]
    assert verify_deletion(sign_deletion(MADE, PARTY), "payments", CONSENT, keys) == MADE


@pytest.mark.parametrize(
    ("member", "consent", "key"),
    [
        ("bank-b", CONSENT, PARTY),
        ("payments", "con_" + "b" * 26, PARTY),
        ("payments", CONSENT, OTHER),
    ],
)
def test_another_partys_or_another_consents_is_refused(member, consent, key):
    with pytest.raises(SignatureInvalid):
        verify_deletion(sign_deletion(MADE, key), member, consent, [PARTY.verify_key])


@given(st.binary(max_size=400))
def test_what_is_no_attestation_is_refused(data):
    with pytest.raises(CredenceError):
        verify_deletion(data, "payments", CONSENT, [PARTY.verify_key])
