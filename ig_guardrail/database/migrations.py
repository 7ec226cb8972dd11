"""Tables of a schema: made where there are none, and brought to the version that this release knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import LiteralString, TypeAlias

from psycopg.sql import SQL, Identifier

from ig_guardrail.database.connections import Connection, Database

Migrations: TypeAlias = Sequence[Sequence[LiteralString]]
"""The statements from version 0 to 1, from 1 to 2, and so on."""

_TURN = 0x6967_6C65_6467_6572  # the lock that is held meanwhile, of all programs that use this database


def migrate(database: Database, migrations: Migrations) -> None:
    """Bring a schema up to date, in one transaction. Raises the purpose's error, also for a newer version."""

    def work(connection: Connection) -> None:
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_TURN,))
            version = version_of(connection, database, len(migrations))
            if version is None:
                version = _begun(connection, database)
            for statement in (one for step in migrations[version:] for one in step):
                connection.execute(statement)
            if version < len(migrations):
                _note(connection, database, len(migrations))

    database.first(work)


def version_of(connection: Connection, database: Database, known: int) -> int | None:
    """The version that is there, None where there is none. Raises the purpose's error for one above `known`."""
    schema = database.purpose.schema
    told = connection.execute("SELECT to_regclass(%s) IS NULL", (f"{schema}.version",)).fetchone()
    if told is None or told[0]:
        return None
    found = connection.execute(SQL("SELECT version FROM {}.version").format(Identifier(schema))).fetchall()
    if len(found) != 1 or not 0 <= found[0][0] <= known:
        newer = f"it is of version {found[0][0]}, and this release knows {known}" if len(found) == 1 else ""
        raise database.unfit(newer or "its version is not told", "use the release that wrote it, or a newer one")
    return int(found[0][0])


def _begun(connection: Connection, database: Database) -> int:
    """Make a schema, unless it is there, with version 0."""
    schema = database.purpose.schema
    told = connection.execute("SELECT to_regnamespace(%s) IS NULL", (schema,)).fetchone()
    if told is None or told[0]:
        connection.execute(SQL("CREATE SCHEMA {}").format(Identifier(schema)))
    connection.execute(SQL("CREATE TABLE {}.version (version integer NOT NULL)").format(Identifier(schema)))
    connection.execute(SQL("INSERT INTO {}.version VALUES (0)").format(Identifier(schema)))
    return 0


def _note(connection: Connection, database: Database, version: int) -> None:
    schema = Identifier(database.purpose.schema)
    connection.execute(SQL("UPDATE {}.version SET version = %s").format(schema), (version,))
