"""Training campaigns: Flower's apps and strategies over our own long-lived streams.

Flower's telemetry and update check are turned off here, before anything imports it.
"""

import os

os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
os.environ["FLWR_DISABLE_UPDATE_CHECK"] = "1"
