"""The way into the regulator's console of the network: a link once, a passkey from then on."""

import json
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from api.http.accounts.face import RawBody
from api.http.accounts.site import safe_next
from api.http.regulator.network_session import NetworkReaders
from api.http.regulator.reader import FACE, PREFIX
from api.http.web.headers import PAGE_HEADERS
from api.http.web.pages import Pages
from api.http.web.routes import page_router, see_other
from node.people.secrets import new_token
from node.people.sessions import csrf_token
from protocols.canonical import b64url_encode, parse_json
from protocols.errors import Malformed
from protocols.passkeys import MAX_DEPTH, MAX_RESPONSE_BYTES

MAX_TOKEN = 64


def network_sign_in_routes(pages: Pages, readers: NetworkReaders, command: str) -> list[APIRouter]:
    """`/regulator/sign-in` and `/regulator/enrol`, pages and calls.

    Args:
        pages: templates.
        readers: the sessions.
        command: what the operator types for a link.
    """
    return [_pages(pages, readers, command), _calls(readers)]


def _pages(pages: Pages, readers: NetworkReaders, command: str) -> APIRouter:
    router = page_router(pages, PREFIX, face=FACE)

    @router.get("/sign-in")
    def sign_in(request: Request) -> Response:
        """One button; without an account, how to get one."""
        to = safe_next(request.query_params.get("next", ""), PREFIX)
        if readers.find(request) is not None:
            return see_other(to)
        holder = readers.holder(request) or b64url_encode(new_token())
        page = pages.render(
            request, "regulator/sign_in.html", face=FACE, csrf=csrf_token(holder), next_page=to,
            command=command,
        )  # fmt: skip
        readers.keep_holder(page, holder)
        return page

    @router.get("/enrol")
    def enrol(request: Request) -> Response:
        """The page that a link leads to; it spends nothing."""
        link = request.query_params.get("token", "")[:MAX_TOKEN]
        row = readers.access.offered(link)
        return pages.render(
            request, "regulator/enrol.html", face=FACE, status=200 if row else 422,
            row=row, link=link, csrf="",
        )  # fmt: skip

    return router


def _calls(readers: NetworkReaders) -> APIRouter:
    router = APIRouter(prefix=PREFIX, include_in_schema=False)
    access = readers.access

    @router.post("/sign-in/passkey/options")
    def sign_in_options(request: Request) -> Response:
        """The same for everybody."""
        return _json(access.sign_in_options(_holder(readers, request)))

    @router.post("/sign-in/passkey")
    def sign_in(request: Request, body: RawBody) -> Response:
        """Sign in; where to go then."""
        holder = _holder(readers, request)
        token = access.sign_in(holder, body, readers.site.address(request))
        to = safe_next(request.query_params.get("next", ""), PREFIX)
        return readers.enter(_json({"next": to}), token)

    @router.post("/enrol/passkey/options")
    def enrol_options(request: Request) -> Response:
        """Make a passkey; the link says whose."""
        readers.site.require_own(request)
        return _json(access.enrol_options(_link(request)))

    @router.post("/enrol/passkey")
    def enrol(request: Request, body: RawBody) -> Response:
        """Keep it and spend the link; the call is `{"label": ..., "credential": ...}`."""
        readers.site.require_own(request)
        label, credential = _named(body)
        return readers.enter(
            _json({"next": f"{PREFIX}/"}), access.enrol(_link(request), credential, label)
        )

    return router


def _holder(readers: NetworkReaders, request: Request) -> str:
    holder = readers.holder(request)
    readers.site.require_token(request, holder, "")
    return holder or ""


def _link(request: Request) -> str:
    return request.query_params.get("token", "")[:MAX_TOKEN]


def _named(body: bytes) -> tuple[str, bytes]:
    call = parse_json(body, max_bytes=MAX_RESPONSE_BYTES, max_depth=MAX_DEPTH + 1)
    label = call.get("label") if isinstance(call, dict) else None
    credential = call.get("credential") if isinstance(call, dict) else None
    if not isinstance(label, str) or not isinstance(credential, dict) or not label.isprintable():
        raise Malformed("the call is not a label and a credential")
    return label.strip(), json.dumps(credential).encode()


def _json(content: dict[str, Any]) -> Response:
    return JSONResponse(content, headers=dict(PAGE_HEADERS))
