"""This node as a trustee of pseudonym keys: takes part in ceremonies, evaluates for members."""

from dataclasses import dataclass

from node.trustees.evaluation import EvaluationService
from node.trustees.participation import Participation


@dataclass(frozen=True)
class Trustee:
    """What a node does for the network's pseudonyms.

    Attributes:
        participation: makes keys together with the other trustees.
        evaluation: applies this node's share to what members ask for.
    """

    participation: Participation
    evaluation: EvaluationService
