"""Where the parts of a trustee of pseudonym keys are put together."""

from collections.abc import Callable

from node.enrolment.pseudonym_keys import PseudonymKeys
from node.network.pinned import coordinator_endpoint, directory_key
from node.network.wiring import Network
from node.opening import Opened
from node.trustees import Trustee
from node.trustees.board_client import GrpcKeyBoard
from node.trustees.evaluation import EvaluationService
from node.trustees.participation import Participation
from node.trustees.shares import Shares


def make_trustee(
    opened: Opened, network: Network, pseudonym_keys: PseudonymKeys, clock: Callable[[], int]
) -> Trustee:
    """What one node does for the network's pseudonyms.

    Args:
        opened: its home.
        network: its way to the others.
        pseudonym_keys: those that are believed here.
        clock: UTC milliseconds.
    """
    settings, keys, database, audit = opened.settings, opened.keys, opened.database, opened.audit
    shares = Shares(database, settings.member_id, keys.kek, audit)
    participation = Participation(
        member_id=settings.member_id,
        # What the directory names, at once: the ceremony's other parties read it there.
        signing=lambda: keys.current().signing,
        sealing=lambda: keys.current().sealing,
        directory_key=directory_key(settings),
        directory=network.documents.directory,
        board=GrpcKeyBoard(network.channels, lambda: coordinator_endpoint(settings)),
        keys=pseudonym_keys,
        shares=shares,
        now_ms=clock,
    )
    evaluation = EvaluationService(
        database, audit, pseudonym_keys, shares, settings.evaluation_quota, clock
    )
    return Trustee(participation, evaluation)
