"""The federation's apps on Flower's own engines: the simulation engine, and a stock SuperLink.

Whatever imports this package reports nothing to anybody: Flower reads these variables when it is
imported itself, and its processes inherit them.
"""

import os

for _name, _value in (
    ("FLWR_TELEMETRY_ENABLED", "0"),
    ("FLWR_DISABLE_UPDATE_CHECK", "1"),
    ("RAY_USAGE_STATS_ENABLED", "0"),
    # One thread for each node: a step is small, and many nodes share the machine.
    ("OMP_NUM_THREADS", "1"),
    ("OPENBLAS_NUM_THREADS", "1"),
):
    os.environ.setdefault(_name, _value)
