"""A node's own rules about model versions, and what it saw when it compared two of them.

Nothing here is about a person: a comparison is counts and sums over all of them.
"""

from sqlalchemy import BigInteger, Column, Float, Integer, String, Table

from node.storage.tables import metadata

model_rule = Table(
    "model_rule",
    metadata,
    Column("version", String(40), primary_key=True),
    Column("rule", String(16), nullable=False),  # pinned (one at most) | refused
    Column("why", String(200), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)

# What a challenger would have said, against what was answered.
model_comparison = Table(
    "model_comparison",
    metadata,
    Column("version", String(40), primary_key=True),  # that answered
    Column("challenger", String(40), primary_key=True),
    Column("count", Integer, nullable=False),
    Column("failed", Integer, nullable=False),  # the challenger could not score
    Column("pd_difference", Float, nullable=False),  # sums; challenger less the answer
    Column("points_difference", Float, nullable=False),
    Column("points_distance", Float, nullable=False),  # sum of absolute differences
    Column("better_band", Integer, nullable=False),
    Column("worse_band", Integer, nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
)
