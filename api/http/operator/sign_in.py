"""The way into the console and out of it.

A link opens a page with one button; the button spends the link. So whatever follows links by itself
(a chat's preview, a browser that loads ahead) does not use it up.
"""

from fastapi import APIRouter, Request, Response

from api.http.accounts.site import agent_label
from api.http.operator.commands import Commands
from api.http.operator.session import PREFIX, OperatorSessions
from api.http.web.forms import SentForm
from api.http.web.pages import Pages
from api.http.web.routes import page_router, see_other
from coordinator.browser_tokens import ConsoleAttemptsExceeded
from coordinator.console.access import SESSION_MS, ConsoleLinkRefused

MAX_TOKEN = 64
REFUSED = 422  # 401 would ask the browser for credentials of its own


def sign_in_routes(pages: Pages, sessions: OperatorSessions, commands: Commands) -> APIRouter:
    """`/operator/sign-in`, `/operator/enter`, `/operator/sign-out`."""
    router = page_router(pages, PREFIX, face="operator")

    def page(request: Request, token: str, failed: str = "", status: int = 200) -> Response:
        return pages.render(
            request,
            "operator/sign_in.html",
            status=status,
            face="operator",
            token=token[:MAX_TOKEN],
            failed=failed,
            command=commands.console(),
        )

    @router.get("/sign-in")
    def how(request: Request) -> Response:
        """How to get in."""
        found = sessions.find(request)
        return page(request, "") if found is None else see_other(f"{PREFIX}/")

    @router.get("/enter")
    def offered(request: Request) -> Response:
        """The page that a link leads to; it spends nothing."""
        return page(request, request.query_params.get("token", ""))

    @router.post("/enter")
    def enter(request: Request, form: SentForm) -> Response:
        """Spend the link."""
        sessions.site.require_own(request)
        token = form.text("token", max_length=MAX_TOKEN, default="")
        address = sessions.site.address(request)
        agent = agent_label(request.headers.get("user-agent", ""))
        try:
            opened = sessions.access.enter(token, address, agent)
        except ConsoleLinkRefused:
            return page(request, "", "refused", REFUSED)
        except ConsoleAttemptsExceeded:
            answer = page(request, "", "limited", 429)
            answer.headers["Retry-After"] = "900"
            return answer
        response = see_other(f"{PREFIX}/")
        sessions.cookie.write(response, opened, SESSION_MS // 1000)
        return response

    @router.post("/sign-out")
    def sign_out(request: Request, form: SentForm) -> Response:
        """End this session."""
        sessions.require_csrf(request, form)
        token = sessions.cookie.read(request)
        if token is not None:
            sessions.access.sign_out(token)
        response = see_other(f"{PREFIX}/sign-in")
        sessions.cookie.clear(response)
        return response

    return router
