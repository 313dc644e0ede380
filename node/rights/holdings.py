"""What a node has of a person outside the room of rights, for a deletion to reach."""

from dataclasses import dataclass
from pathlib import Path

from audit.database import Connection
from node.people.accounts import Accounts


@dataclass(frozen=True, slots=True)
class NodeHoldings:
    """Accounts of people, and the institution's records.

    Attributes:
        accounts: of the portal.
        records: directory of the records.
    """

    accounts: Accounts
    records: Path

    def close_account(self, connection: Connection, subject_ref: str) -> None:
        """Close the person's portal account and end its sessions."""
        self.accounts.close_person(connection, subject_ref)

    def forget_records(self, customer_id: str) -> None:
        """Drop the institution's records of a customer.

        Raises:
            RecordsUnwritable: they cannot be replaced.
        """
        # pyarrow takes a moment to load; only a deletion needs it.
        from node.records.store import RecordStore

        RecordStore(self.records).forget(customer_id)
