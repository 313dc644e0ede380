"""The portal's first page: what waits for the person, and who may use their data."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from api.http.portal.names import MemberNames
from api.http.portal.session import PREFIX, PortalSessions
from api.http.web.formats import day_text
from api.http.web.pages import Pages
from api.http.web.routes import page_router, see_other
from consent.rights import Freeze, has_ended
from node.people.sessions import Session
from node.rights.service import RightsService
from node.subject_access.access_log import AccessLog
from node.subject_access.consents import RUNNING, WAITING, OwnConsents
from node.subject_access.scores import OwnScores

_SHOWN = 5
_LOOKS = 3


@dataclass(frozen=True, slots=True)
class HomeNotice:
    """Something of another room that waits for the person: in words, and where it is decided."""

    words: str
    address: str


@dataclass(frozen=True, slots=True)
class _Stopping:
    consent_id: str
    missing: int


Notices = Callable[[Request, Session], Sequence[HomeNotice]]


def rights_notices(pages: Pages, rights: RightsService) -> Notices:
    """What waits of a person's rights: a freeze that lasts, answers that are due."""

    def notices(request: Request, session: Session) -> Sequence[HomeNotice]:
        person, at = session.pseudonym, f"{PREFIX}/rights"
        found = []
        if rights.person.frozen(person).state is Freeze.FROZEN:
            found.append(HomeNotice(pages.say(request, "home.frozen", session), at))
        language = pages.language(request, session)
        for one in rights.person.of_person(person):
            if not has_ended(one.kind, one.state) and len(found) < _SHOWN:
                due = day_text(one.due_at_ms, language)
                words = pages.say(
                    request, "home.request", session, institution=pages.institution, day=due
                )
                found.append(HomeNotice(words, f"{at}/requests/{one.request_id}"))
        return found

    return notices


def home_routes(
    pages: Pages,
    sessions: PortalSessions,
    own: OwnConsents,
    scores: OwnScores,
    log: AccessLog,
    names: MemberNames,
    notices: Notices,
) -> APIRouter:
    """`/portal/`."""
    router = page_router(pages, PREFIX)

    @router.get("")
    def bare() -> Response:
        return see_other(f"{PREFIX}/")

    @router.get("/")
    def home(request: Request) -> Response:
        session = sessions.require(request)
        person = session.pseudonym
        running = own.page(person, RUNNING, limit=_SHOWN)
        newest = scores.newest(session.subject_ref, 1)
        counts = own.counts(person)
        return pages.render(
            request,
            "portal/home.html",
            session=session,
            waiting=own.page(person, WAITING, limit=_SHOWN).cards,
            stopping=[_Stopping(one, missing) for one, missing in own.stopping(person).items()],
            notices=notices(request, session),
            running=running.cards,
            more=running.older is not None,
            running_count=sum(counts.get(state, 0) for state in RUNNING),
            score=newest[0] if newest else None,
            looks=log.page(person, limit=_LOOKS).entries,
            member_name=names.of,
        )

    return router
