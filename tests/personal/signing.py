"""How people sign at their bank: by passkey, in the account, in a branch."""

from node.consents.personal import AccountProof, GrantChoice, PasskeyProof, PasskeySigner
from node.consents.service import OfferTerms
from node.storage import consents
from protocols.keys import SigningKey
from protocols.passkeys import RelyingParty
from tests.node.consent_world import person
from tests.passkey_device import PasskeyDevice, es256

SITE = RelyingParty("bank-a.example", ("https://my.bank-a.example",), "Bank A")
DEVICE = PasskeyDevice(rp_id=SITE.rp_id, origin=SITE.origins[0], key=es256())
SIGNER = PasskeySigner(DEVICE.public_key)
APP = AccountProof("password_totp")
OFFICER = SigningKey.from_seed(b"o" * 32)
SCORE = OfferTerms(purposes=("score",))


def by_passkey(mine, number=1, choice=None, device=DEVICE):
    ready = mine.prepare(person(number), choice or GrantChoice(SCORE), SIGNER)
    proof = PasskeyProof(device.get(ready.challenge))
    return mine.grant(person(number), ready.body, proof).consent_id


def by_account(mine, number=1, choice=None):
    ready = mine.prepare(person(number), choice or GrantChoice(SCORE), APP)
    return mine.grant(person(number), ready.body, APP).consent_id


def held(world, member_id, consent_id):
    with world.member(member_id).database.read() as connection:
        found = consents.find(connection, consent_id)
    return found and found.terms.state


def held_state(member, consent_id):
    return member.consents.get(consent_id).terms.state
