"""A passkey in software: what a browser and an authenticator return, for tests."""

import json
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from protocols.assertions import Assertion
from protocols.canonical import b64url_encode, sha256
from protocols.cose_keys import eddsa_key, es256_key, rs256_key

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


def es256() -> PrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def eddsa() -> PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


def rs256() -> PrivateKey:
    return rsa.generate_private_key(65537, 2048)


@dataclass
class PasskeyDevice:
    """One passkey of one site; every property may be bent by a test."""

    rp_id: str = "bank.example"
    origin: str = "https://bank.example"
    key: PrivateKey = field(default_factory=es256)
    credential_id: bytes = b"credential-0001-"
    sign_count: int = 0
    flags: int = PRESENT | VERIFIED

    @property
    def public_key(self) -> bytes:
        """COSE key."""
        public = self.key.public_key()
        if isinstance(public, ec.EllipticCurvePublicKey):
            numbers = public.public_numbers()
            return es256_key(numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big"))
        if isinstance(public, ed25519.Ed25519PublicKey):
            return eddsa_key(public.public_bytes_raw())
        return rs256_key(public.public_numbers().n.to_bytes(256, "big"))

    def sign(self, message: bytes) -> bytes:
        """A bare signature."""
        if isinstance(self.key, ec.EllipticCurvePrivateKey):
            return self.key.sign(message, ec.ECDSA(SHA256()))
        if isinstance(self.key, ed25519.Ed25519PrivateKey):
            return self.key.sign(message)
        return self.key.sign(message, padding.PKCS1v15(), SHA256())

    def client_data(self, challenge: bytes, kind: str = "webauthn.get", **more: object) -> bytes:
        """clientDataJSON as a browser writes it."""
        return json.dumps({
            "type": kind,
            "challenge": b64url_encode(challenge),
            "origin": self.origin,
            "crossOrigin": False,
            **more,
        }).encode()  # fmt: skip

    def authenticator_data(self, more_flags: int = 0, tail: bytes = b"") -> bytes:
        """authenticatorData with the counter as it stands."""
        flags = bytes([self.flags | more_flags])
        return sha256(self.rp_id.encode()) + flags + self.sign_count.to_bytes(4, "big") + tail

    def confirm(self, challenge: bytes, **more: object) -> Assertion:
        """The raw assertion over a challenge; the counter goes up."""
        self.sign_count += 1
        client = self.client_data(challenge, **more)
        data = self.authenticator_data()
        return Assertion(data, client, self.sign(data + sha256(client)))

    def get(self, challenge: bytes) -> bytes:
        """What `navigator.credentials.get` gives, as JSON."""
        made = self.confirm(challenge)
        return self._credential({
            "clientDataJSON": b64url_encode(made.client_data),
            "authenticatorData": b64url_encode(made.authenticator_data),
            "signature": b64url_encode(made.signature),
        })  # fmt: skip

    def create(self, challenge: bytes) -> bytes:
        """What `navigator.credentials.create` gives, as JSON, without attestation."""
        from webauthn.helpers import encode_cbor

        named = len(self.credential_id).to_bytes(2, "big") + self.credential_id
        data = self.authenticator_data(ATTESTED, bytes(16) + named + self.public_key)
        attestation = encode_cbor({"fmt": "none", "attStmt": {}, "authData": data})
        return self._credential({
            "clientDataJSON": b64url_encode(self.client_data(challenge, "webauthn.create")),
            "attestationObject": b64url_encode(attestation),
        })  # fmt: skip

    def _credential(self, response: dict[str, str]) -> bytes:
        named = b64url_encode(self.credential_id)
        return json.dumps({
            "id": named, "rawId": named, "type": "public-key", "response": response,
            "clientExtensionResults": {},
        }).encode()  # fmt: skip
