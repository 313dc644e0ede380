"""The regulator's console of a node: one institution."""

from fastapi import APIRouter

from api.http.accounts.site import Site
from api.http.desk.session import DeskSessions
from api.http.portal.names import MemberNames
from api.http.regulator.export import export_routes
from api.http.regulator.incidents import incident_routes
from api.http.regulator.institution import institution_routes
from api.http.regulator.log import log_routes
from api.http.regulator.person import person_routes
from api.http.regulator.room import Room, sign_out_routes
from api.http.regulator.staff import StaffReaders
from api.http.web.pages import Pages
from audit.oversight import Oversight
from node.oversight.disclosures import Disclosures
from node.oversight.reader import InstitutionReader
from node.parts import Node
from node.retention.wiring import retention_of

REGISTERS = (
    ("consents.csv", "consents"),
    ("days.csv", "days"),
    ("requests.csv", "requests"),
    ("epsilon.csv", "epsilon"),
    ("incidents.csv", "incidents"),
)


def institution_console(node: Node, pages: Pages, site: Site) -> list[APIRouter]:
    """The routes of `/regulator/` at a node."""
    clock = node.rights.clock
    policy = node.witnessing.keeper.policy
    oversight = Oversight(node.database, node.audit, lambda: node.keys.signing, clock, policy)
    room = Room(
        pages=pages,
        readers=StaffReaders(DeskSessions(node.people.sessions, site), node.people.sessions),
        oversight=oversight,
        place="regulator",
        member_name=MemberNames(node.documents.directory).of,
    )
    settings = node.settings
    institution = InstitutionReader(settings.max_epsilon, settings.max_epsilon_alone)
    return [
        sign_out_routes(room),
        institution_routes(room, institution, retention_of(node)),
        log_routes(room),
        person_routes(room, Disclosures(oversight)),
        incident_routes(room),
        export_routes(room, REGISTERS),
    ]
