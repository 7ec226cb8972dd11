"""Responses that are kept in PostgreSQL: every server finds them, a tenant's own alone, within their bounds."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from ig_guardrail.errors import GuardrailError, RequestError
from ig_guardrail.integrations.openai_server.settings.serve_config import Replicas, ServeConfig
from ig_guardrail.integrations.openai_server.stored import Bounds, Stored
from ig_guardrail.integrations.openai_server.stored_postgres import PostgresStore
from ig_guardrail.spec import GuardrailSpec
from tests.scale.postgres import SCALE, ThrowAway
from tests.unit.server.asgi import app_of, ask, bearer, key_in, server_over, toy_rail
from tests.unit.server.test_stored import demand_bytes_bounded, demand_the_oldest_forgotten, keep, names

pytestmark = SCALE
RESPONSES = "/v1/responses"


async def test_the_oldest_are_forgotten_first(postgres: ThrowAway) -> None:
    await demand_the_oldest_forgotten(PostgresStore(postgres.emptied(), Bounds(count=2)))
    assert postgres.ask("SELECT count(*) FROM ig_guardrail_responses.items") == [(3,)]
    ((tenants,),) = postgres.ask("SELECT array_agg(DISTINCT length(tenant)) FROM ig_guardrail_responses.responses")
    assert tenants == [64]  # by their hash


async def test_bytes_are_bounded(postgres: ThrowAway) -> None:
    await demand_bytes_bounded(PostgresStore(postgres.emptied(), Bounds(bytes=1_000)))


async def test_what_is_too_old_is_forgotten_whosever_it_is(postgres: ThrowAway) -> None:
    store = PostgresStore(postgres.emptied(), Bounds(seconds=10))
    await keep(store, "1", "2")
    await keep(store, "4", tenant="b")
    postgres.ask("UPDATE ig_guardrail_responses.responses SET at = at - interval '11 s' WHERE id <> '2'")
    assert (await names(store), await names(store, "b")) == (["2"], [])
    assert await store.holder("a", "msg_1") is None
    other = PostgresStore(postgres.address, Bounds(seconds=10))
    assert await names(other) == ["2"]
    assert postgres.ask("SELECT id FROM ig_guardrail_responses.responses") == [("2",)]


async def test_what_is_kept_comes_back_as_it_was(postgres: ThrowAway) -> None:
    call = {"name": "look", "args": {"at": "ü\u2028"}, "id": "call_1", "type": "tool_call"}
    said = (
        HumanMessage([{"type": "text", "text": "Where?"}]),
        AIMessage("", tool_calls=[call], additional_kwargs={"reasoning_content": "hm"}),
        ToolMessage("there", tool_call_id="call_1"),
    )
    one = Stored({"id": "1", "output": [{"id": "m"}], "n": 0.1}, said, "talk", ({"id": "i", "type": "message"},))
    await PostgresStore(postgres.emptied(), Bounds()).keep(None, one)
    assert await PostgresStore(postgres.address, Bounds()).find(None, "1") == one


async def test_many_that_keep_at_once_stay_within_the_bounds(postgres: ThrowAway) -> None:
    stores = [PostgresStore(postgres.emptied() if first else postgres.address, Bounds(count=5)) for first in (1, 0, 0)]
    for store in stores:
        await names(store)
    await asyncio.gather(*(keep(store, f"{n}-{place}") for place, store in enumerate(stores) for n in range(20)))
    await keep(stores[0], "5")
    assert postgres.ask("SELECT count(*) FROM ig_guardrail_responses.responses") == [(5,)]


async def test_a_chain_goes_on_at_another_server_and_is_its_tenant_s_alone(postgres: ThrowAway, tmp_path: Path) -> None:
    address, keys = postgres.emptied(), tmp_path / "keys.yaml"
    own, others = ([bearer(key_in(keys, tenant=tenant))] for tenant in ("school", "bank"))
    servers = [server_over({"open": toy_rail()}, keys) for _ in range(2)]
    for server in servers:
        server.responses = PostgresStore(address, Bounds())
    first, second = map(app_of, servers)
    one = (await ask(first, RESPONSES, {"model": "toy", "max_output_tokens": 8, "input": "Hello."}, headers=own)).json
    more = {"model": "toy", "max_output_tokens": 8, "input": "And more?", "previous_response_id": one["id"]}
    two = await ask(second, RESPONSES, more, headers=own)
    assert (two.status, two.json["previous_response_id"]) == (200, one["id"])
    shown = await ask(first, f"{RESPONSES}/{two.json['id']}", method="GET", headers=own)
    assert shown.json["output"] == two.json["output"]
    streamed = await ask(first, RESPONSES, {**more, "stream": True}, headers=own)
    later = streamed.events[-1]["response"]
    assert (streamed.events[-1]["type"], later["previous_response_id"]) == ("response.incomplete", one["id"])
    assert (await ask(second, f"{RESPONSES}/{later['id']}", method="GET", headers=own)).status == 200
    assert (await ask(second, RESPONSES, more, headers=others)).status == 400
    assert (await ask(second, f"{RESPONSES}/{one['id']}", method="GET", headers=others)).status == 404
    assert (await ask(second, f"{RESPONSES}/{one['id']}", method="DELETE", headers=own)).status == 200
    assert (await ask(first, RESPONSES, more, headers=own)).status == 400


async def test_a_response_that_cannot_be_kept_is_no_answer(
    postgres: ThrowAway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ig_guardrail.database.connections.PATIENCE_S", 0.5)
    key = [bearer(key_in(tmp_path / "keys.yaml", tenant="school"))]
    server = server_over({"open": toy_rail()}, tmp_path / "keys.yaml")
    server.responses = PostgresStore(postgres.emptied(), Bounds())
    app = app_of(server)
    assert (
        await ask(app, RESPONSES, {"model": "toy", "max_output_tokens": 8, "input": "Hello."}, headers=key)
    ).status == 200
    postgres.stop()
    try:
        whole = await ask(app, RESPONSES, {"model": "toy", "max_output_tokens": 8, "input": "Hello."}, headers=key)
        streamed = await ask(
            app, RESPONSES, {"model": "toy", "max_output_tokens": 8, "input": "Hello.", "stream": True}, headers=key
        )
        unkept = await ask(
            app, RESPONSES, {"model": "toy", "max_output_tokens": 8, "input": "Hello.", "store": False}, headers=key
        )
    finally:
        postgres.start()
    assert (whole.status, whole.json["error"]["code"], unkept.status) == (503, "guard_unavailable", 200)
    assert streamed.events[-1]["type"] == "response.failed"
    assert not any(one["type"] in ("response.completed", "response.incomplete") for one in streamed.events)
    assert "postgres" not in str(whole.json) + streamed.body.decode()


def test_where_responses_are_kept_is_what_the_settings_say() -> None:
    address = "postgresql://guard@db/guard"

    def place(ledger: str | None, stored: Bounds, replicas: Replicas | None = None) -> str | None:
        made = ServeConfig(GuardrailSpec(ledger=ledger), {"d": "default"}, stored=stored, replicas=replicas)
        return made.responses_in

    assert place(address, Bounds()) is None
    assert place(address, Bounds(where="ledger")) == place(address, Bounds(), Replicas(2, 2)) == address
    assert place(address, Bounds(where="memory"), Replicas(2, 2)) is None
    assert place(address, Bounds(count=0, where="ledger")) is None
    assert place("ledger.db", Bounds(), Replicas(2, 2)) is None
    with pytest.raises(RequestError, match="cannot be kept where the ledger is"):
        place("ledger.db", Bounds(where="ledger"))
    with pytest.raises(GuardrailError, match="responses cannot be kept at an address of the kind 'mysql'"):
        PostgresStore("mysql://x", Bounds())
