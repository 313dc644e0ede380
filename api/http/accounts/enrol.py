"""Add what opens an account: a passkey, or a password with an authenticator app."""

import io

from fastapi import APIRouter, Request, Response
from markupsafe import Markup

from api.http.accounts.face import Face
from api.http.web.forms import SentForm
from node.people.factors import CodeRefused
from node.people.password_rules import MAX_CHARACTERS, MIN_CHARACTERS, PasswordRefused
from node.people.sessions import Session, StaffSession
from node.people.tickets import MAX_CHARACTERS as MAX_TICKET
from protocols.errors import InvalidInput

QR_MODULE = 4  # pixels a module of the code
QR_TONE = "#1b1f24"


def add_enrol(router: APIRouter, face: Face) -> None:
    """Add the pages to a router of the face."""
    factors = face.people.factors

    @router.get("/enrol")
    def enrol_page(request: Request) -> Response:
        """The choice."""
        session = face.changing(request, f"{face.prefix}/enrol")
        return face.page(
            request, "accounts/enrol.html", session, has_password=factors.of(session).has_password
        )

    @router.get("/enrol/password")
    def password_page(request: Request) -> Response:
        """A new password, and the seed for an authenticator app."""
        session = face.changing(request, f"{face.prefix}/enrol/password")
        return _password(face, request, session)

    @router.post("/enrol/password")
    def set_password(request: Request, form: SentForm) -> Response:
        """Keep both; the recovery codes are shown once."""
        session = face.changing(request, f"{face.prefix}/enrol/password")
        face.sessions.require_csrf(request, form)
        ticket = form.text("ticket", max_length=MAX_TICKET)
        password = form.text("password", max_length=4 * MAX_CHARACTERS, default="")
        try:
            if password != form.text("repeated", max_length=4 * MAX_CHARACTERS, default=""):
                return _password(face, request, session, ticket, failed="repeated")
            changed = factors.set_password(
                session,
                ticket,
                password,
                form.text("code", max_length=20, default=""),
                face.browser(request),
            )
        except PasswordRefused:
            return _password(face, request, session, ticket, failed=_weakness(password))
        except CodeRefused:
            return _password(face, request, session, ticket, failed="code")
        return codes_page(face, request, changed.recovery_codes, changed.token)


def codes_page(
    face: Face, request: Request, codes: tuple[str, ...], token: str | None = None
) -> Response:
    """New recovery codes, shown this once.

    Args:
        face: where.
        request: the call it answers.
        codes: the codes.
        token: of the session from now on, when it is a new one.
    """
    response = face.pages.render(
        request, "accounts/codes.html", face=face.realm, prefix=face.prefix, codes=codes
    )
    return response if token is None else face.enter(response, token)


def _weakness(password: str) -> str:
    if len(password) < MIN_CHARACTERS:
        return "short"
    return "long" if len(password) > MAX_CHARACTERS else "common"


def _password(
    face: Face,
    request: Request,
    session: Session | StaffSession,
    ticket: str | None = None,
    *,
    failed: str = "",
) -> Response:
    setup = face.people.factors.begin_password(session, ticket)
    return face.page(
        request,
        "accounts/password.html",
        session,
        status=422 if failed else 200,
        failed=failed,
        name=setup.name,
        ticket=setup.ticket,
        seed=" ".join(setup.seed[at : at + 4] for at in range(0, len(setup.seed), 4)),
        picture=qr_picture(setup.uri),
        shortest=MIN_CHARACTERS,
    )


def qr_picture(text: str) -> Markup:
    """A QR code of `text` as inline SVG: no style, no script, nothing from elsewhere.

    Raises:
        InvalidInput: it is too long for one.
    """
    import segno

    try:
        made = segno.make(text, error="m", micro=False)
    except segno.DataOverflowError as error:
        raise InvalidInput("too much for a QR code") from error
    out = io.BytesIO()
    made.save(
        out,
        kind="svg",
        scale=QR_MODULE,
        border=4,
        dark=QR_TONE,
        light="#ffffff",
        xmldecl=False,
        svgns=True,
        nl=False,
        svgclass="qr",
        lineclass=None,
    )
    return Markup(out.getvalue().decode())  # noqa: S704 - numbers and our own words only
