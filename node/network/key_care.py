"""A running node looks after its own keys: renews its certificate, destroys what was replaced.

1. A certificate is renewed when less than a third of its life is left, or when the directory
   names another one (the answer to an earlier renewal was lost).
2. A new TLS key is made for every certificate, and written down before it is asked for.
3. An answer is taken when its certificate is this network's, for this node and that key, and the
   directory beside it names it. Nothing changes otherwise: the old certificate is still honoured.
4. Replaced signing and sealing keys are destroyed when their overlap is over.
"""

import time
from collections.abc import Callable
from pathlib import Path

import structlog

from audit.database import Database
from node.keystore import NodeKeys
from node.network.documents import Documents
from node.network.identity import OwnIdentity
from node.network.joining import CERTIFICATE_FILE, replace_file
from node.network.membership import MembershipClient
from node.network.membership_log import MembershipLog
from protocols.canonical import sha256
from protocols.certificate_facts import fingerprint, to_pem, valid_from_ms, valid_until_ms
from protocols.certificates import make_csr, verify_member_certificate
from protocols.directory import MemberEntry
from protocols.documents import from_proto
from protocols.errors import CredenceError
from protocols.rotation import RENEWAL_DOMAIN, Rotation, sign_rotation
from protocols.v1.membership_pb2 import RenewRequest, RenewResponse, RotateRequest

log = structlog.get_logger("node.keys")


class RenewalAnswerInvalid(CredenceError):
    """What the coordinator answered to a renewal or rotation is not what was asked for."""

    code = "renewal_answer_invalid"
    category = "unauthenticated"
    next_step = "Nothing was changed. Tell the operator; the old certificate is good meanwhile."


class KeyCare:
    """Renews and replaces this node's keys; the home's lock keeps processes apart."""

    def __init__(
        self,
        *,
        home: Path,
        member_id: str,
        keys: NodeKeys,
        identity: OwnIdentity,
        documents: Documents,
        membership: MembershipClient,
        database: Database,
        journal: MembershipLog,
        clock: Callable[[], int] = lambda: int(time.time() * 1000),
    ) -> None:
        self._home = home
        self._member_id = member_id
        self._keys = keys
        self._identity = identity
        self._documents = documents
        self._membership = membership
        self._database = database
        self._journal = journal
        self._clock = clock

    def tend(self) -> None:
        """Do what is due; call it every few seconds.

        Raises:
            CredenceError: a renewal that was due did not succeed; it is tried again.
        """
        now_ms = self._clock()
        with self._keys.file.locked():
            if self._keys.promote():
                log.info("keys.rotated")
            ended = self._keys.destroy_ended()  # 4
        if ended:
            with self._database.write() as connection:
                self._journal.destroyed(connection, ended, now_ms)
            log.info("keys.destroyed", pairs=len(ended))
        if self._renewal_due(now_ms):  # 1
            self.renew()

    def renew(self) -> int:
        """Get the next certificate now; the end of its validity, UTC milliseconds.

        Raises:
            RenewalTooSoon: the last one is younger than a minute.
            PeerUnreachable, PeerTooSlow: the coordinator does not answer.
            CertificateRefused, RenewalAnswerInvalid: the answer does not hold.
        """
        with self._keys.file.locked():
            self._settle_tls()
            key = self._keys.prepare_tls()  # 2
            csr = make_csr(key, self._member_id)
            signature = self._keys.signing.sign(RENEWAL_DOMAIN, csr)
            answer = self._membership.renew(RenewRequest(csr_der=csr, signature=signature))
            return self._take(answer, key)

    def rotate(self, overlap_s: int) -> MemberEntry:
        """Replace the signing, sealing and TLS keys; this node's entry afterwards.

        Asked again after a lost answer, it goes on with the keys that it had made.

        Args:
            overlap_s: how long the old keys are honoured beside the new ones, seconds.

        Raises:
            RotationReplayed, KeyInUse, TooManyRotations: the coordinator refuses.
            PeerUnreachable, PeerTooSlow: it does not answer.
            CertificateRefused, RenewalAnswerInvalid: its answer does not hold.
        """
        with self._keys.file.locked():
            self._documents.refresh()
            self._settle_tls()
            if not self._keys.promote():
                self._ask_for_rotation(overlap_s)
            # Else the directory names the new keys already, and only that answer was lost; the
            # certificate that came with it is renewed by `tend`.
            return self._own_entry()

    def _ask_for_rotation(self, overlap_s: int) -> None:
        old, following = self._keys.current(), self._keys.prepare()
        tls = self._keys.prepare_tls()  # 2
        csr = make_csr(tls, self._member_id)
        body = Rotation(
            member_id=self._member_id,
            old_signing_key=old.public,
            signing_key=following.public,
            sealing_key=following.sealing.public,
            csr_sha256=sha256(csr),
            overlap_s=overlap_s,
            issued_at_ms=self._clock(),
        ).to_body()
        by_old, by_new = sign_rotation(body, old.signing, following.signing)
        request = RotateRequest(body=body, csr_der=csr, old_signature=by_old, new_signature=by_new)
        self._take(self._membership.rotate(request), tls)
        self._keys.promote()

    def _take(self, answer: RenewResponse, key: bytes) -> int:
        # 3
        certificate = answer.certificate_der
        named = verify_member_certificate(
            certificate, self._identity().ca, now_ms=self._clock(), key_pem=key
        )
        if named != self._member_id:
            raise RenewalAnswerInvalid("the certificate names another member than this node")
        self._documents.install(from_proto(answer.directory))
        if self._own_entry().certificate_sha256 != fingerprint(certificate):
            raise RenewalAnswerInvalid("the directory names another certificate than the answer")
        replace_file(self._home / CERTIFICATE_FILE, to_pem(certificate))
        self._keys.promote_tls()
        until_ms = valid_until_ms(certificate)
        log.info("certificate.renewed", until_ms=until_ms)
        return until_ms

    def _settle_tls(self) -> None:
        """Before the next TLS key is made: keep the one that the certificate is for."""
        if self._identity().key != self._keys.tls:
            self._keys.promote_tls()

    def _renewal_due(self, now_ms: int) -> bool:
        certificate = self._identity().certificate
        begin, end = valid_from_ms(certificate), valid_until_ms(certificate)
        if (end - now_ms) * 3 < end - begin:
            return True
        return self._own_entry().certificate_sha256 != fingerprint(certificate)

    def _own_entry(self) -> MemberEntry:
        return self._documents.directory().member(self._member_id)
