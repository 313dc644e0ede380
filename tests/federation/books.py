"""What a bank's books say: its privacy ledger, and how long its log is."""

from node.storage import privacy_ledger
from tests.federation.world import Bank


def ledger(bank: Bank) -> list[privacy_ledger.ChargeRow]:
    with bank.node.database.read() as connection:
        return privacy_ledger.charge_lines(connection, bank.member_id)


def leaves(bank: Bank) -> int:
    return bank.node.audit.head().size
