"""Everything about a person in one file, as JSON or as CSV (PIPL article 45, GDPR article 20)."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from audit.database import Database
from audit.leaf import Entry
from audit.store import AuditLog
from node.subject_access.access_log import AccessLog
from node.subject_access.holdings import HeldClass, Holdings, HoldingsReader
from node.subject_access.scores import OwnScore, OwnScores

EXPORT_FORMAT = "credence.subject-export/1"
CSV_HEADER = ("part", "source", "item", "status", "value", "unit", "at", "purpose", "kept_until")
_ALL = 1_000_000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

Records = Callable[[str], Mapping[str, list[dict[str, Any]]]]
"""customer id -> the institution's own records about them, by table."""


@dataclass(frozen=True, slots=True)
class Export:
    """What is held, ready to be written.

    Attributes:
        institution: legal name of the member.
        made_at_ms: when.
        holdings: figures.
        scores: all that were given out.
        consents: receipts with their artefacts.
        access: the log's entries.
        records: the institution's own records, by table.
    """

    institution: str
    made_at_ms: int
    holdings: Holdings
    scores: list[OwnScore]
    consents: list[dict[str, Any]]
    access: list[dict[str, Any]]
    records: Mapping[str, list[dict[str, Any]]]


class SubjectExports:
    """Puts together everything held about one person."""

    def __init__(
        self,
        *,
        institution: str,
        holdings: HoldingsReader,
        scores: OwnScores,
        access: AccessLog,
        records: Records,
        database: Database,
        audit: AuditLog,
        clock: Callable[[], int],
    ) -> None:
        self._institution = institution
        self._holdings = holdings
        self._scores = scores
        self._access = access
        self._records = records
        self._database = database
        self._audit = audit
        self._clock = clock

    def make(self, pseudonym: bytes, consents: list[dict[str, Any]]) -> Export:
        """The export of one person; that it was taken is logged, for them to see.

        Args:
            pseudonym: the person, 32 bytes.
            consents: their consents as JSON, from the room that keeps them.

        Raises:
            UnknownSubject: nobody has this pseudonym here.
        """
        holdings = self._holdings.read(pseudonym)
        self._log(pseudonym)
        return Export(
            institution=self._institution,
            made_at_ms=self._clock(),
            holdings=holdings,
            scores=self._scores.newest(holdings.subject.subject_ref, _ALL),
            consents=consents,
            access=[asdict(entry) for entry in self._access.everything(pseudonym)],
            records=self._records(holdings.subject.customer_id),
        )

    def _log(self, pseudonym: bytes) -> None:
        entry = Entry(
            kind="access.exported",
            actor="subject",
            purpose="access",
            correlation="",
            payload={"format": EXPORT_FORMAT},
            subject=pseudonym,
            at_ms=self._clock(),
        )
        with self._database.write() as connection:
            self._audit.append(connection, entry)


def to_json(export: Export) -> bytes:
    """The whole export, indented, in UTF-8."""
    subject = export.holdings.subject
    body = {
        "format": EXPORT_FORMAT,
        "institution": export.institution,
        "made_at": _iso(export.made_at_ms),
        "person": {
            "subject_ref": subject.subject_ref,
            "customer_id": subject.customer_id,
            "pseudonym": subject.pseudonym.hex(),
            "known_since": _iso(subject.enrolled_at_ms),
        },
        "figures": [_class_json(one) for one in export.holdings.classes],
        "outcome": export.holdings.outcome,
        "records": dict(export.records),
        "scores": [dict(one.answer) for one in export.scores],
        "consents": export.consents,
        "access_log": export.access,
    }
    return json.dumps(body, ensure_ascii=False, indent=2, default=str).encode()


def to_csv(export: Export) -> bytes:
    """Every value on a line of its own, in UTF-8 with a byte order mark, for a spreadsheet."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(CSV_HEADER)
    writer.writerows([_safe(cell) for cell in row] for row in _rows(export))
    return b"\xef\xbb\xbf" + stream.getvalue().encode()


def _rows(export: Export) -> Iterator[tuple[object, ...]]:
    yield from _person(export)
    for held in export.holdings.classes:
        kept = "" if held.expires_at_ms is None else _iso(held.expires_at_ms)
        for one in held.figures:
            value = "" if one.value is None else one.value
            yield ("figure", held.source_name, one.signal_id, one.status, value, one.unit,
                   _iso(held.as_of_ms), held.purpose, kept)  # fmt: skip
    for table, rows in export.records.items():
        for number, row in enumerate(rows, 1):
            for name, value in row.items():
                yield ("record", export.institution, f"{table}.{number}.{name}", "", value,
                       "", "", "", "")  # fmt: skip
    for score in export.scores:
        answer = score.answer
        points = "" if answer["score"] is None else answer["score"]
        what = answer["band"] or answer["exclusion"]
        yield ("score", export.institution, score.score_id, what["code"], points, "points",
               _iso(score.at_ms), answer["purpose"], _iso(answer["expires_at_ms"]))  # fmt: skip
    for consent in export.consents:
        yield ("consent", export.institution, consent.get("record_id", ""),
               consent.get("state", ""), "", "", "", "", "")  # fmt: skip
    for entry in export.access:
        yield ("access", entry["actor_name"], f"{entry['kind']} {entry['seq']}", entry["refusal"],
               entry["peer_name"], "", _iso(entry["at_ms"]), entry["purpose"], "")  # fmt: skip


def _person(export: Export) -> Iterator[tuple[object, ...]]:
    subject = export.holdings.subject
    since = _iso(subject.enrolled_at_ms)
    for name in ("subject_ref", "customer_id"):
        yield ("person", export.institution, name, "", getattr(subject, name), "", since, "", "")
    yield ("person", export.institution, "pseudonym", "", subject.pseudonym.hex(), "", since,
           "", "")  # fmt: skip
    if export.holdings.outcome is not None:
        yield ("person", export.institution, "outcome", "", export.holdings.outcome, "", "",
               "train", "")  # fmt: skip


def _class_json(held: HeldClass) -> dict[str, Any]:
    return {
        "source": held.source,
        "source_name": held.source_name,
        "class": held.source_class,
        "purpose": held.purpose,
        "as_of": _iso(held.as_of_ms),
        "consent_id": held.consent_id,
        "kept_until": None if held.expires_at_ms is None else _iso(held.expires_at_ms),
        "figures": [asdict(one) for one in held.figures],
    }


def _safe(cell: object) -> object:
    """A text that a spreadsheet would run as a formula becomes one that it shows."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
