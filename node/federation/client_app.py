"""The node's Flower ClientApp: a thin face on the trainer.

A refusal travels as a Flower error whose reason is a stable code and nothing else. The same app
runs under Flower's simulation engine: it needs no more than a message and a context.
"""

from collections.abc import Callable

import numpy as np
import structlog
from numpy.typing import NDArray

from node.federation.flower import (
    ArrayRecord,
    ClientApp,
    ConfigRecord,
    Context,
    Error,
    ErrorCode,
    FlowerArray,
    Message,
    MetricRecord,
    RecordDict,
)
from node.federation.masking import Masking, MaskingRequest
from node.federation.trainer import Request, Result, Trainer
from protocols import federation as names
from protocols.errors import CredenceError, Malformed
from protocols.masking.wire import Masked
from protocols.tensors import model_sha256, tensor_bytes

log = structlog.get_logger(__name__)

BUNDLE_ACTION = names.BUNDLE_QUERY.split(".")[1]
MASKING_ACTION = names.MASKING_QUERY.split(".")[1]


def build_client_app(
    trainer: Trainer,
    masking: Masking,
    follow: Callable[[], str],
    statement: Callable[[], bytes],
) -> ClientApp:
    """The app of one node.

    Args:
        trainer: what it does in a round.
        masking: its part in secure aggregation.
        follow: does what the network's newest release says; gives the active version, or "".
        statement: signs where the ledger stands, before a result leaves.
    """
    app = ClientApp()

    def _sent(act: Callable[[Request], Result], request: Request) -> RecordDict:
        # No model and no cohort is looked at before there are masks for the result.
        campaign = trainer.campaign(request)
        if not campaign.plan.aggregation.masked:
            return _stated(_result(act(request)))
        masking.require_ready(campaign)
        result = act(request)
        model_hash = model_sha256(request.model)
        masked = masking.mask(campaign, request.number, model_hash, result.values)
        return _stated(_masked(masked, result))

    def _stated(content: RecordDict) -> RecordDict:
        content[names.LEDGER_STATEMENT] = ConfigRecord({names.BODY: statement()})
        return content

    @app.train()
    def train(message: Message, context: Context) -> Message:  # noqa: ARG001 - Flower's signature
        return _answered(message, lambda: _sent(trainer.train, _request(message)))

    @app.evaluate()
    def evaluate(message: Message, context: Context) -> Message:  # noqa: ARG001
        return _answered(message, lambda: _sent(trainer.evaluate, _request(message)))

    @app.query(MASKING_ACTION)
    def agree(message: Message, context: Context) -> Message:  # noqa: ARG001
        def answered() -> RecordDict:
            body = masking.answer(_masking_request(message))
            return RecordDict({names.MASKING: ConfigRecord({names.BODY: body})})

        return _answered(message, answered)

    @app.query(BUNDLE_ACTION)
    def bundle(message: Message, context: Context) -> Message:  # noqa: ARG001
        def followed() -> RecordDict:
            # The message says that there is news; what to answer with, the signed release says.
            return RecordDict({names.BUNDLE: ConfigRecord({names.VERSION: follow()})})

        return _answered(message, followed)

    return app


def _answered(message: Message, act: Callable[[], RecordDict]) -> Message:
    try:
        return Message(act(), reply_to=message)
    except CredenceError as error:
        log.warning("training.refused", type=message.metadata.message_type, code=error.code)
        return Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, error.code), reply_to=message)


def _request(message: Message) -> Request:
    config = _config(message, names.ROUND)
    number, digest = config.get(names.ROUND_NUMBER), config.get(names.PLAN_SHA256)
    model = message.content.get(names.MODEL)
    if type(number) is not int or not isinstance(digest, bytes):
        raise Malformed("a round names its number and the hash of its plan")
    if not isinstance(model, ArrayRecord):
        raise Malformed("a round carries a model")
    return Request(
        campaign_id=_text(config, names.CAMPAIGN_ID),
        number=number,
        plan_sha256=digest,
        model={name: array.data for name, array in model.items()},
    )


def _masking_request(message: Message) -> MaskingRequest:
    config = _config(message, names.MASKING)
    digest, body = config.get(names.PLAN_SHA256), config.get(names.BODY)
    if not isinstance(digest, bytes) or not isinstance(body, bytes):
        raise Malformed("a step of secure aggregation has the hash of its plan and a body")
    return MaskingRequest(
        step=_text(config, names.STEP),
        campaign_id=_text(config, names.CAMPAIGN_ID),
        plan_sha256=digest,
        body=body,
    )


def _masked(masked: Masked, result: Result) -> RecordDict:
    mask = {names.CONTEXT: masked.context, names.MASK_PARTS: masked.parts()}
    return RecordDict(
        {
            names.UPDATE: ArrayRecord({names.UPDATE: _array(masked.octets)}),
            names.MASK: ConfigRecord({**mask}),
            names.LEDGER: MetricRecord({names.EPSILON: result.epsilon}),
        }
    )


def _result(result: Result) -> RecordDict:
    return RecordDict(
        {
            names.UPDATE: ArrayRecord({names.UPDATE: _array(result.values)}),
            names.LEDGER: MetricRecord({names.EPSILON: result.epsilon}),
        }
    )


def _array(values: NDArray[np.int64] | NDArray[np.uint8]) -> FlowerArray:
    return FlowerArray(
        str(values.dtype), tuple(values.shape), "numpy.ndarray", tensor_bytes(values)
    )


def _config(message: Message, name: str) -> ConfigRecord:
    config = message.content.get(name)
    if not isinstance(config, ConfigRecord):
        raise Malformed(f"the message has no record {name!r}")
    return config


def _text(config: ConfigRecord, key: str) -> str:
    value = config.get(key)
    if not isinstance(value, str) or not 1 <= len(value) <= 40:
        raise Malformed(f"{key!r} must be text of 1 to 40 characters")
    return value
