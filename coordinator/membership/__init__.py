"""Who is in the network: invitations, joining, standing, keys, and the directory that says so.

A change of membership, the next version of the directory and the audit leaf are one transaction.
"""

from coordinator.membership.authority import ACTOR, Authority, Endpoints
from coordinator.membership.joining import JoinAttempt, Joined
from coordinator.membership.overview import MemberView
from coordinator.membership.renewal import Renewed, RotationAttempt
from coordinator.membership.service import Membership

__all__ = [
    "ACTOR",
    "Authority",
    "Endpoints",
    "JoinAttempt",
    "Joined",
    "MemberView",
    "Membership",
    "Renewed",
    "RotationAttempt",
]
