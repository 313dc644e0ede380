"""My score: value, band, what raised and lowered it, what was not looked at."""

import csv
import io

from fastapi import APIRouter, Request, Response

from api.http.portal.names import MemberNames
from api.http.portal.session import PREFIX, PortalSessions
from api.http.web.charts import Gauge, bars, gauge
from api.http.web.headers import PAGE_HEADERS
from api.http.web.pages import Pages
from api.http.web.routes import page_router
from node.subject_access.scores import OwnScore, OwnScores

_LEAST_POINTS = 1.0
_CONSULTED = ("own", "cached", "fetched")


def score_routes(
    pages: Pages, sessions: PortalSessions, scores: OwnScores, names: MemberNames
) -> APIRouter:
    """`/portal/score` and its numbers as CSV."""
    router = page_router(pages, PREFIX)

    @router.get("/score")
    def score(request: Request) -> Response:
        session = sessions.require(request)
        found = scores.newest(session.subject_ref)
        if not found:
            return pages.render(request, "portal/score.html", session=session, score=None)
        newest, *earlier = found
        answer = newest.answer
        moved = bars(
            [
                (str(one["family"]), float(one["points"]))
                for one in answer["factors"]
                if abs(one["points"]) >= _LEAST_POINTS
            ]
        )
        return pages.render(
            request,
            "portal/score.html",
            session=session,
            score=newest,
            answer=answer,
            gauge=None if answer["score"] is None else _gauge(newest),
            raised=[bar for bar in moved if bar.points > 0],
            lowered=[bar for bar in moved if bar.points < 0],
            consulted=[one for one in answer["coverage"] if one["status"] in _CONSULTED],
            silent=[one for one in answer["coverage"] if one["status"] not in _CONSULTED],
            member_name=names.of,
            client_name=scores.client_name(newest.client_id),
            expired=scores.is_expired(newest),
            earlier=earlier,
        )

    @router.get("/score.csv")
    def numbers(request: Request) -> Response:
        session = sessions.require(request)
        body = _csv(scores.newest(session.subject_ref, 1))
        name = 'attachment; filename="score.csv"'
        headers = {**PAGE_HEADERS, "Content-Disposition": name}
        return Response(body, media_type="text/csv; charset=utf-8", headers=headers)

    return router


def _gauge(score: OwnScore) -> Gauge:
    answer = score.answer
    return gauge(
        answer["score"],
        answer["scale"]["low"],
        answer["scale"]["high"],
        answer["band"]["code"],
        [(band.code, band.floor) for band in score.bands],
    )


def _csv(found: list[OwnScore]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(["item", "points"])
    for one in found:
        writer.writerow(["score", one.answer["score"]])
        writer.writerows([factor["family"], factor["points"]] for factor in one.answer["factors"])
    return stream.getvalue()
