"""Stopping a consent, in one step, and taking it up again.

Stopping asks for no more than being signed in: it is never harder than granting. Taking up again
gives something away: what a passkey granted, that passkey resumes; what was confirmed in the
account, a session that is fresh.
"""

import json
from dataclasses import dataclass
from typing import Literal

from fastapi import APIRouter, Request, Response

from api.http.portal.consents import CONSENTS
from api.http.portal.passkey_choice import Passkeys
from api.http.portal.session import PREFIX, PortalSessions
from api.http.web.forms import SentForm
from api.http.web.pages import Pages
from api.http.web.routes import page_router, see_other
from consent.authority import ACCOUNT, BRANCH, PASSKEY
from consent.lifecycle import Event, State
from node.consents.personal import AccountProof, PasskeyProof, PersonalConsents
from node.people.sessions import Session
from node.subject_access.consents import ConsentDetail
from protocols.canonical import b64url_decode, b64url_encode

MAX_BODY = 24 * 1024
MAX_ASSERTION = 8 * 1024


@dataclass(frozen=True, slots=True)
class Resuming:
    """How a paused consent is taken up again.

    Attributes:
        by: `session`, `passkey`, or `key`: one that the portal does not have.
        body: what the passkey signs, base64url.
        options: for `navigator.credentials.get`, JSON.
    """

    by: Literal["session", "passkey", "key"]
    body: str = ""
    options: str = ""


class Resumptions:
    """Says how a consent of a person can be resumed."""

    def __init__(self, personal: PersonalConsents, passkeys: Passkeys) -> None:
        self._personal = personal
        self._passkeys = passkeys

    def of(self, session: Session, detail: ConsentDetail) -> Resuming | None:
        """How; None: it is not paused."""
        if detail.state is not State.PAUSED:
            return None
        method = detail.artefact.auth_method
        if method in {ACCOUNT, BRANCH}:
            return Resuming("session")
        key = detail.artefact.subject_key
        credential = self._passkeys.credential_of(session.account_id, key)
        if method != PASSKEY or credential is None:
            return Resuming("key")
        prepared = self._personal.prepare_event(session.pseudonym, detail.consent_id, Event.RESUME)
        options = self._passkeys.options(prepared.challenge, [credential])
        return Resuming("passkey", b64url_encode(prepared.body), json.dumps(options))


def change_routes(pages: Pages, sessions: PortalSessions, personal: PersonalConsents) -> APIRouter:
    """What is posted below `/portal/consents/ID`."""
    router = page_router(pages, PREFIX)

    @router.post("/consents/{consent_id}/withdraw")
    def withdraw(request: Request, consent_id: str, form: SentForm) -> Response:
        session = sessions.require(request)
        sessions.require_csrf(request, form)
        personal.withdraw(session.pseudonym, consent_id, AccountProof(session.method))
        return see_other(f"{CONSENTS}/{consent_id}/withdrawal")

    @router.post("/consents/{consent_id}/pause")
    def pause(request: Request, consent_id: str, form: SentForm) -> Response:
        session = sessions.require(request)
        sessions.require_csrf(request, form)
        personal.pause(session.pseudonym, consent_id, AccountProof(session.method))
        return see_other(f"{CONSENTS}/{consent_id}?done=paused")

    @router.post("/consents/{consent_id}/resume")
    def resume(request: Request, consent_id: str, form: SentForm) -> Response:
        session = sessions.require(request)
        sessions.require_csrf(request, form)
        assertion = form.text("assertion", max_length=MAX_ASSERTION, default="")
        if assertion:
            body = b64url_decode(form.text("body", max_length=MAX_BODY))
            personal.apply(session.pseudonym, body, PasskeyProof(assertion.encode()))
        else:
            proof = sessions.account_proof(request, session, f"{CONSENTS}/{consent_id}")
            personal.resume(session.pseudonym, consent_id, proof)
        return see_other(f"{CONSENTS}/{consent_id}?done=resumed")

    return router
