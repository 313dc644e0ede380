"""The training stream: what its Flower messages carry, and how their bytes are cut and joined.

A message of the stream is a Flower `Message` as protobuf bytes, cut into `FlowerPart`s of at most
1 MiB, so that a heartbeat never waits behind a model. Parts of one message arrive in order, index
0, 1, 2 ..., the final one marked `last`; parts of different messages may interleave. Anything else
is malformed, and the stream that carried it is closed.

Rounds of a campaign: 0 is the cohort count at acceptance, 1..R are the training steps, R+1 is the
evaluation. One (campaign, round) is charged once at a node.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from protocols.errors import Malformed
from protocols.v1.federation_pb2 import FlowerPart

PROTOCOL = 1  # Hello.protocol

# Names of the records and keys inside a Flower message.
MODEL = "model"  # ArrayRecord, weights by tensor name, float32
PREVIOUS = "previous."  # before the names of the tensors of a version to compare with
ROUND = "round"  # ConfigRecord with the next three keys
CAMPAIGN_ID = "campaign_id"  # str
ROUND_NUMBER = "number"  # int
PLAN_SHA256 = "plan_sha256"  # bytes, of the signed plan's body
UPDATE = "update"  # ArrayRecord with one int64 array under the same name
LEDGER = "ledger"  # MetricRecord with the next key
EPSILON = "epsilon"  # float, the node's ledger after this round
LEDGER_STATEMENT = "ledger_statement"  # ConfigRecord with BODY: protocols/ledger_statement.py
BUNDLE = "bundle"  # ConfigRecord with the next key, in message type BUNDLE_QUERY
VERSION = "version"  # str
BUNDLE_QUERY = "query.bundle"  # "a bundle is published: ask for the newest release"

# Secure aggregation (docs/adr/0006). A masked UPDATE is uint8[n, bytes of the ring], with:
MASK = "mask"  # ConfigRecord with the next two keys
CONTEXT = "context"  # bytes, the round the masks are bound to
MASK_PARTS = "parts"  # bytes, joined: salt, commitment, pairs' commitments, wrapped seeds
MASKING = "masking"  # ConfigRecord with the campaign's keys above and the next two
STEP = "step"  # str, one of the next
BODY = "body"  # bytes, the step's parts, joined (protocols.masking.wire)
MASKING_QUERY = "query.masking"
KEYS_STEP = "keys"  # nothing -> the signed announcement
ROSTER_STEP = "roster"  # all announcements -> the signed part of the joint seed
DEAL_STEP = "deal"  # all parts of the seed -> the signed deal
START_STEP = "start"  # dealers, the deals of the neighbours -> neighbours with bad shares
VIEW_STEP = "view"  # a view -> SIGNED and the signature, or OTHER and the view signed before
UNMASK_STEP = "unmask"  # the view, its signatures -> the seeds of its self mask and absent pairs
STAND_IN_STEP = "stand_in"  # view, signatures, salts of the silent -> parts of their values
SIGNED = b"signed"
OTHER = b"other"


class PartsRefused(Malformed):
    """Parts of a message are out of order, too large or too many."""

    code = "parts_refused"


@dataclass(frozen=True)
class StreamLimits:
    """What one stream may hold, before anything is parsed.

    Attributes:
        piece_bytes: longest part.
        message_bytes: longest joined message.
        open_messages: messages of one stream that may be incomplete at a time.
        message_id_chars: longest message id.
    """

    piece_bytes: int = 1 << 20
    message_bytes: int = 32 << 20
    open_messages: int = 4
    message_id_chars: int = 64


DEFAULT_LIMITS = StreamLimits()


def cut(
    message_id: str, data: bytes, limits: StreamLimits = DEFAULT_LIMITS
) -> Iterator[FlowerPart]:
    """The parts of `data`, in order; an empty message is one empty part."""
    size = limits.piece_bytes
    count = max(1, -(-len(data) // size))
    for index in range(count):
        piece = data[index * size : (index + 1) * size]
        yield FlowerPart(message_id=message_id, index=index, last=index == count - 1, data=piece)


@dataclass
class Joiner:
    """Joins the parts of one stream's messages."""

    limits: StreamLimits = DEFAULT_LIMITS
    _open: dict[str, list[bytes]] = field(default_factory=dict)

    def add(self, part: FlowerPart) -> bytes | None:
        """Take one part.

        Returns:
            The whole message when `part` was its last, otherwise None.

        Raises:
            PartsRefused: the part is out of order or passes a limit.
        """
        limits = self.limits
        if not 1 <= len(part.message_id) <= limits.message_id_chars:
            raise PartsRefused("a part names no message, or too long a one")
        if len(part.data) > limits.piece_bytes:
            raise PartsRefused(f"a part is longer than {limits.piece_bytes} bytes")
        if not part.data and not part.last:
            raise PartsRefused("a part is empty")
        pieces = self._open.get(part.message_id, [])
        if part.index != len(pieces):
            raise PartsRefused(f"part {part.index} came where part {len(pieces)} was due")
        if sum(map(len, pieces)) + len(part.data) > limits.message_bytes:
            raise PartsRefused(f"a message is longer than {limits.message_bytes} bytes")
        if part.last:
            self._open.pop(part.message_id, None)
            return b"".join([*pieces, part.data])
        if not pieces and len(self._open) >= limits.open_messages:
            raise PartsRefused(f"more than {limits.open_messages} messages are incomplete")
        self._open.setdefault(part.message_id, pieces).append(part.data)
        return None
