"""A node small enough for a test: real database, real log, real store, in a directory."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from audit.database import Database
from audit.shredding import DataKeys
from audit.store import AuditLog
from models.catalogue import Catalogue, load_default
from node.ingest import IngestService
from node.records.store import RecordStore
from node.storage import outcomes, signals, subjects
from node.storage.schema import ensure_schema
from protocols.legal_ids import check_digit
from tests.trustees import make_trustees

NOW_MS = 1_760_000_000_000
MEMBER = "bank-a"
LOCAL_KEY = b"l" * 32

HEADERS = {
    "customers": ["customer_id", "identifier"],
    "accounts": ["customer_id", "account_id", "opened_on", "credit_limit", "currency"],
    "statements": ["customer_id", "account_id", "month", "status", "billed", "paid"],
    "public_records": ["customer_id", "kind", "amount", "filed_on", "closed_on"],
    "outcomes": ["customer_id", "defaulted", "observed_on"],
}


def identifier(number: int) -> str:
    body = f"990101{19700101 + number % 28}{number % 1000:03d}"
    return body + check_digit(body)


def to_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue().encode()


def write_tables(directory: Path, **tables: Iterable[Sequence[object]]) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        (directory / f"{name}.csv").write_bytes(to_csv(HEADERS[name], rows))
    return directory


def bank_tables() -> dict[str, list[list[object]]]:
    """Three customers: one good, one late, one without an outcome."""
    months = ["2025-04", "2025-05", "2025-06"]
    statuses = {"c1": "NCC", "c2": "N12", "c3": "***"}
    return {
        "customers": [["c1", identifier(1)], ["c2", identifier(2)], ["c3", identifier(3)]],
        "accounts": [[c, "card", "2020-01-31", 50_000, "CNY"] for c in statuses],
        "statements": [
            [c, "card", month, code, "", ""]
            for c, codes in statuses.items()
            for month, code in zip(months, codes, strict=True)
        ],
        "outcomes": [["c1", 0, "2025-07-31"], ["c2", 1, "2025-07-31"]],
    }


class World:
    """One node's ingest, and what stands in its database afterwards."""

    def __init__(self, home: Path, catalogue: Catalogue | None = None) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        self.database = Database(f"sqlite:///{home}/node.db")
        self.keys_database = Database(f"sqlite:///{home}/datakeys.db")
        ensure_schema(self.database)
        data_keys = DataKeys(self.keys_database, b"k" * 32)
        self.audit = AuditLog("credence.test/bank-a", self.database, data_keys, b"i" * 32)
        self.trustees = make_trustees()
        self.pseudonyms = self.trustees.service(self.database, LOCAL_KEY)
        self.store = RecordStore(home / "records")
        self.service = IngestService(
            member_id=MEMBER,
            database=self.database,
            audit=self.audit,
            pseudonyms=self.pseudonyms,
            catalogue=catalogue or load_default(),
            store=self.store,
        )

    def fingerprint(self) -> dict[str, object]:
        """Everything an ingest may change: rows, log, files (content, not times)."""
        with self.database.read() as connection:
            found: dict[str, object] = {
                "subjects": subjects.all_subjects(connection),
                "signals": signals.of_source(connection, MEMBER, signals.OWN, NOW_MS),
                "outcomes": outcomes.labels(connection),
                "head": self.audit.head(connection),
            }
        files = sorted(self.home.glob("**/*.parquet")) + sorted(self.home.glob(".records-*"))
        found["files"] = {
            str(path.relative_to(self.home)): path.read_bytes() if path.is_file() else b""
            for path in files
        }
        return found

    def close(self) -> None:
        self.database.close()
        self.keys_database.close()
