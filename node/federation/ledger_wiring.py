"""Where the parts around a node's privacy ledger are put together; this loads no torch."""

import time

from models.privacy.accountant import Accountant
from models.privacy.budget import Budget
from node.federation.ledger import PrivacyLedger
from node.federation.ledger_guard import LedgerGuard
from node.federation.ledger_recovery import LedgerRecovery
from node.federation.watch import WatchPolicy
from node.parts import Node


def build_ledger(node: Node, accountant: Accountant) -> PrivacyLedger:
    """The ledger of the node's people.

    Args:
        node: an opened node.
        accountant: for the ledger's thread alone.
    """
    settings = node.settings
    budget = Budget(settings.max_epsilon, settings.delta)
    # All subjects of a node are one population: a person's loss is that of all campaigns together.
    return PrivacyLedger(node.member_id, budget, accountant, settings.max_epsilon_alone)


def build_guard(node: Node) -> LedgerGuard:
    """Watches that ledger."""
    return LedgerGuard(
        home=node.home,
        database=node.database,
        audit=node.audit,
        member_id=node.member_id,
        signing=lambda: node.keys.signing,
        kek=node.keys.kek,
        now_ms=lambda: int(time.time() * 1000),
    )


def build_watch_policy(node: Node, accountant: Accountant) -> WatchPolicy:
    """What the node lets itself be asked when a model is watched."""
    settings = node.settings
    return WatchPolicy(
        database=node.database,
        population=node.member_id,
        max_epsilon=settings.max_watch_epsilon,
        delta=settings.delta,
        accountant=accountant,
    )


def build_recovery(node: Node) -> LedgerRecovery:
    """Gives up the budget of a ledger that is lost."""
    ledger, guard = build_ledger(node, Accountant()), build_guard(node)
    return LedgerRecovery(node.database, node.audit, node.member_id, ledger, guard)
