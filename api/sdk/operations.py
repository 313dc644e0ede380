"""Which function makes which operation of the API, by operationId."""

from collections.abc import Callable, Mapping
from typing import Any

from api.sdk import calls

OPERATIONS: Mapping[str, Callable[..., Any]] = {
    "createScore": calls.create_score,
    "getScore": calls.get_score,
    "recomputeScore": calls.recompute_score,
    "getAdverseAction": calls.adverse_action,
    "createScoreRequest": calls.create_score_request,
    "getScoreRequest": calls.get_score_request,
    "cancelScoreRequest": calls.cancel_score_request,
    "createBatch": calls.create_batch,
    "getBatch": calls.get_batch,
    "getBatchResults": calls.batch_results,
    "cancelBatch": calls.cancel_batch,
    "getLogReceipt": calls.log_receipt,
    "getLogCheckpoint": calls.log_checkpoint,
    "getInclusionProof": calls.inclusion_proof,
    "getConsistencyProof": calls.consistency_proof,
    "getLogLeaves": calls.log_leaves,
    "getLogLeaf": calls.log_leaf,
    "createMonitor": calls.create_monitor,
    "getMonitor": calls.get_monitor,
    "endMonitor": calls.end_monitor,
    "listMonitorEvents": calls.list_monitor_events,
    "reportOutcome": calls.report_outcome,
    "getOutcome": calls.get_outcome,
    "createWebhookEndpoint": calls.create_webhook_endpoint,
    "listWebhookEndpoints": calls.list_webhook_endpoints,
    "getWebhookEndpoint": calls.get_webhook_endpoint,
    "updateWebhookEndpoint": calls.update_webhook_endpoint,
    "deleteWebhookEndpoint": calls.delete_webhook_endpoint,
    "rotateWebhookKey": calls.rotate_webhook_key,
    "testWebhookEndpoint": calls.test_webhook_endpoint,
    "replayWebhooks": calls.replay_webhooks,
    "listWebhookDeliveries": calls.list_webhook_deliveries,
}
