"""What the database itself refuses: changes of rows that a log or a witness must not forget.

A program that errs, and an operator's slip, are stopped so; who owns the database can drop a
trigger, and is found by the verifier and by the witnesses.
"""

from collections.abc import Mapping

from sqlalchemy import Connection

_REFUSE_TRUNCATE = """
CREATE OR REPLACE FUNCTION audit_truncate_refused() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION USING ERRCODE = '23000', MESSAGE = TG_TABLE_NAME || ' is append-only'; END $$
"""


def protect(
    connection: Connection, tables: Mapping[str, Mapping[str, str]], says: str = "is append-only"
) -> None:
    """Refuse what `tables` says from now on, and TRUNCATE; does nothing where that is so already.

    Args:
        connection: of a transaction that the caller commits.
        tables: by table and operation (INSERT, UPDATE, DELETE), when it is refused: SQL over OLD
            and NEW.
        says: what follows the table's name in the error.
    """
    dialect = connection.dialect.name
    for table, refused in tables.items():
        for operation, condition in refused.items():
            for statement in _trigger(dialect, table, operation, condition, says):
                connection.exec_driver_sql(statement)
        if dialect == "postgresql":
            connection.exec_driver_sql(_REFUSE_TRUNCATE)
            connection.exec_driver_sql(_truncate_trigger(table))


def _trigger(dialect: str, table: str, operation: str, condition: str, says: str) -> list[str]:
    name = f"{table}_{operation.lower()}_refused"
    message = f"{table} {says}"
    if dialect == "sqlite":
        guard = f"WHEN {condition} BEGIN SELECT RAISE(ABORT, '{message}'); END"
        return [f"CREATE TRIGGER IF NOT EXISTS {name} BEFORE {operation} ON {table} {guard}"]
    # PostgreSQL: a trigger's WHEN takes no subquery, so that the function decides.
    refuse = f"IF {condition} THEN RAISE EXCEPTION '{message}' USING ERRCODE = '23000'; END IF"
    body = f"BEGIN {refuse}; RETURN {'OLD' if operation == 'DELETE' else 'NEW'}; END"
    when = f"BEFORE {operation} ON {table} FOR EACH ROW"
    return [
        f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$",
        f"CREATE OR REPLACE TRIGGER {name} {when} EXECUTE FUNCTION {name}()",
    ]


def _truncate_trigger(table: str) -> str:
    """TRUNCATE fires no row trigger."""
    when = f"BEFORE TRUNCATE ON {table} FOR EACH STATEMENT"
    return (
        f"CREATE OR REPLACE TRIGGER {table}_truncate_refused {when}"
        " EXECUTE FUNCTION audit_truncate_refused()"
    )
