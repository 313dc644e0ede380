"""Models that this institution keeps for its own decisions, beside the network's bundles.

A kept model (models/baselines/kept.py) is fitted on the node's consented rows without differential
privacy, so it never leaves and answers nobody outside (ADR 0012). It is used only while
  1. it is signed by this node's own key, as an "own-model", and reads within limits;
  2. the signal catalogue in force is the one it reads;
  3. the shared score that it is blended with is the one in force here;
  4. every consent that it was made under is still in force;
  5. the data life of no exchanged signal that it may have learnt from has run out.
Whatever fails, the model is stale: it decides nothing until it is fitted again. It is not unlearnt:
removing it deletes it whole.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from audit.database import Connection, Database
from audit.leaf import Entry
from audit.store import AuditLog
from models.baselines import kept_form
from models.baselines.kept import SHARED_FUSION, KeptModel, SharedScore, fit_kept
from models.baselines.kept_form import Card
from models.catalogue import Catalogue
from models.encoder import Encoder
from models.evaluate import Scorer
from node.consents.freshness import Freshness
from node.federation.cohort import CohortChanged, Cohorts
from node.scoring.active_model import ActiveModel
from node.storage import bundles
from node.storage import own_models as rows
from node.storage import training_sources as sources
from node.storage.own_models import OwnModelRow
from protocols.errors import CredenceError, NotFound, StateConflict
from protocols.identifiers import new_id
from protocols.keys import SigningKey

DOMAIN = "own-model"
HASH_BYTES = 32
# Why a kept model may not decide, by the check of the module that fails.
UNREADABLE = "unreadable"
CATALOGUE_CHANGED = "catalogue_changed"
SHARED_SCORE_CHANGED = "shared_score_changed"
CONSENTS_ENDED = "consents_ended"
DATA_LIFE_ENDED = "data_life_ended"


class OwnModelUnknown(NotFound):
    """This node keeps no model of that id, or none is in use."""

    code = "own_model_unknown"
    next_step = "See `credence node own-models list HOME`, or keep one with `own-models keep`."


class OwnModelStale(StateConflict):
    """A kept model may not decide any more; the error says why."""

    code = "own_model_stale"
    next_step = (
        "Fit it again: `credence node own-models keep HOME --use`. Decide by the network's score "
        "until then."
    )


class Models(Protocol):
    """The network's models at this node; `node.scoring.active_model.ActiveModel` is one."""

    def get(self, connection: Connection, version: str | None = None) -> Scorer:
        """The scorer of the bundle in force; raises `NoModel`."""
        ...


@dataclass(frozen=True)
class Listed:
    """A kept model as it is listed.

    Attributes:
        card: what it says of itself; None: it cannot be read.
        active: whether it is the one for decisions.
        stale: why it may not decide: codes of this module; empty: it may.
        consents_ended: of the consents it was made under.
    """

    model_id: str
    card: Card | None
    active: bool
    stale: tuple[str, ...]
    consents_ended: int

    def to_json(self) -> dict[str, Any]:
        """JSON object."""
        return {
            "model_id": self.model_id,
            "active": self.active,
            "stale": list(self.stale),
            "consents_ended": self.consents_ended,
            "card": None if self.card is None else self.card.to_json(),
        }


class OwnModels:
    """The kept models of one node.

    Args:
        database: the node's.
        audit: its log.
        member_id: this node.
        signing_key: its signing key in force.
        catalogue: the catalogue in force.
        model: the network's models here.
        now_ms: the clock, UTC milliseconds.
    """

    def __init__(
        self,
        *,
        database: Database,
        audit: AuditLog,
        member_id: str,
        signing_key: Callable[[], SigningKey],
        catalogue: Callable[[], Catalogue],
        model: Models | ActiveModel,
        now_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._audit = audit
        self._member_id = member_id
        self._signing_key = signing_key
        self._catalogue = catalogue
        self._model = model
        self._now_ms = now_ms
        self._freshness = Freshness(member_id)

    def keep(self, kind: str = SHARED_FUSION, *, seed: int = 0, use: bool = False) -> Listed:
        """Fit a model on the people whose live `train` consent names this node, and keep it.

        Args:
            kind: one of `models.baselines.kept.KINDS`.
            seed: of folds and fits.
            use: whether to put it in use at once.

        Raises:
            NoModel: a fusion, and no bundle is in force.
            LabelsUnusable: too few consented people with outcomes of a class.
            BaselinesNotInstalled: trees without scikit-learn.
            CohortChanged: a consent, or the model in force, changed meanwhile; nothing is kept.
        """
        encoder = Encoder(self._catalogue())
        cohorts = Cohorts(self._database, self._member_id, encoder, epsilon=0.0)
        cohort = cohorts.freeze(self._now_ms())
        shared = self._shared() if kind == SHARED_FUSION else None
        fitted = fit_kept(encoder, kind, cohort.x, cohort.y, seed, shared)
        with self._database.write() as connection:
            at_ms = self._now_ms()
            cohorts.check(connection, cohort, at_ms)
            if shared is not None and bundles.active_version(connection) != shared.version:
                raise CohortChanged("another model of the network came into force")
            card = Card(
                model_id=new_id("own"),
                kind=kind,
                member_id=self._member_id,
                created_at_ms=at_ms,
                catalogue_version=encoder.catalogue.version,
                catalogue_sha256=encoder.catalogue.sha256,
                shared_version=shared.version if shared else "",
                shared_sha256=shared.tensors_sha256 if shared else "",
                cohort_root=cohort.root.hex(),
                people=kept_form.people_band(cohort.size),
                figures=fitted.figures,
            )
            body, key = kept_form.write(fitted.model, card), self._signing_key()
            row = OwnModelRow(
                model_id=card.model_id,
                body=body,
                signature=key.sign(DOMAIN, body),
                key_id=key.verify_key.key_id,
                consents=cohort.hashes,
                changed_seq=cohort.changed_seq,
                data_until_ms=rows.first_expiry_ms(connection, at_ms),
                active=False,
                created_at_ms=at_ms,
            )
            rows.add(connection, row)
            self._log(connection, "own_model.kept", row.model_id, at_ms, _facts(card))
            if use:
                self._use(connection, row, at_ms)
            return self._listed(connection, rows.find(connection, row.model_id) or row, at_ms)

    def every(self) -> list[Listed]:
        """All kept models, the newest first."""
        with self._database.read() as connection:
            now_ms = self._now_ms()
            return [self._listed(connection, row, now_ms) for row in rows.every(connection)]

    def use(self, model_id: str) -> Listed:
        """Put a kept model in use for this institution's own decisions.

        Raises:
            OwnModelUnknown: there is none of that id.
            OwnModelStale: it may not decide any more.
        """
        with self._database.write() as connection:
            now_ms = self._now_ms()
            row = self._find(connection, model_id)
            self._use(connection, row, now_ms)
            return self._listed(connection, self._find(connection, model_id), now_ms)

    def remove(self, model_id: str) -> None:
        """Delete a kept model; nothing of it stays but the log's entry.

        Raises:
            OwnModelUnknown: there is none of that id.
        """
        with self._database.write() as connection:
            row = self._find(connection, model_id)
            rows.remove(connection, model_id)
            self._log(connection, "own_model.removed", model_id, self._now_ms(),
                      {"in_use": row.active})  # fmt: skip

    def in_use(self, connection: Connection, now_ms: int) -> tuple[KeptModel, Card]:
        """The kept model in use, with which the institution may decide now.

        Raises:
            OwnModelUnknown: none is in use.
            OwnModelStale: it may not decide any more.
        """
        row = rows.in_use(connection)
        if row is None:
            raise OwnModelUnknown("no kept model is in use")
        return self._usable(connection, row, now_ms)

    def _usable(
        self, connection: Connection, row: OwnModelRow, now_ms: int
    ) -> tuple[KeptModel, Card]:
        listed = self._listed(connection, row, now_ms)
        if listed.stale or listed.card is None:
            raise OwnModelStale(f"{row.model_id} may not decide: {', '.join(listed.stale)}")
        shared = self._shared(connection) if listed.card.shared_version else None
        return kept_form.read(row.body, Encoder(self._catalogue()), shared), listed.card

    def _use(self, connection: Connection, row: OwnModelRow, at_ms: int) -> None:
        _, card = self._usable(connection, row, at_ms)
        rows.activate(connection, row.model_id)
        self._log(connection, "own_model.used", row.model_id, at_ms, _facts(card))

    def _listed(self, connection: Connection, row: OwnModelRow, now_ms: int) -> Listed:
        try:
            card = self._verified(row)
        except CredenceError:
            return Listed(row.model_id, None, row.active, (UNREADABLE,), 0)
        ended = self._ended(connection, row, now_ms)
        catalogue = self._catalogue()
        active = bundles.active_version(connection) if card.shared_version else ""
        stale = {
            CATALOGUE_CHANGED: card.catalogue_sha256 != catalogue.sha256,  # 2
            SHARED_SCORE_CHANGED: card.shared_version != active,  # 3
            CONSENTS_ENDED: ended > 0,  # 4
            DATA_LIFE_ENDED: now_ms >= row.data_until_ms,  # 5
        }
        reasons = tuple(name for name, holds in stale.items() if holds)
        return Listed(row.model_id, card, row.active, reasons, ended)

    def _verified(self, row: OwnModelRow) -> Card:
        # 1. Own signature, and that the row is the one that was signed.
        self._signing_key().verify_key.verify(DOMAIN, row.body, row.signature)
        card = kept_form.read_card(row.body)
        if (card.model_id, card.member_id) != (row.model_id, self._member_id):
            raise OwnModelUnknown("the row names another model than was signed")
        return card

    def _ended(self, connection: Connection, row: OwnModelRow, now_ms: int) -> int:
        """How many of the consents it was made under are not in force now."""
        found = sources.train_consents(connection, self._member_id, now_ms)
        fresh = self._freshness.read(connection, found, now_ms)
        live = {
            one.consent_hash
            for one in found
            if (until_ms := fresh.proof(one)) is None or now_ms < until_ms
        }
        hashes = (
            row.consents[start : start + HASH_BYTES]
            for start in range(0, len(row.consents), HASH_BYTES)
        )
        return sum(one not in live for one in hashes)

    def _shared(self, connection: Connection | None = None) -> SharedScore:
        if connection is None:
            with self._database.read() as opened:
                return self._shared(opened)
        return SharedScore.of(self._model.get(connection).bundle)

    def _find(self, connection: Connection, model_id: str) -> OwnModelRow:
        row = rows.find(connection, model_id)
        if row is None:
            raise OwnModelUnknown(f"no model {model_id} is kept here")
        return row

    def _log(
        self,
        connection: Connection,
        kind: str,
        model_id: str,
        at_ms: int,
        facts: dict[str, Any],
    ) -> None:
        entry = Entry(
            kind=kind,
            actor=self._member_id,
            purpose="",
            correlation=model_id,
            payload=facts,
            subject=None,
            at_ms=at_ms,
        )
        self._audit.append(connection, entry)


def _facts(card: Card) -> dict[str, Any]:
    return {
        "kind": card.kind,
        "shared_version": card.shared_version,
        "catalogue_version": card.catalogue_version,
        "cohort_root": card.cohort_root,
    }
