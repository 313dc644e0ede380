"""The gRPC face of the holder's side: a stream of deliveries in, signed acknowledgements out.

Deliveries are taken as they come and stored many at a time: what has arrived while the last batch
was being written makes the next one, so a caller that sends one and waits is answered at once and
one that sends thousands pays for few transactions.
"""

import queue
import threading
from collections.abc import Callable, Iterator

import grpc

from consent.artefact import MAX_JWS_BYTES
from consent.delivery import Acknowledgement, Delivery, Kind
from consent.status_list import MAX_ENTRIES
from node.consents.service import ConsentService
from node.network.transport import peer_member
from protocols.errors import Malformed
from protocols.v1.exchange_pb2 import ConsentAcknowledgement, ConsentDelivery
from protocols.v1.exchange_pb2_grpc import ConsentsServicer

MAX_BATCH = 256
MAX_DELIVERY_ID = 40
IDLE_S = 30.0  # a stream that brings nothing for so long is over


class ConsentServer(ConsentsServicer):
    """Answers `Deliver`; behind a `MemberGate`, so that the caller is an active member."""

    def __init__(
        self, service: ConsentService, arrived: Callable[[str], None] = lambda _: None
    ) -> None:
        """Serve `service`; `arrived` hears of each member that has delivered."""
        self._service = service
        self._arrived = arrived

    def Deliver(  # noqa: N802 - the name in the .proto
        self, request_iterator: Iterator[ConsentDelivery], context: grpc.ServicerContext
    ) -> Iterator[ConsentAcknowledgement]:
        """One acknowledgement for each delivery, in order."""
        peer = peer_member(context)
        for batch in _batches(request_iterator):
            deliveries = [delivery_from_proto(message) for message in batch]
            answers = self._service.receive(peer, deliveries)
            self._arrived(peer)
            for message, answer in zip(batch, answers, strict=True):
                yield _to_proto(message.delivery_id, answer)


class _Feed:
    """What a stream has brought so far; a thread of its own reads ahead, at most two batches."""

    def __init__(self, source: Iterator[ConsentDelivery]) -> None:
        self._source = source
        self._queue: queue.Queue[ConsentDelivery | None] = queue.Queue(2 * MAX_BATCH)
        self._closed = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._read, name="consents-feed", daemon=True)
        self._thread.start()

    def next_batch(self) -> list[ConsentDelivery]:
        """Waits for one delivery, then takes what else is there; empty: the stream has ended."""
        batch: list[ConsentDelivery] = []
        try:
            message = self._queue.get(timeout=IDLE_S)
        except queue.Empty:
            return batch
        while message is not None:
            batch.append(message)
            if len(batch) == MAX_BATCH:
                return batch
            try:
                message = self._queue.get_nowait()
            except queue.Empty:
                return batch
        self._queue.put(None)  # the end stays the end
        if not batch and self._failure is not None:
            raise self._failure
        return batch

    def close(self) -> None:
        """Let the reading thread go."""
        self._closed.set()

    def _read(self) -> None:
        try:
            for message in self._source:
                if not self._put(message):
                    return
        except Exception as error:  # noqa: BLE001 - raised again where the batches are taken
            self._failure = error
        self._put(None)

    def _put(self, message: ConsentDelivery | None) -> bool:
        while not self._closed.is_set():
            try:
                self._queue.put(message, timeout=0.5)
            except queue.Full:
                continue
            return True
        return False


def _batches(source: Iterator[ConsentDelivery]) -> Iterator[list[ConsentDelivery]]:
    feed = _Feed(source)
    try:
        while batch := feed.next_batch():
            yield batch
    finally:
        feed.close()


def delivery_from_proto(message: ConsentDelivery) -> Delivery:
    """A delivery as it came, within its sizes.

    Raises:
        Malformed: it is none.
    """
    if not 1 <= len(message.delivery_id) <= MAX_DELIVERY_ID:
        raise Malformed("a delivery has an id of 1 to 40 characters")
    kind = message.WhichOneof("event")
    if kind is None:
        raise Malformed("a delivery holds an artefact or an event")
    data = message.artefact if kind == "artefact" else message.withdrawal
    if len(data) > MAX_JWS_BYTES:
        raise Malformed("a delivery is larger than a consent can be")
    if kind != "artefact":
        return Delivery(Kind.EVENT, data)
    index = message.status_index if message.HasField("status_index") else None
    if index is not None and index >= MAX_ENTRIES:
        raise Malformed("a status index beyond the largest list")
    return Delivery(Kind.ARTEFACT, data, index)


def _to_proto(delivery_id: str, answer: Acknowledgement) -> ConsentAcknowledgement:
    return ConsentAcknowledgement(
        delivery_id=delivery_id,
        refusal=answer.refusal,
        effective_at_ms=answer.effective_at_ms,
        signature=answer.signature,
        deletion=answer.deletion,
    )
