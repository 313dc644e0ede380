"""What a node keeps secret, of which some is replaced while it runs.

The directory says which signing and sealing keys are in force; the node holds every pair that it
may still need and looks up the one that the directory names. So no crash and no lost answer leaves
it with keys that others do not expect:

  1. A new pair is written down before the coordinator is asked to enter it (`prepare`).
  2. While its successor is young, a pair signs on: peers learn of the new one within a minute, and
     honour both meanwhile (`SETTLING_MS`).
  3. A replaced pair is destroyed when nobody honours it any longer (`destroy_ended`).

The file is read again when the directory names a pair that is not known in memory: another process
of this node made it.
"""

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from node.key_file import KEK_FILE, KEYS_FILE, KeyFile, write_secret
from protocols.certificates import make_tls_key
from protocols.directory import MemberEntry
from protocols.errors import CredenceError
from protocols.keys import SealingKey, SigningKey
from protocols.keystore import seal_keys

KEY_BYTES = 32
SETTLING_MS = 60_000  # a change of the directory reaches every peer within that

log = structlog.get_logger("node.keys")


@dataclass(frozen=True, repr=False)
class KeyPair:
    """A signing key and the sealing key that came with it."""

    signing: SigningKey
    sealing: SealingKey

    @property
    def public(self) -> bytes:
        """The public signing key, by which the pair is known."""
        return self.signing.verify_key.bytes


class NodeKeys:
    """The secrets of one node; thread-safe.

    Attributes:
        file: where they are kept.
        kek: 32 bytes, the key-encryption key.
        local_key: 32 bytes, turns pseudonyms into this node's own references.
        audit_index: 32 bytes, keys the audit log's subject index.
    """

    def __init__(self, file: KeyFile, clock: Callable[[], int]) -> None:
        """Read the secrets of `file`.

        Raises:
            HomeUnusable, SignatureInvalid: they cannot be read.
        """
        self.file = file
        self.kek = file.kek
        self._clock = clock
        self._entry: Callable[[], MemberEntry | None] = lambda: None
        self._lock = threading.Lock()
        kept = file.read()
        self.local_key = kept["local_key"]
        self.audit_index = kept["audit_index"]
        self._take(kept)

    def follow(self, entry: Callable[[], MemberEntry | None]) -> None:
        """From now on, the directory's entry of this node says which pair is in force."""
        self._entry = entry

    @property
    def signing(self) -> SigningKey:
        """The institution's Ed25519 identity: the key to sign with now."""
        return self._sending().signing

    @property
    def sealing(self) -> SealingKey:
        """X25519, for pairwise keys with every other member: the key to use now."""
        return self._sending().sealing

    @property
    def tls(self) -> bytes:
        """Private key of the node's certificate, PEM."""
        return self._tls[0]

    def sealing_keys(self) -> list[SealingKey]:
        """All that peers may use now, first the one to use ourselves."""
        sending = self._sending()
        entry = self._entry()
        if entry is None:
            return [sending.sealing]
        now_ms = self._clock()
        named = [entry.signing_key]
        named += [one.signing_key for one in entry.earlier_keys if now_ms < one.until_ms]
        others = [self._pairs.get(public) for public in named if public != sending.public]
        return [sending.sealing, *(pair.sealing for pair in others if pair is not None)]

    def tls_keys(self) -> list[bytes]:
        """Private TLS keys that the certificate may be for, as they are on disk now."""
        self.reload()
        return list(self._tls)

    def reload(self) -> None:
        """Read the file again.

        Raises:
            HomeUnusable, SignatureInvalid: it cannot be read.
        """
        kept = self.file.read()
        with self._lock:
            self._take(kept)

    def current(self) -> KeyPair:
        """The pair that the directory names: the one that a rotation replaces."""
        entry = self._entry()
        pair = self._known(entry.signing_key) if entry is not None else None
        return pair if pair is not None else self._base

    def prepare(self) -> KeyPair:
        """The next pair, written down; the same again until it is in force. Call it `locked`."""
        kept = self.file.read()
        if "next_signing" in kept:
            pair = _pair(kept["next_signing"], kept["next_sealing"])
            if pair.public != self.current().public:
                return pair
            self.promote()
        pair = KeyPair(SigningKey.generate(), SealingKey.generate())
        self.file.change(
            lambda kept: {
                **kept,
                "next_signing": pair.signing.seed,
                "next_sealing": pair.sealing.private,
            }
        )
        self.reload()
        return pair

    def prepare_tls(self) -> bytes:
        """A fresh TLS key, written down beside the one in use. Call it `locked`."""
        key = make_tls_key()
        self.file.change(lambda kept: {**kept, "next_tls": key})
        self.reload()
        return key

    def promote_tls(self) -> None:
        """The certificate is for the next TLS key now: forget the other. Call it `locked`."""

        def promoted(kept: dict[str, bytes]) -> dict[str, bytes]:
            following = kept.pop("next_tls", None)
            return kept if following is None else {**kept, "tls": following}

        self.file.change(promoted)
        self.reload()

    def promote(self) -> bool:
        """Keep the next pair as the one in force when the directory names it. Call it `locked`."""
        entry = self._entry()
        if entry is None:
            return False
        kept = self.file.read()
        if "next_signing" not in kept:
            return False
        following = _pair(kept["next_signing"], kept["next_sealing"])
        if following.public != entry.signing_key:
            return False

        def promoted(kept: dict[str, bytes]) -> dict[str, bytes]:
            base = _pair(kept["signing"], kept["sealing"])
            name = base.signing.verify_key.key_id
            others = {k: v for k, v in kept.items() if k not in {"next_signing", "next_sealing"}}
            return {
                **others,
                f"signing_{name}": kept["signing"],
                f"sealing_{name}": kept["sealing"],
                "signing": kept["next_signing"],
                "sealing": kept["next_sealing"],
            }

        self.file.change(promoted)
        self.reload()
        return True

    def destroy_ended(self) -> list[str]:
        """Destroy replaced pairs that nobody honours any longer; their key ids. Call it `locked`.

        They leave the file and this process's memory. What a disk keeps of a file that was
        replaced is sealed, as the file was.
        """
        entry = self._entry()
        if entry is None:
            return []
        now_ms = self._clock()
        honoured = {one.signing_key for one in entry.earlier_keys if now_ms < one.until_ms}
        honoured.add(entry.signing_key)
        ended = [
            pair.signing.verify_key.key_id
            for name, pair in _replaced(self.file.read()).items()
            if pair.public not in honoured
        ]
        if ended:
            gone = {f"{kind}_{name}" for kind in ("signing", "sealing") for name in ended}
            self.file.change(lambda kept: {k: v for k, v in kept.items() if k not in gone})
            self.reload()
        return ended

    def _sending(self) -> KeyPair:
        entry = self._entry()
        if entry is None:
            return self._base
        newest = entry.earlier_keys[0] if entry.earlier_keys else None
        if newest is not None:
            now_ms = self._clock()
            settled_ms = min(newest.rotated_at_ms + SETTLING_MS, newest.until_ms)
            earlier = self._pairs.get(newest.signing_key)
            if now_ms < settled_ms and earlier is not None:
                return earlier
        return self._known(entry.signing_key) or self._base

    def _known(self, public: bytes) -> KeyPair | None:
        pair = self._pairs.get(public)
        if pair is None and public not in self._missing:
            try:
                self.reload()
            except CredenceError as error:
                log.warning("keys.unreadable", code=error.code)
            pair = self._pairs.get(public)
            if pair is None:
                self._missing.add(public)
                log.error("keys.not_ours", key=public.hex()[:16])
        return pair

    def _take(self, kept: dict[str, bytes]) -> None:
        self._base = _pair(kept["signing"], kept["sealing"])
        pairs = [self._base, *_replaced(kept).values()]
        if "next_signing" in kept:
            pairs.append(_pair(kept["next_signing"], kept["next_sealing"]))
        self._pairs = {pair.public: pair for pair in pairs}
        self._tls = [kept[name] for name in ("tls", "next_tls") if name in kept]
        self._missing: set[bytes] = set()


def create_keys(home: Path) -> NodeKeys:
    """Make all keys and write them sealed into `home`."""
    kek = secrets.token_bytes(KEY_BYTES)
    pair = KeyPair(SigningKey.generate(), SealingKey.generate())
    sealed = seal_keys(
        kek,
        {
            "signing": pair.signing.seed,
            "sealing": pair.sealing.private,
            "tls": make_tls_key(),
            "local_key": secrets.token_bytes(KEY_BYTES),
            "audit_index": secrets.token_bytes(KEY_BYTES),
        },
    )
    write_secret(home / KEK_FILE, kek)
    write_secret(home / KEYS_FILE, sealed)
    return open_keystore(home)


def open_keystore(home: Path) -> NodeKeys:
    """Read and unseal the keys of `home`.

    Raises:
        HomeUnusable: a file is missing or unreadable.
        SignatureInvalid: the keys were sealed under another key, or changed.
    """
    return NodeKeys(KeyFile(home), lambda: int(time.time() * 1000))


def _pair(seed: bytes, private: bytes) -> KeyPair:
    return KeyPair(SigningKey.from_seed(seed), SealingKey.from_bytes(private))


def _replaced(kept: dict[str, bytes]) -> dict[str, KeyPair]:
    names = [name.removeprefix("signing_") for name in kept if name.startswith("signing_")]
    return {name: _pair(kept[f"signing_{name}"], kept[f"sealing_{name}"]) for name in names}
