"""What members said of their privacy ledgers: kept, and handed back when they attach.

A result counts only with a statement, signed by its member, of a ledger that is no shorter than
the one it stated before: a node that was put back is found out here too, and its result is left
out. The statement is kept before the result is used.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from audit.database import Database
from coordinator.storage import member_ledgers as rows
from protocols.directory import Directory
from protocols.errors import CredenceError
from protocols.keys import VerifyKey
from protocols.ledger_statement import read_statement

log = structlog.get_logger(__name__)

ROLLED_BACK = "ledger_rolled_back"


@dataclass(frozen=True)
class MemberLedgers:
    """The statements of all members.

    Attributes:
        database: the coordinator's.
        directory: the member directory in force.
        now_ms: the clock, UTC milliseconds.
    """

    database: Database
    directory: Callable[[], Directory]
    now_ms: Callable[[], int]

    def kept(self, member_id: str) -> bytes:
        """The member's newest statement; empty: none."""
        with self.database.read() as connection:
            found = rows.find(connection, member_id)
        return b"" if found is None else found[1]

    def take(self, statements: Mapping[str, bytes]) -> dict[str, str]:
        """Verify and keep statements by member id; the code of each that does not count."""
        refused: dict[str, str] = {}
        directory = self.directory()
        with self.database.write() as connection:
            for member_id, data in sorted(statements.items()):
                try:
                    key = VerifyKey(directory.active_member(member_id).signing_key)
                    charges = read_statement(data, key, member_id).charges
                except CredenceError as error:
                    refused[member_id] = error.code
                    continue
                before = rows.find(connection, member_id)
                if before is not None and charges < before[0]:
                    refused[member_id] = ROLLED_BACK
                    continue
                rows.keep(connection, member_id, charges, data, self.now_ms())
        for member_id, code in refused.items():
            log.warning("ledger.statement_refused", member=member_id, code=code)
        return refused
