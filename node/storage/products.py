"""Products: what API clients may ask for by name."""

from dataclasses import dataclass

from sqlalchemy import delete, insert, select

from audit.bulk import Prepared
from audit.database import Connection
from node.storage.scoring_tables import score_product

EVERY_CLIENT = ""


@dataclass(frozen=True, slots=True)
class ProductRow:
    """One product of one client.

    Attributes:
        client_id: whose it is; `EVERY_CLIENT`: of all that have none of that name themselves.
        product: its name.
        purposes: purposes of a consent that it may rest on.
        mandatory: holders that must have given signals.
        may_skip: whether a score is made all the same without them.
        max_age_s: how old signals released before may be; None: as old as their data life.
    """

    client_id: str
    product: str
    purposes: frozenset[str]
    mandatory: frozenset[str]
    may_skip: bool
    max_age_s: int | None


_EVERY = Prepared(select(*score_product.columns))


def every(connection: Connection) -> dict[tuple[str, str], ProductRow]:
    """All products, by client and name."""
    found: dict[tuple[str, str], ProductRow] = {}
    for client_id, name, purposes, mandatory, may_skip, max_age_s in _EVERY.rows(connection):
        found[client_id, name] = ProductRow(
            client_id,
            name,
            frozenset(purposes.split()),
            frozenset(mandatory.split()),
            bool(may_skip),
            max_age_s,
        )
    return found


def put(connection: Connection, row: ProductRow) -> None:
    """Store a product; one of the same client and name is replaced."""
    drop(connection, row.client_id, row.product)
    connection.execute(
        insert(score_product).values(
            client_id=row.client_id,
            product=row.product,
            purposes=" ".join(sorted(row.purposes)),
            mandatory=" ".join(sorted(row.mandatory)),
            may_skip=row.may_skip,
            max_age_s=row.max_age_s,
        )
    )


def drop(connection: Connection, client_id: str, product: str) -> bool:
    """Delete a product; whether there was one."""
    return bool(
        connection.execute(
            delete(score_product).where(
                score_product.c.client_id == client_id, score_product.c.product == product
            )
        ).rowcount
    )
