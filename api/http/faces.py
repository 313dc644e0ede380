"""The pages of a node, as routers for `api.http.app.create_app`."""

from fastapi import APIRouter, Response
from starlette.exceptions import HTTPException

from api.http.accounts.site import Site
from api.http.desk.rights import desk_rights_routes
from api.http.desk.session import DeskSessions
from api.http.desk.sign_in import desk_account_routes
from api.http.docs import docs_routes
from api.http.portal.access import access_routes
from api.http.portal.consent_changes import Resumptions, change_routes
from api.http.portal.consents import consent_routes
from api.http.portal.data import data_routes
from api.http.portal.grant import Grants, grant_routes
from api.http.portal.home import home_routes, rights_notices
from api.http.portal.names import MemberNames
from api.http.portal.passkey_choice import Passkeys
from api.http.portal.rights import rights_routes
from api.http.portal.score import score_routes
from api.http.portal.session import PortalSessions
from api.http.portal.sign_in import portal_account_routes
from api.http.portal.what_if import what_if_routes
from api.http.regulator.node import institution_console
from api.http.web.language import Texts
from api.http.web.pages import Pages
from api.http.web.routes import page_router
from api.http.web.static_files import StaticFiles
from node.parts import Node
from node.subject_access.wiring import subject_access


def faces_of(node: Node) -> list[APIRouter]:
    """The portal and the desk of `node`, and the files their pages link to."""
    static_files = StaticFiles.load()
    pages = Pages(node.settings.name, texts=Texts.load(), static_files=static_files)
    site = Site(node.people.origins, node.people.proxies)
    return [
        static_files.routes(),
        *portal_account_routes(node.people, PortalSessions(node.people.sessions, site), pages),
        *desk_account_routes(node.people, DeskSessions(node.people.sessions, site), pages),
        *_portal(node, pages, PortalSessions(node.people.sessions, site)),
        desk_rights_routes(
            pages,
            DeskSessions(node.people.sessions, site),
            node.rights,
            MemberNames(node.documents.directory),
            node.rights.clock,
        ),
        *institution_console(node, pages, site),
        docs_routes(pages),
        # Last: what no page answers.
        *(_nothing_else(pages, face) for face in ("portal", "desk", "regulator", "docs")),
    ]


def _portal(node: Node, pages: Pages, sessions: PortalSessions) -> list[APIRouter]:
    room = subject_access(node)
    names = MemberNames(node.documents.directory)
    personal = node.personal_consents()
    waiting = rights_notices(pages, node.rights)
    passkeys = Passkeys(node.database, node.people.relying_party)
    return [
        home_routes(pages, sessions, room.consents, room.scores, room.log, names, waiting),
        # Before those of one consent: `new` and `confirm` are no ids.
        grant_routes(
            Grants(
                pages=pages,
                sessions=sessions,
                choices=room.choices,
                personal=personal,
                passkeys=passkeys,
                names=names,
                requests=node.consents.requests,
            )
        ),
        change_routes(pages, sessions, personal),
        consent_routes(pages, sessions, room.consents, names, Resumptions(personal, passkeys).of),
        access_routes(pages, sessions, room.log),
        score_routes(pages, sessions, room.scores, names),
        what_if_routes(pages, sessions, node.around_scores.what_if),
        rights_routes(pages, sessions, node.rights, names, node.rights.clock),
        data_routes(pages, sessions, room.holdings, room.exports, room.consents.export),
    ]


def _nothing_else(pages: Pages, face: str) -> APIRouter:
    router = page_router(pages, f"/{face}", face=face)

    @router.api_route("/{rest:path}", methods=["GET", "POST"])
    def nothing() -> Response:
        """A page, not a problem document, for an address that leads nowhere."""
        raise HTTPException(404)

    return router
