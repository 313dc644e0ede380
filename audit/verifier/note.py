"""C2SP signed notes and tlog-checkpoints: parsing and Ed25519 verification.

Formats: c2sp.org/signed-note and c2sp.org/tlog-checkpoint. A note is text, an empty line, and one
line a signature: `— <key name> base64(4-byte key id || signature)`. Signatures of keys that the
caller does not name are ignored; one of a key he names that fails spoils the whole note.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from protocols.errors import Malformed, SignatureInvalid
from protocols.keys import VerifyKey

MAX_NOTE_BYTES = 262_144  # room for the 16 post-quantum signatures that C2SP asks to accept
MAX_SIGNATURES = 64
ED25519 = b"\x01"  # signature type byte
_DASH = "\N{EM DASH} "
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key of one signature type under the name it signs with.

    Its one-line form is `<name>+<key id>+<base64>` (signed-note, "Verifier keys").
    """

    name: str
    key: VerifyKey

    kind: ClassVar[bytes]  # signature type byte
    called: ClassVar[str]
    another: ClassVar[str]  # what is said of a key of another type
    line: ClassVar[re.Pattern[str]]

    @property
    def key_id(self) -> bytes:
        """SHA-256(name || 0x0A || signature type || public key)[:4]."""
        data = self.name.encode() + b"\n" + self.kind + self.key.bytes
        return hashlib.sha256(data).digest()[:4]

    def encode(self) -> str:
        """The one-line form."""
        body = base64.b64encode(self.kind + self.key.bytes).decode()
        return f"{self.name}+{self.key_id.hex()}+{body}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Inverse of `encode`.

        Raises:
            Malformed: not such a line, another algorithm, or the key id is not this key's.
        """
        match = cls.line.fullmatch(text)
        if match is None:
            raise Malformed(f"a {cls.called} reads <name>+<8 hex digits>+<base64>")
        body = unbase64(match[3])
        if body[:1] != cls.kind:
            raise Malformed(cls.another)
        found = cls(match[1], VerifyKey(body[1:]))
        if found.key_id.hex() != match[2]:
            raise Malformed(f"the {cls.called} does not match its own key id")
        return found


@dataclass(frozen=True, slots=True)
class NoteKey(VerifierKey):
    """A public key under the name it signs notes with (signed-note, "Ed25519 signatures")."""

    kind: ClassVar[bytes] = ED25519
    called: ClassVar[str] = "verifier key"
    another: ClassVar[str] = "the verifier key is not an Ed25519 key"
    line: ClassVar[re.Pattern[str]] = re.compile(r"([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)")


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line."""

    name: str
    key_id: bytes
    signature: bytes

    def encode(self) -> str:
        """The line, with its newline."""
        return f"{_DASH}{self.name} {base64.b64encode(self.key_id + self.signature).decode()}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A parsed note; its text means nothing until `verify` passes."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def encode(self) -> bytes:
        """The note as it travels."""
        return (self.text + "\n" + "".join(line.encode() for line in self.signatures)).encode()

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a note.

        Checks: 1. size; 2. UTF-8 without control characters but newline; 3. text and signatures
        apart at the last empty line; 4. every signature line's form.

        Raises:
            Malformed: a check fails.
        """
        # 1. Size.
        if len(data) > MAX_NOTE_BYTES:
            raise Malformed(
                f"a signed note of {len(data)} bytes; at most {MAX_NOTE_BYTES} are read"
            )
        # 2. Characters.
        try:
            whole = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Malformed("the signed note is not UTF-8") from error
        if any(character < " " and character != "\n" for character in whole):
            raise Malformed("the signed note holds control characters")
        # 3. The last empty line.
        text, gap, tail = whole.rpartition("\n\n")
        if not gap or not tail.endswith("\n"):
            raise Malformed("the signed note has no signature lines")
        # 4. Signature lines.
        lines = tail[:-1].split("\n")
        if len(lines) > MAX_SIGNATURES:
            raise Malformed(f"the signed note has more than {MAX_SIGNATURES} signatures")
        return cls(text + "\n", tuple(_parse_signature(line) for line in lines))

    def verify(self, keys: Sequence[NoteKey]) -> None:
        """Check the signatures of the keys we know.

        Checks: 1. each signature whose name and key id match a known key verifies; 2. there is at
        least one.

        Raises:
            SignatureInvalid: a check fails.
        """
        known = {(key.name, key.key_id): key.key for key in keys}
        verified = 0
        for line in self.signatures:
            key = known.get((line.name, line.key_id))
            if key is not None:
                # 1. It verifies.
                key.verify_raw(self.text.encode(), line.signature)
                verified += 1
        # 2. At least one.
        if not verified:
            raise SignatureInvalid(
                "no signature of the note is by a given key",
                next_step="Check the name and the key that the log's owner published.",
            )


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log says of itself at one size.

    Attributes:
        origin: the log's name.
        size: leaves.
        root: RFC 9162 root hash, 32 bytes.
        extensions: opaque further lines; ours have none.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def text(self) -> str:
        """The note text that is signed."""
        lines = (self.origin, str(self.size), base64.b64encode(self.root).decode())
        return "\n".join((*lines, *self.extensions)) + "\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Inverse of `text`.

        Raises:
            Malformed: fewer than three lines, an empty one, a size or root of another form.
        """
        lines = text.removesuffix("\n").split("\n")
        if len(lines) < 3 or not all(lines):
            raise Malformed("a checkpoint has three or more lines, none of them empty")
        if _SIZE.fullmatch(lines[1]) is None:
            raise Malformed("the checkpoint's tree size is not a plain decimal number")
        root = unbase64(lines[2])
        if len(root) != 32:
            raise Malformed("the checkpoint's root hash has not 32 bytes")
        return cls(lines[0], int(lines[1]), root, tuple(lines[3:]))


def valid_key_name(name: str) -> bool:
    """Whether signed-note allows `name`: not empty, no Unicode space, no plus, no controls."""
    return bool(name) and not any(c.isspace() or c == "+" or c < " " for c in name)


def _parse_signature(line: str) -> NoteSignature:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space or not valid_key_name(name):
        raise Malformed("a signature line reads — <name> <base64>")
    blob = unbase64(encoded)
    if len(blob) < 5:
        raise Malformed("a signature line is too short")
    return NoteSignature(name, blob[:4], blob[4:])


def unbase64(text: str) -> bytes:
    """The bytes of base64 in its only spelling.

    Raises:
        Malformed: it is not that.
    """
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise Malformed("not base64") from error
    if base64.b64encode(data).decode() != text:
        raise Malformed("not base64 in its only spelling")
    return data
