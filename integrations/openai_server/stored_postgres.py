"""Responses that are kept in PostgreSQL, so that every replica finds them: in the schema `ig_guardrail_responses`.

Their texts stand there as they were said, for as long as `stored` says; tenants are named by their hash.
"""

from __future__ import annotations

import asyncio
import json
import time
from hashlib import sha256
from typing import Any

from langchain_core.messages import messages_from_dict, messages_to_dict

from ig_guardrail.database import demand_postgres
from ig_guardrail.database.connections import Connection, Database, Purpose
from ig_guardrail.database.migrations import Migrations, migrate
from ig_guardrail.errors import GuardrailError
from ig_guardrail.integrations.openai_server.stored import Bounds, Stored, size_of
from ig_guardrail.threads.locks import ForkSafeLock

PURPOSE = Purpose(
    "response store",
    "ig_guardrail_responses",
    "a response is kept before its end is told, so that others can go on from it",
    GuardrailError,
)
MIGRATIONS: Migrations = (
    (
        "CREATE TABLE ig_guardrail_responses.responses (tenant text, id text, at timestamptz NOT NULL DEFAULT now(),"
        " size bigint NOT NULL, kept text NOT NULL, PRIMARY KEY (tenant, id))",
        "CREATE INDEX responses_newest ON ig_guardrail_responses.responses (tenant, at DESC)",
        "CREATE INDEX responses_at ON ig_guardrail_responses.responses (at)",
        "CREATE TABLE ig_guardrail_responses.items (tenant text, item text, id text NOT NULL,"
        " PRIMARY KEY (tenant, item), FOREIGN KEY (tenant, id)"
        " REFERENCES ig_guardrail_responses.responses ON DELETE CASCADE)",
        "CREATE INDEX items_of ON ig_guardrail_responses.items (tenant, id)",
    ),
)
CONNECTIONS = 2  # of a process
_SWEPT_S = 60.0
_AGE = "at > now() - make_interval(secs => %s)"
_FIND = f"SELECT kept FROM ig_guardrail_responses.responses WHERE tenant = %s AND id = %s AND {_AGE}"
_HOLDER = (
    "SELECT kept FROM ig_guardrail_responses.items JOIN ig_guardrail_responses.responses USING (tenant, id)"
    f" WHERE tenant = %s AND item = %s AND {_AGE}"
)
_KEEP = (
    "INSERT INTO ig_guardrail_responses.responses (tenant, id, size, kept)"
    " VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING"
)
_ITEMS = (
    "INSERT INTO ig_guardrail_responses.items SELECT %s, item, %s FROM unnest(%s::text[]) AS item"
    " ON CONFLICT DO NOTHING"
)
_TRIM = (
    "DELETE FROM ig_guardrail_responses.responses WHERE tenant = %s AND id IN (SELECT id FROM (SELECT id,"
    " row_number() OVER newest AS place, sum(size) OVER newest AS bytes FROM ig_guardrail_responses.responses"
    " WHERE tenant = %s WINDOW newest AS (ORDER BY at DESC, id)) AS kept WHERE place > %s OR bytes > %s)"
)
_SWEEP = f"DELETE FROM ig_guardrail_responses.responses WHERE NOT {_AGE}"
_FORGET = "DELETE FROM ig_guardrail_responses.responses WHERE tenant = %s AND id = %s"


class PostgresStore:
    """A `ResponseStore` that replicas share. Calls wait in threads, and the event loop goes on."""

    def __init__(self, address: str, bounds: Bounds) -> None:
        """Opens nothing yet. Raises GuardrailError for what is no address, MissingExtra."""
        demand_postgres(address, GuardrailError, "stored", "responses")
        self._database = Database(address, PURPOSE, CONNECTIONS)
        self._bounds = bounds
        self._turn = ForkSafeLock()
        self._swept: float | None = None  # when what is too old was last deleted; None before the tables are there

    @property
    def keeps(self) -> bool:
        return self._bounds.count > 0

    async def find(self, tenant: str | None, name: str) -> Stored | None:
        return await asyncio.to_thread(self._found, _FIND, tenant, name)

    async def holder(self, tenant: str | None, item: str) -> Stored | None:
        return await asyncio.to_thread(self._found, _HOLDER, tenant, item)

    async def keep(self, tenant: str | None, one: Stored) -> None:
        if size_of(one) <= self._bounds.bytes:
            await asyncio.to_thread(self._keep, _named(tenant), one)

    async def forget(self, tenant: str | None, name: str) -> bool:
        return await asyncio.to_thread(self._forget, _named(tenant), name)

    def _found(self, asked: str, tenant: str | None, name: str) -> Stored | None:
        self._begin()
        values = (_named(tenant), name, self._bounds.seconds)
        found = self._database.call(lambda connection: connection.execute(asked.encode(), values).fetchone())
        return None if found is None else _read(found[0])

    def _keep(self, tenant: str, one: Stored) -> None:
        self._begin()
        name, items = one.body["id"], [item["id"] for item in one.body["output"]]
        kept, bounds = (tenant, name, size_of(one), _written(one)), self._bounds

        def work(connection: Connection) -> None:
            with connection.pipeline(), connection.transaction():
                connection.execute(_KEEP, kept)
                connection.execute(_ITEMS, (tenant, name, items))
                connection.execute(_TRIM, (tenant, tenant, bounds.count, bounds.bytes))

        self._database.call(work)

    def _forget(self, tenant: str, name: str) -> bool:
        self._begin()
        return self._database.call(lambda connection: connection.execute(_FORGET, (tenant, name)).rowcount) > 0

    def _begin(self) -> None:
        """Make the tables before the first call; now and then, delete what is too old, whosever it is."""
        with self._turn:
            if self._swept is None:
                migrate(self._database, MIGRATIONS)
                self._swept = -_SWEPT_S
            if time.monotonic() <= self._swept + _SWEPT_S:
                return
            self._swept = time.monotonic()
        self._database.call(lambda connection: connection.execute(_SWEEP, (self._bounds.seconds,)))


def _named(tenant: str | None) -> str:
    return "" if tenant is None else sha256(tenant.encode()).hexdigest()


def _written(one: Stored) -> str:
    told = {"body": one.body, "messages": messages_to_dict(one.messages), "conversation": one.conversation}
    return json.dumps({**told, "input": one.input, "events": one.events})


def _read(text: str) -> Stored:
    told: dict[str, Any] = json.loads(text)
    messages = tuple(messages_from_dict(told["messages"]))
    return Stored(told["body"], messages, told["conversation"], tuple(told["input"]), tuple(told["events"]))
