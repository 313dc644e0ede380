"""What a lender has to tell a person whom it refused, or offered worse terms, by a score.

Regulation B, 12 CFR 1002.9(b)(2): the specific principal reasons; FCRA 615(a), 15 U.S.C. 1681m: the
score, its range, its date, the key factors, who furnished it, the rights to a copy and to dispute;
Personal Information Protection Law, article 24: an explanation, and review by a person. This is the
data of a notice; who made the decision writes and sends it, and adds its own name and date.
"""

from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from typing import Any

import yaml

from audit.database import Database
from audit.store import AuditLog
from models.exclusions import exclusion_text
from models.reasons import LANGUAGES, reason_text
from node.scoring.reading import Found, ScoreReader, check_alive, looked
from protocols.directory import Directory, UnknownMember
from protocols.errors import InvalidInput

KIND = "score.adverse_action"
TEXTS = ("decision", "right_to_dispute", "how_to_dispute", "human_review")
_CONSULTED = frozenset({"own", "cached", "fetched"})


class AdverseActions:
    """Makes the data of notices; thread-safe."""

    def __init__(
        self,
        *,
        member_id: str,
        database: Database,
        audit: AuditLog,
        reader: ScoreReader,
        directory: Callable[[], Directory],
        now_ms: Callable[[], int],
    ) -> None:
        self._member_id = member_id
        self._database = database
        self._audit = audit
        self._reader = reader
        self._directory = directory
        self._now_ms = now_ms

    def notice(self, score_id: str, client_id: str, language: str) -> dict[str, Any]:
        """The data of a notice about a score that this client was given; logged as a reading.

        Args:
            score_id: the score that the decision rests on.
            client_id: who made the decision.
            language: of the texts, one of `models.reasons.LANGUAGES`.

        Raises:
            InvalidInput: no such language.
            ScoreUnknown: none by that id was given to this client.
            ScoreExpired: its life is over; the notice is written when the decision is made.
            ReleaseRefused: the consent is not in force any more.
        """
        if language not in LANGUAGES:
            raise InvalidInput(f"a language is one of {', '.join(LANGUAGES)}")
        with self._database.write(parallel=True) as connection:
            now_ms = self._now_ms()
            found = self._reader.find(connection, score_id, client_id, now_ms)
            check_alive(found, now_ms)
            submitted = self._audit.submit(connection, [looked(KIND, found, now_ms)])
        self._audit.wait(submitted)
        return self._told(found, language)

    def _told(self, found: Found, language: str) -> dict[str, Any]:
        answer, directory = found.scored.answer, self._directory()
        excluded = answer["exclusion"]
        asked = [_source(directory, one) for one in answer["coverage"]]
        own = directory.member(self._member_id)
        return {
            "score_id": found.row.score_id,
            "language": language,
            "score": answer["score"],
            "scale": answer["scale"],
            "scored_at_ms": answer["issued_at_ms"],
            "reasons": [
                {
                    "code": one["code"],
                    "family": one["family"],
                    "text": reason_text(one["code"], language),
                }
                for one in answer["reasons"]
            ],
            "exclusion": excluded
            and {"code": excluded["code"], "text": exclusion_text(excluded["code"], language)},
            "furnished_by": {"member_id": own.member_id, "name": own.name, "contact": own.contact},
            "sources": [one for one in asked if one["status"] in _CONSULTED],
            "not_consulted": [one for one in asked if one["status"] not in _CONSULTED],
            "disputes": answer["disputes"],
            "versions": answer["versions"],
            "texts": {
                name: _texts()[name][language].format(institution=own.name) for name in TEXTS
            },
        }


def _source(directory: Directory, coverage: Mapping[str, Any]) -> dict[str, Any]:
    member_id = coverage["source"]
    try:
        entry = directory.member(member_id)
        name, contact = entry.name, entry.contact
    except UnknownMember:
        name, contact = member_id, ""
    return {
        "member_id": member_id,
        "name": name,
        "contact": contact,
        "status": coverage["status"],
        "code": coverage["code"],
    }


@cache
def _texts() -> Mapping[str, Mapping[str, str]]:
    text = resources.files("node.scoring").joinpath("notices.yaml").read_text(encoding="utf-8")
    loaded: dict[str, dict[str, str]] = yaml.safe_load(text)
    return loaded
