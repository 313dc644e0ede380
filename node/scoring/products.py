"""Products: what a client asks for by name, and what has to hold before it is given.

Every call names one. `STANDARD` is there for every client without being set up: any score under a
consent for the purpose `score`, from whoever answers. An operator can give a client, or all of
them, products of their own, also another `standard`.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from audit.database import Connection, Database
from audit.leaf import Entry
from audit.store import AuditLog
from node.storage import products
from node.storage.products import EVERY_CLIENT, ProductRow
from node.storage.signals import SignalVector
from protocols.errors import CredenceError, InvalidInput, NotFound
from protocols.identifiers import is_member_id

STANDARD = "standard"
_BUILT_IN = ProductRow(EVERY_CLIENT, STANDARD, frozenset({"score"}), frozenset(), True, None)
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
PURPOSES = frozenset({"score", "monitor"})
MAX_AGE_S = 400 * 86_400


class ProductUnknown(NotFound):
    """This client has no product by that name."""

    code = "product_unknown"
    next_step = "Name a product that the node's operator set up for this client, or `standard`."


class PurposeNotOfProduct(CredenceError):
    """The product is not for this purpose."""

    code = "purpose_not_of_product"
    category = "forbidden"
    next_step = "Name a product for this purpose."


class MandatorySourceMissing(CredenceError):
    """A source that the product insists on gave nothing, so no score is made without it."""

    code = "mandatory_source_missing"
    category = "conflict"
    retryable = True
    next_step = "See which holders the consent names; ask again when the source answers."


def check_name(name: str) -> None:
    """Whether a product may have this name.

    Raises:
        InvalidInput: it may not.
    """
    if _NAME.fullmatch(name) is None:
        raise InvalidInput("a product's name is 1 to 40 lower-case letters, digits, _ and -")


def product_of(
    known: Mapping[tuple[str, str], ProductRow], client_id: str, name: str, purpose: str
) -> ProductRow:
    """The product that a call names: the client's own, else everybody's, else the built-in one.

    Raises:
        ProductUnknown: there is none.
        PurposeNotOfProduct: it is for other purposes.
    """
    found = known.get((client_id, name)) or known.get((EVERY_CLIENT, name))
    if found is None and name == STANDARD:
        found = _BUILT_IN
    if found is None:
        raise ProductUnknown("this client has no product by that name")
    if purpose not in found.purposes:
        raise PurposeNotOfProduct("this product is not for this purpose")
    return found


def fresh_enough(
    product: ProductRow,
    kept: Mapping[str, SignalVector],
    data_life_s: int,
    now_ms: int,
    just_asked: Collection[str],
) -> dict[str, SignalVector]:
    """What of the kept signals the product lets a score rest on, by source.

    How old a released vector is follows from its end: it was released `data_life_s` before that.
    This node's own signals are as old as its records, and those just asked for are new.
    """
    if product.max_age_s is None:
        return dict(kept)
    life_ms, most_ms = data_life_s * 1000, product.max_age_s * 1000
    return {
        source: vector
        for source, vector in kept.items()
        if vector.expires_at_ms is None
        or source in just_asked
        or now_ms - (vector.expires_at_ms - life_ms) <= most_ms
    }


def check_mandatory(product: ProductRow, gave: Collection[str]) -> None:
    """Whether all sources that the product insists on gave signals.

    Raises:
        MandatorySourceMissing: one did not, and it may not be skipped.
    """
    missing = product.mandatory - frozenset(gave)
    if missing and not product.may_skip:
        raise MandatorySourceMissing(f"no signals from {', '.join(sorted(missing))}")


class Products:
    """The products of a node's clients, for its operator; each change is a leaf of the log."""

    def __init__(self, database: Database, audit: AuditLog, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._audit = audit
        self._now_ms = now_ms

    def every(self) -> list[ProductRow]:
        """All products; the built-in one too, unless it was replaced for everybody."""
        with self._database.read() as connection:
            found = products.every(connection)
        return [{(EVERY_CLIENT, STANDARD): _BUILT_IN, **found}[key]
                for key in sorted({(EVERY_CLIENT, STANDARD), *found})]  # fmt: skip

    def put(self, row: ProductRow, actor: str = "operator") -> ProductRow:
        """Set up a product, or change it.

        Raises:
            InvalidInput: a field out of its range.
        """
        check_name(row.product)
        if not row.purposes or not row.purposes <= PURPOSES:
            raise InvalidInput(f"a product is for purposes of {', '.join(sorted(PURPOSES))}")
        if len(row.mandatory) > 12 or not all(is_member_id(one) for one in row.mandatory):
            raise InvalidInput("mandatory holders are up to 12 member ids")
        if row.max_age_s is not None and not 0 <= row.max_age_s <= MAX_AGE_S:
            raise InvalidInput(f"a largest age is 0 to {MAX_AGE_S} seconds")
        with self._database.write() as connection:
            products.put(connection, row)
            self._log(connection, "product.set", row, actor)
        return row

    def drop(self, client_id: str, name: str, actor: str = "operator") -> None:
        """Take a product away.

        Raises:
            ProductUnknown: there is none.
        """
        with self._database.write() as connection:
            if not products.drop(connection, client_id, name):
                raise ProductUnknown("no such product was set up")
            self._log(connection, "product.dropped", replace(_BUILT_IN, client_id=client_id,
                      product=name), actor)  # fmt: skip

    def _log(self, connection: Connection, kind: str, row: ProductRow, actor: str) -> None:
        entry = Entry(
            kind=kind,
            actor=actor,
            purpose="api",
            correlation=row.client_id,
            payload={
                "product": row.product,
                "purposes": sorted(row.purposes),
                "mandatory": sorted(row.mandatory),
                "may_skip": row.may_skip,
                "max_age_s": -1 if row.max_age_s is None else row.max_age_s,
            },
            subject=None,
            at_ms=self._now_ms(),
        )
        self._audit.append(connection, entry)
