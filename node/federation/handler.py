"""From the stream's bytes to the ClientApp and back."""

from collections.abc import Callable

import structlog

from node.federation.acceptance import Answer
from node.federation.flower import (
    ClientApp,
    Context,
    Error,
    ErrorCode,
    Message,
    ProtoMessage,
    RecordDict,
    enter_run,
    message_from_proto,
    message_to_proto,
)
from protocols.documents import Document
from protocols.errors import CredenceError, Malformed

log = structlog.get_logger(__name__)


class MessageMisdirected(Malformed):
    """A Flower message for another node."""

    code = "message_misdirected"


class ClientAppHandler:
    """Runs one ClientApp in this process, one message after another.

    Args:
        app: the node's ClientApp.
        accept: answers a signed plan.
        refresh_bundle: fetches the bundle in force, when the stream opens.
        remind: takes the newest statement of our ledger that the coordinator has.
    """

    def __init__(
        self,
        app: ClientApp,
        accept: Callable[[Document], Answer],
        refresh_bundle: Callable[[], object],
        remind: Callable[[bytes], None],
    ) -> None:
        self._remind = remind
        self._app = app
        self._accept = accept
        self._refresh_bundle = refresh_bundle
        self._node_id = 0

    def welcomed(self, flower_node_id: int, ledger: bytes) -> None:
        """Take our number, what was kept of our ledger, and a bundle that we missed."""
        self._remind(ledger)
        self._node_id = flower_node_id
        try:
            self._refresh_bundle()
        except CredenceError as error:
            log.info("bundle.not_refreshed", code=error.code)

    def plan(self, document: Document) -> Answer | None:
        """Answer a plan; one that this network did not sign gets no answer."""
        try:
            return self._accept(document)
        except CredenceError as error:
            log.warning("training.plan_unanswered", code=error.code)
            return None

    def message(self, data: bytes) -> bytes | None:
        """Run the app on a message.

        Raises:
            Malformed: the bytes are not a Flower message, or one for another node.
        """
        message = self._read(data)
        about = message.metadata
        enter_run(about.run_id, self._node_id)
        # State would outlive nothing: what must last is in the node's database.
        context = Context(about.run_id, self._node_id, {}, RecordDict(), {})
        try:
            reply = self._app(message, context)
        except Exception as error:  # noqa: BLE001 - the coordinator must not wait for nothing
            # No traceback: its text may quote data, the type does not.
            log.error("training.failed", error=type(error).__name__)  # noqa: TRY400
            failed = Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, CredenceError.code)
            reply = Message(failed, reply_to=message)
        return bytes(message_to_proto(reply).SerializeToString())

    def _read(self, data: bytes) -> Message:
        try:
            message = message_from_proto(ProtoMessage.FromString(data))
        except Exception as error:
            raise Malformed("not a Flower message") from error
        if message.metadata.dst_node_id != self._node_id or not message.has_content():
            raise MessageMisdirected("a message for another node, or without content")
        return message
