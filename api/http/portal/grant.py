"""Granting a consent in two steps: choose, then read the exact notice and confirm.

Nothing is ticked beforehand. The second page shows the very terms that are signed; who has a
passkey signs with it, others confirm in their session, which has to be a fresh one. Without
JavaScript the account's confirmation is what there is.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response

from api.http.portal.consents import CONSENTS
from api.http.portal.names import MemberNames
from api.http.portal.passkey_choice import Passkeys
from api.http.portal.session import PREFIX, PortalSessions, SecondFactorMissing
from api.http.web.forms import Form, SentForm
from api.http.web.pages import Pages
from api.http.web.routes import page_router, see_other
from consent.artefact import Artefact
from consent.templates import DAY_MS
from node.consents.offers import OfferTerms
from node.consents.personal import (
    AccountProof,
    GrantChoice,
    PasskeyProof,
    PasskeySigner,
    PersonalConsents,
    PreparedExpired,
)
from node.consents.requests import ConsentRequests
from node.people.sessions import Session
from node.storage.consent_requests import StoredRequest
from node.subject_access.choices import Choices, GrantChoices
from protocols.canonical import b64url_decode, b64url_encode
from protocols.errors import InvalidInput, SignatureInvalid

MAX_CHOSEN = 64
MAX_BODY = 24 * 1024
MAX_ASSERTION = 8 * 1024

_WHY: Mapping[type[Exception], str] = {
    PreparedExpired: "expired",
    SignatureInvalid: "passkey",
    SecondFactorMissing: "second_factor",
}

Many = Annotated[list[str], Query(max_length=MAX_CHOSEN)]
Classes = Annotated[list[str], Query(alias="class", max_length=MAX_CHOSEN)]
ConsentId = Annotated[str, Query(max_length=40)]


@dataclass(frozen=True, slots=True)
class Chosen:
    """What was ticked: only what can be chosen is kept."""

    purposes: tuple[str, ...]
    recipients: tuple[str, ...]
    classes: tuple[str, ...]
    days: int
    changes: str = ""

    def query(self) -> str:
        """As the address of the second step has it."""
        pairs = [
            *(("purpose", one) for one in self.purposes),
            *(("recipient", one) for one in self.recipients),
            *(("class", one) for one in self.classes),
            ("days", str(self.days)),
            *([("changes", self.changes)] if self.changes else []),
        ]
        return urlencode(pairs)

    def missing(self) -> list[str]:
        """Which of the questions has no answer."""
        asked = {
            "purposes": self.purposes,
            "recipients": self.recipients,
            "categories": self.classes,
        }
        return [name for name, given in asked.items() if not given]


@dataclass(frozen=True, slots=True)
class Signing:
    """One way to confirm: by a passkey with its options, or by the account."""

    label: str
    body: str
    options: str = ""


@dataclass(frozen=True)
class Grants:
    """What the routes of granting need."""

    pages: Pages
    sessions: PortalSessions
    choices: GrantChoices
    personal: PersonalConsents
    passkeys: Passkeys
    names: MemberNames
    requests: ConsentRequests

    def choose(
        self,
        request: Request,
        session: Session,
        chosen: Chosen,
        *,
        missing: Sequence[str] = (),
        status: int = 200,
    ) -> Response:
        """The first step."""
        offered = self.choices.read(self.pages.language(request, session))
        return self.pages.render(
            request,
            "portal/grant_choose.html",
            session=session,
            status=status,
            offered=offered,
            chosen=chosen,
            missing=missing,
            member_name=self.names.of,
        )

    def confirm(
        self,
        request: Request,
        session: Session,
        choice: GrantChoice,
        back: str,
        asked: StoredRequest | None = None,
    ) -> Response:
        """The second step: prepared once for each way to confirm it."""
        person = session.pseudonym
        account = self.personal.prepare(person, choice, AccountProof(session.method))
        signings = []
        for one in self.passkeys.of(session.account_id):
            prepared = self.personal.prepare(person, choice, PasskeySigner(one.public_key))
            options = self.passkeys.options(prepared.challenge, [one.credential_id])
            signings.append(Signing(one.label, _told(prepared.body), json.dumps(options)))
        return self.pages.render(
            request,
            "portal/grant_confirm.html",
            session=session,
            prepared=account,
            artefact=account.artefact,
            account=Signing("", _told(account.body)),
            signings=signings,
            choice=choice,
            back=back,
            again=back.replace("/confirm?", "/new?"),
            asked=asked,
            member_name=self.names.of,
        )

    def failed(self, request: Request, session: Session, why: str, back: str) -> Response:
        """Nothing was granted: why, and where to go on."""
        return self.pages.render(
            request,
            "portal/grant_failed.html",
            session=session,
            status=403 if why == "second_factor" else 422,
            why=why,
            back=back,
            confirm=f"{PREFIX}/confirm?{urlencode({'next': back})}",
        )


def grant_routes(grants: Grants) -> APIRouter:
    """`/portal/consents/new`, its confirmation, and answers to what was asked for."""
    router = page_router(grants.pages, PREFIX)
    sessions, personal = grants.sessions, grants.personal

    @router.get("/consents/new")
    def new(
        request: Request,
        purpose: Many = [],  # noqa: B006 - FastAPI copies it
        recipient: Many = [],  # noqa: B006
        source_class: Classes = [],  # noqa: B006
        days: int = 0,
        changes: ConsentId = "",
    ) -> Response:
        session = sessions.require(request)
        if changes and not purpose:
            granted = _as_granted(personal.artefact(session.pseudonym, changes))
            return grants.choose(request, session, granted)
        chosen = Chosen(tuple(purpose), tuple(recipient), tuple(source_class), days, changes)
        return grants.choose(request, session, chosen)

    @router.get("/consents/confirm")
    def confirm(
        request: Request,
        purpose: Many = [],  # noqa: B006 - FastAPI copies it
        recipient: Many = [],  # noqa: B006
        source_class: Classes = [],  # noqa: B006
        days: int = 0,
        changes: ConsentId = "",
    ) -> Response:
        session = sessions.require(request)
        language = grants.pages.language(request, session)
        offered = grants.choices.read(language)
        chosen = _kept(offered, purpose, recipient, source_class, days, changes)
        if missing := chosen.missing():
            return grants.choose(request, session, chosen, missing=missing, status=422)
        terms = _terms(chosen, offered, language)
        choice = GrantChoice(terms, changes=changes)
        return grants.confirm(request, session, choice, f"{CONSENTS}/confirm?{chosen.query()}")

    @router.get("/consents/{consent_id}/answer")
    def answer(request: Request, consent_id: str) -> Response:
        session = sessions.require(request)
        asked = personal.artefact(session.pseudonym, consent_id)
        language = grants.pages.language(request, session)
        choice = GrantChoice(_asked_terms(asked, language), request=consent_id)
        waits = grants.requests.find(consent_id)
        return grants.confirm(request, session, choice, f"{CONSENTS}/{consent_id}/answer", waits)

    @router.post("/consents/{consent_id}/refuse")
    def refuse(request: Request, consent_id: str, form: SentForm) -> Response:
        session = sessions.require(request)
        sessions.require_csrf(request, form)
        personal.refuse(session.pseudonym, consent_id)
        return see_other(CONSENTS)

    @router.post("/consents/grant")
    def grant(request: Request, form: SentForm) -> Response:
        session = sessions.require(request)
        sessions.require_csrf(request, form)
        back = _own_page(form)
        try:
            body, proof = _given(sessions, request, form, session, back)
            recorded = personal.grant(session.pseudonym, body, proof)
        except tuple(_WHY) as error:
            return grants.failed(request, session, _WHY[type(error)], back)
        return see_other(f"{CONSENTS}/{recorded.consent_id}?done=granted")

    return router


def _told(body: bytes) -> str:
    return b64url_encode(body)


def _given(
    sessions: PortalSessions, request: Request, form: Form, session: Session, back: str
) -> tuple[bytes, PasskeyProof | AccountProof]:
    body = b64url_decode(form.text("body", max_length=MAX_BODY))
    assertion = form.text("assertion", max_length=MAX_ASSERTION, default="")
    if assertion:
        return body, PasskeyProof(assertion.encode())
    return body, sessions.account_proof(request, session, back)


def _own_page(form: Form) -> str:
    """The page of ours that the form stood on; a form that says otherwise goes to the list."""
    back = form.text("back", max_length=500, default=CONSENTS)
    return back if back.startswith(f"{CONSENTS}/") and "//" not in back else CONSENTS


def _kept(
    offered: Choices,
    purposes: Sequence[str],
    recipients: Sequence[str],
    classes: Sequence[str],
    days: int,
    changes: str,
) -> Chosen:
    kinds = tuple(kind.source_class for kind in offered.kinds)
    return Chosen(
        tuple(one for one in offered.purposes if one in purposes),
        tuple(one for one in offered.recipients if one in recipients),
        tuple(one for one in kinds if one in classes),
        days if days in offered.validities else offered.validities[0],
        changes,
    )


def _terms(chosen: Chosen, offered: Choices, language: str) -> OfferTerms:
    holders = offered.holders_of(frozenset(chosen.classes))
    if not holders:
        raise InvalidInput("nobody keeps the data that was chosen")
    return OfferTerms(
        purposes=chosen.purposes,
        recipients=chosen.recipients,
        holders=holders,
        data_categories=chosen.classes,
        valid_days=chosen.days,
        language=language,
    )


def _asked_terms(asked: Artefact, language: str) -> OfferTerms:
    training: dict[str, Any] = {}
    if asked.training is not None:
        training = {"epsilon": asked.training.epsilon, "delta": asked.training.delta}
    return OfferTerms(
        purposes=asked.purposes,
        recipients=asked.recipient_ids,
        grants=asked.grants,
        holders=asked.holders,
        data_categories=asked.data_categories,
        valid_days=max(1, round((asked.valid_until_ms - asked.valid_from_ms) / DAY_MS)),
        data_life_days=max(1, asked.data_life_s // 86_400),
        max_uses=asked.max_uses,
        language=language,
        jurisdiction=asked.jurisdiction,
        **training,
    )


def _as_granted(artefact: Artefact) -> Chosen:
    days = round((artefact.valid_until_ms - artefact.valid_from_ms) / DAY_MS)
    return Chosen(
        artefact.purposes,
        artefact.recipient_ids,
        artefact.data_categories,
        days,
        artefact.consent_id,
    )
