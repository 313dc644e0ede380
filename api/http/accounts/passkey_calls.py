"""What the pages' script calls around a passkey: JSON in and out, problem documents on failure."""

import json
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from api.http.accounts.face import Face, RawBody
from api.http.web.headers import PAGE_HEADERS
from node.people.factors import MAX_LABEL
from protocols.canonical import parse_json
from protocols.errors import Malformed
from protocols.passkeys import MAX_DEPTH, MAX_RESPONSE_BYTES


def passkey_calls(face: Face) -> APIRouter:
    """The router of a face."""
    router = APIRouter(prefix=face.prefix, include_in_schema=False)
    people = face.people

    @router.post("/sign-in/passkey/options")
    def sign_in_options(request: Request) -> Response:
        """The same for everybody: nobody has been named."""
        holder = face.require_before(request, "")
        return _json(people.sign_in.passkey_options(face.realm, holder))

    @router.post("/sign-in/passkey")
    def sign_in(request: Request, body: RawBody) -> Response:
        """Sign in; where to go then."""
        holder = face.require_before(request, "")
        browser = face.browser(request)
        token = people.sign_in.with_passkey(face.realm, holder, body, browser)
        to = face.next_page(request.query_params.get("next", ""))
        return face.enter(_json({"next": to}), token)

    @router.post("/confirm/passkey/options")
    def confirm_options(request: Request) -> Response:
        """Show again who one is."""
        session = face.calling(request)
        return _json(people.sign_in.passkey_options(face.realm, session.session_id))

    @router.post("/confirm/passkey")
    def confirm(request: Request, body: RawBody) -> Response:
        """With a passkey of the same account."""
        session = face.calling(request)
        token = people.sign_in.with_passkey(
            face.realm,
            session.session_id,
            body,
            face.browser(request),
            only=session.account_id,
        )
        to = face.next_page(request.query_params.get("next", ""))
        return face.enter(_json({"next": to}), token)

    @router.post("/enrol/passkey/options")
    def enrol_options(request: Request) -> Response:
        """Make a passkey."""
        session = face.calling(request, fresh=True)
        return _json(people.factors.passkey_options(session))

    @router.post("/enrol/passkey")
    def enrol(request: Request, body: RawBody) -> Response:
        """Keep it; the call is `{"label": ..., "credential": ...}`."""
        session = face.calling(request, fresh=True)
        label, credential = _named(body)
        changed = people.factors.add_passkey(session, credential, label, face.browser(request))
        return face.enter(_json({"next": f"{face.prefix}/security"}), changed.token)

    return router


def _named(body: bytes) -> tuple[str, bytes]:
    call = parse_json(body, max_bytes=MAX_RESPONSE_BYTES, max_depth=MAX_DEPTH + 1)
    label = call.get("label") if isinstance(call, dict) else None
    credential = call.get("credential") if isinstance(call, dict) else None
    if not isinstance(label, str) or not isinstance(credential, dict):
        raise Malformed("the call is not a label and a credential")
    if not label.isprintable() or len(label) > MAX_LABEL:
        raise Malformed(f"a label is up to {MAX_LABEL} printable characters")
    return label.strip(), json.dumps(credential).encode()


def _json(content: dict[str, Any]) -> Response:
    return JSONResponse(content, headers=dict(PAGE_HEADERS))
