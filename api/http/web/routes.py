"""Routes of pages: an error of one is a page too, with its code, what it means and what to do."""

import traceback
from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from api.http.problems import STATUS, request_id_of
from api.http.web.headers import PAGE_HEADERS
from api.http.web.pages import Pages
from protocols.errors import CredenceError

_log = structlog.get_logger(__name__)
_BY_STATUS = {404: "not_found", 405: "invalid", 413: "invalid", 415: "invalid"}


class SeeOther(Exception):
    """Raised in a route: go to another address instead (303)."""

    def __init__(self, location: str) -> None:
        super().__init__(location)
        self.location = location


def see_other(location: str) -> Response:
    """After a form: look at the result with a GET, so that reloading does not send it again."""
    return RedirectResponse(location, status_code=303, headers=dict(PAGE_HEADERS))


def page_router(pages: Pages, prefix: str, *, face: str = "portal") -> APIRouter:
    """A router whose errors are pages of `face`, below `prefix`."""

    class PageRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def guarded(request: Request) -> Response:
                try:
                    return await handle(request)
                except SeeOther as elsewhere:
                    return see_other(elsewhere.location)
                except CredenceError as error:
                    return error_page(pages, request, error, face=face)
                except RequestValidationError:
                    return _plain_page(pages, request, 400, "invalid", face)
                except HTTPException as error:
                    category = _BY_STATUS.get(error.status_code, "invalid")
                    return _plain_page(pages, request, error.status_code, category, face)
                except Exception as error:  # noqa: BLE001 - the last net: a page, not a broken tab
                    _log_failure(request, error)
                    return _plain_page(pages, request, 500, "internal", face)

            return guarded

    return APIRouter(prefix=prefix, route_class=PageRoute, include_in_schema=False)


def error_page(
    pages: Pages, request: Request, error: CredenceError, *, face: str = "portal"
) -> Response:
    """`error` as a page.

    The words are those of `errors.CODE` where a locale has them, else of the error's category. An
    error's own message is for clients and operators, and stays out.
    """
    status = STATUS[error.category]
    if status == 500:
        _log.error("http.internal_error", request_id=request_id_of(request), code=error.code)
    language = pages.language(request)
    known = pages.texts.has(language, f"errors.{error.code}")
    key = error.code if known else error.category
    return _page(pages, request, status, key, error.code, face)


def _plain_page(pages: Pages, request: Request, status: int, category: str, face: str) -> Response:
    return _page(pages, request, status, category, category, face)


def _page(pages: Pages, request: Request, status: int, key: str, code: str, face: str) -> Response:
    return pages.render(
        request,
        "error.html",
        status=status,
        face=face,
        key=key,
        code=code,
        request_id=request_id_of(request),
        home=f"/{face}/",
    )


def _log_failure(request: Request, error: Exception) -> None:
    # Class and places only: a message may quote what a database was asked to store.
    frames = traceback.extract_tb(error.__traceback__)
    _log.error(
        "http.failed",
        request_id=request_id_of(request),
        error=type(error).__name__,
        at=[f"{frame.name}:{frame.lineno}" for frame in frames][-6:],
    )
