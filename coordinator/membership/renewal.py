"""New certificates and new keys for members, the replaced ones honoured for an overlap.

Who asks is the member that the connection's certificate names, and nothing in a request can say
otherwise. A TLS key alone renews nothing: the request is signed with the member's signing key, so
whoever steals the one does not keep the membership by it.
"""

from dataclasses import dataclass, replace

from audit.database import Connection
from coordinator.membership.authority import MAX_CSR_BYTES, Authority
from coordinator.membership.joining import refuse_used_keys
from coordinator.membership.publisher import Publisher
from coordinator.storage import members
from protocols.certificate_facts import (
    fingerprint,
    key_fingerprint,
    valid_from_ms,
    valid_until_ms,
)
from protocols.certificates import BACKDATING_MS
from protocols.directory import MemberEntry
from protocols.documents import Document
from protocols.errors import CredenceError, InvalidInput, StateConflict
from protocols.keys import SIGNATURE_BYTES
from protocols.member_keys import (
    MAX_EARLIER_CERTIFICATES,
    MAX_EARLIER_KEYS,
    EarlierCertificate,
    EarlierKeys,
)
from protocols.rotation import (
    MAX_ROTATION_BYTES,
    RENEWAL_DOMAIN,
    KeyInUse,
    Rotation,
    verify_rotation,
)

SOONEST_RENEWAL_MS = 60_000


class RenewalTooSoon(StateConflict):
    """The certificate in force was issued a moment ago."""

    code = "renewal_too_soon"
    next_step = "Wait a minute; the certificate shown stays good meanwhile."


class TooManyRotations(StateConflict):
    """As many replaced keys are still honoured as a directory entry may list."""

    code = "too_many_rotations"
    next_step = "Wait until the overlap of an earlier rotation is over."


class CertificateNotCurrent(CredenceError):
    """The certificate that the caller shows is not, or no longer, one of this member."""

    code = "certificate_not_current"
    category = "forbidden"
    next_step = "Use the newest certificate, or join again with a new invitation."


@dataclass(frozen=True)
class RotationAttempt:
    """A request for new keys as it came, nothing of it believed yet."""

    body: bytes
    csr_der: bytes
    old_signature: bytes
    new_signature: bytes


@dataclass(frozen=True)
class Renewed:
    """What a member takes home: its certificate, and the directory that names it."""

    certificate_der: bytes
    directory: Document


class Renewal:
    """Renews certificates and replaces keys."""

    def __init__(self, publisher: Publisher, authority: Authority) -> None:
        self._publisher = publisher
        self._authority = authority

    def renew(
        self, member_id: str, shown: bytes, csr_der: bytes, signature: bytes, now_ms: int
    ) -> Renewed:
        """Issue the next certificate of a member.

        1. The request is within its size.
        2. The member is active, and the certificate it shows is one of its own in force.
        3. The member's signing key signed the CSR.
        4. The certificate in force is at least a minute old.
        5. The CSR is signed by its own key, of the right kind, and names that member.
        6. No member has a certificate for that key.

        Args:
            member_id: of the mutual-TLS caller.
            shown: the certificate of that connection, PEM or DER.
            csr_der: for a fresh TLS key.
            signature: by the member's signing key over the CSR.
            now_ms: UTC milliseconds.

        Raises:
            InvalidInput: 1.
            UnknownMember, MemberNotActive, CertificateNotCurrent: 2.
            SignatureInvalid: 3.
            RenewalTooSoon: 4.
            CertificateRefused: 5.
            KeyInUse: 6.
        """
        # 1
        if not 0 < len(csr_der) <= MAX_CSR_BYTES or len(signature) != SIGNATURE_BYTES:
            raise InvalidInput("a renewal has a part of the wrong size")
        with self._publisher.database.write() as connection:
            entry = self._caller(connection, member_id, shown, now_ms)  # 2
            entry.verify(RENEWAL_DOMAIN, csr_der, signature, now_ms)  # 3
            # 4
            held = members.certificate(connection, member_id)
            if now_ms - valid_from_ms(held) - BACKDATING_MS < SOONEST_RENEWAL_MS:
                raise RenewalTooSoon("the certificate in force was issued a moment ago")
            certificate = self._certify(connection, entry, csr_der, now_ms)  # 5, 6
            following = self._with_certificate(entry, certificate, shown, now_ms)
            directory = self._enter(connection, following, certificate, now_ms)
            self._publisher.log(connection, "member.certificate_renewed", member_id, now_ms,
                                actor=member_id, member_id=member_id,
                                certificate_sha256=following.certificate_sha256.hex(),
                                certificate_until_ms=valid_until_ms(certificate),
                                directory_version=directory.version)  # fmt: skip
            return Renewed(certificate, directory)

    def rotate(
        self, member_id: str, shown: bytes, attempt: RotationAttempt, now_ms: int
    ) -> Renewed:
        """Replace a member's signing, sealing and TLS keys.

        1. The request is within its size.
        2. The member is active, and the certificate it shows is one of its own in force.
        3. The rotation is this member's, of its current key, signed by the old and the new, and
           of now (`protocols.rotation.verify_rotation`, its checks 1 to 7).
        4. No member has or had one of the new keys.
        5. There is room for one more replaced key.
        6. The CSR is signed by its own key, of the right kind, and names that member.
        7. No member has a certificate for that key.

        Raises:
            InvalidInput: 1.
            UnknownMember, MemberNotActive, CertificateNotCurrent: 2.
            Malformed, RotationForOther, RotationReplayed, SignatureInvalid, RotationExpired: 3.
            KeyInUse: 4 or 7.
            TooManyRotations: 5.
            CertificateRefused: 6.
        """
        # 1
        if (
            not 0 < len(attempt.csr_der) <= MAX_CSR_BYTES
            or not 0 < len(attempt.body) <= MAX_ROTATION_BYTES
            or {len(attempt.old_signature), len(attempt.new_signature)} != {SIGNATURE_BYTES}
        ):
            raise InvalidInput("a rotation has a part of the wrong size")
        with self._publisher.database.write() as connection:
            entry = self._caller(connection, member_id, shown, now_ms)  # 2
            # 3
            rotation = verify_rotation(
                attempt.body,
                attempt.csr_der,
                attempt.old_signature,
                attempt.new_signature,
                member_id=member_id,
                current_key=entry.signing_key,
                now_ms=now_ms,
            )
            # 4
            held = self._publisher.newest(connection).members
            refuse_used_keys(held, rotation.signing_key, rotation.sealing_key)
            rotated = _rotated(entry, rotation, now_ms)  # 5
            certificate = self._certify(connection, entry, attempt.csr_der, now_ms)  # 6, 7
            following = self._with_certificate(rotated, certificate, shown, now_ms)
            directory = self._enter(connection, following, certificate, now_ms)
            self._publisher.log(connection, "member.keys_rotated", member_id, now_ms,
                                actor=member_id, member_id=member_id,
                                signing_key=following.signing_key.hex(),
                                sealing_key=following.sealing_key.hex(),
                                certificate_sha256=following.certificate_sha256.hex(),
                                until_ms=following.earlier_keys[0].until_ms,
                                directory_version=directory.version)  # fmt: skip
            return Renewed(certificate, directory)

    def _caller(
        self, connection: Connection, member_id: str, shown: bytes, now_ms: int
    ) -> MemberEntry:
        entry = self._publisher.newest(connection).at(now_ms).active_member(member_id)
        if not entry.admits(fingerprint(shown), now_ms):
            raise CertificateNotCurrent("the certificate shown is not one of this member in force")
        return entry

    def _certify(
        self, connection: Connection, entry: MemberEntry, csr_der: bytes, now_ms: int
    ) -> bytes:
        certificate = self._authority.issue(csr_der, entry.member_id, entry.role, now_ms)
        key = key_fingerprint(certificate)
        if any(key_fingerprint(row.certificate_der) == key for row in members.every(connection)):
            raise KeyInUse("a member has a certificate for that key")
        return certificate

    def _with_certificate(
        self, entry: MemberEntry, certificate: bytes, shown: bytes, now_ms: int
    ) -> MemberEntry:
        """The entry with a new certificate, the one that is shown honoured for the overlap.

        Only that one: an answer that never arrived left another, which nobody has.
        """
        hashed = fingerprint(shown)
        end_ms = min(now_ms + self._authority.overlap_s * 1000, valid_until_ms(shown))
        kept = [one for one in entry.earlier_certificates if now_ms < one.until_ms]
        earlier = next((one for one in kept if one.sha256 == hashed), None)
        if earlier is not None:
            end_ms = min(end_ms, earlier.until_ms)  # asking again does not make it longer
        others = [one for one in kept if one.sha256 != hashed]
        replaced = (EarlierCertificate(hashed, end_ms), *others)[:MAX_EARLIER_CERTIFICATES]
        return replace(
            entry,
            certificate_sha256=fingerprint(certificate),
            earlier_certificates=replaced,
        )

    def _enter(
        self, connection: Connection, entry: MemberEntry, certificate: bytes, now_ms: int
    ) -> Document:
        members.set_certificate(connection, entry.member_id, certificate)
        return self._publisher.change_member(
            connection, entry.member_id, lambda _held: entry, now_ms
        )


def _rotated(entry: MemberEntry, rotation: Rotation, now_ms: int) -> MemberEntry:
    replaced = EarlierKeys(
        signing_key=entry.signing_key,
        sealing_key=entry.sealing_key,
        rotated_at_ms=now_ms,
        until_ms=now_ms + rotation.overlap_s * 1000,
    )
    earlier = (replaced, *entry.earlier_keys)
    # 5
    if any(now_ms < one.until_ms for one in earlier[MAX_EARLIER_KEYS:]):
        raise TooManyRotations("too many replaced keys are still honoured")
    return replace(
        entry,
        signing_key=rotation.signing_key,
        sealing_key=rotation.sealing_key,
        earlier_keys=earlier[:MAX_EARLIER_KEYS],
    )
