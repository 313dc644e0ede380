"""One person's leaves, after the regulator recorded the request or the warrant it rests on."""

from fastapi import APIRouter, Request, Response

from api.http.regulator.log import disclosed_context
from api.http.regulator.reader import PREFIX
from api.http.regulator.room import Room
from api.http.web.forms import SentForm
from api.http.web.routes import see_other
from audit.oversight import ABOUT_PEOPLE, MAX_REFERENCE, Basis
from node.oversight.disclosures import Disclosures

_ID = 40
_CUSTOMER = 64


def person_routes(room: Room, disclosures: Disclosures) -> APIRouter:
    """`/regulator/person` and below; whoever is shown something has shown lately who they are."""
    router = room.router()

    @router.get("/person")
    def ask(request: Request) -> Response:
        """The form that records the basis."""
        reader = room.readers.require_fresh(request, f"{PREFIX}/person")
        return room.page(
            request, "person.html", reader, bases=ABOUT_PEOPLE, max_reference=MAX_REFERENCE
        )

    @router.post("/person")
    def leaves(request: Request, form: SentForm) -> Response:
        """Record it; which leaves there are."""
        reader = room.readers.require_fresh(request, f"{PREFIX}/person")
        room.readers.require_csrf(request, form)
        basis = Basis(
            form.text("basis", max_length=20),
            form.text("reference", max_length=MAX_REFERENCE),
        )
        customer = form.text("customer", max_length=_CUSTOMER)
        found = disclosures.open(reader.reader_id, customer, basis)
        return room.page(request, "person_leaves.html", reader, found=found)

    @router.post("/person/leaves")
    def again(request: Request, form: SentForm) -> Response:
        """The same leaves again."""
        reader = room.readers.require_fresh(request, f"{PREFIX}/person")
        room.readers.require_csrf(request, form)
        found = disclosures.leaves(
            reader.reader_id, form.text("disclosure", max_length=_ID),
            form.text("subject", max_length=_ID),
        )  # fmt: skip
        return room.page(request, "person_leaves.html", reader, found=found)

    @router.post("/person/payload")
    def payload(request: Request, form: SentForm) -> Response:
        """What one of them commits to."""
        reader = room.readers.require_fresh(request, f"{PREFIX}/person")
        room.readers.require_csrf(request, form)
        disclosure, subject = (
            form.text("disclosure", max_length=_ID), form.text("subject", max_length=_ID),
        )  # fmt: skip
        seq = form.text("seq", max_length=16)
        if not seq.isascii() or not seq.isdigit():
            return see_other(f"{PREFIX}/person")
        shown, basis = disclosures.payload(reader.reader_id, disclosure, subject, int(seq))
        return room.page(
            request, "disclosed.html", reader, **disclosed_context(shown, basis), back="",
            under=disclosure, subject=subject,
        )  # fmt: skip

    return router
