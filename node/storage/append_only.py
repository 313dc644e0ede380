"""Triggers that let a table only grow: the database itself refuses to change what was recorded."""

from sqlalchemy import Connection, Table

_POSTGRESQL_FUNCTION = """
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION USING ERRCODE = '23000', MESSAGE = TG_TABLE_NAME || ' is append-only'; END $$
"""


def protect(connection: Connection, table: Table) -> None:
    """Refuse UPDATE, DELETE and TRUNCATE on `table` from now on; its primary key is one integer."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(_POSTGRESQL_FUNCTION)
        for verb in ("UPDATE", "DELETE"):
            connection.exec_driver_sql(
                f"CREATE TRIGGER {table.name}_{verb.lower()}_refused BEFORE {verb}"
                f" ON {table.name} FOR EACH ROW EXECUTE FUNCTION refuse_change()"
            )
        connection.exec_driver_sql(
            f"CREATE TRIGGER {table.name}_truncate_refused BEFORE TRUNCATE"
            f" ON {table.name} FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
        return
    key = next(iter(table.primary_key.columns)).name
    replaces = f"EXISTS (SELECT 1 FROM {table.name} WHERE {key} = NEW.{key})"  # noqa: S608
    # SQLite's INSERT OR REPLACE deletes without a delete trigger, hence the one on inserts.
    for verb, condition in {"UPDATE": "1 = 1", "DELETE": "1 = 1", "INSERT": replaces}.items():
        connection.exec_driver_sql(
            f"CREATE TRIGGER {table.name}_{verb.lower()}_refused BEFORE {verb} ON {table.name}"
            f" WHEN {condition} BEGIN SELECT RAISE(ABORT, '{table.name} is append-only'); END"
        )
