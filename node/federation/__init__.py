"""Training at this node: a long-lived worker that answers the coordinator's rounds.

Light on purpose: the serving process imports this to supervise the worker and must not load torch.
Flower's telemetry and update check are turned off here, before anything imports it.
"""

import os

os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
os.environ["FLWR_DISABLE_UPDATE_CHECK"] = "1"
