"""A caller can never name another tenant, policy, conversation or budget, wherever he writes their names."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ig_guardrail.integrations.openai_server.access.keys import digest_of
from ig_guardrail.ledger import LedgerEntry, Limit, MemoryLedger
from tests.unit.server.asgi import CHAT, app_of, ask, bearer, chat, key_in, server_over, toy_rail

REQUESTS = 1_000
B_ALONE = (0, 1, 0)  # letters: b costs 0.7 an answer, and is all there is
TENANTS = Limit("per-tenant", 1e6)
HEADERS = (
    *("x-tenant", "x-tenant-id", "x-ig-guardrail-tenant", "x-ig-guardrail-policy", "x-ig-guardrail-conversation"),
    *("openai-organization", "openai-project", "x-user", "x-forwarded-user", "from", "cookie", "x-request-id"),
    *("x-goog-authenticated-user-email", "forwarded", "host", "origin", "idempotency-key", "x-original-url"),
)
FIELDS = (
    *("user", "safety_identifier", "tenant", "policy", "conversation", "account", "budget", "ledger", "key"),
    *("metadata", "prompt_cache_key", "service_tier", "store", "previous_response_id", "organization", "extra_body"),
)
OWN = (*("policy", "conversation", "tenant", "budget", "account", "ledger", "caller", "key", "language", "strategy"),)


def response(body: dict[str, Any]) -> dict[str, Any]:
    """A body of a chat, as `/v1/responses` takes it."""
    moved = {"messages": "input", "max_tokens": "max_output_tokens"}
    return {moved.get(name, name): value for name, value in body.items() if name != "seed"}


def anthropic(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != "seed"}


def moderation(body: dict[str, Any]) -> dict[str, Any]:
    own = body["ig_guardrail"] if isinstance(body["ig_guardrail"], dict) else {}
    kept = {name: value for name, value in {**body, **own}.items() if name in ("model", "policy", "tenant", "user")}
    return {**kept, "input": "b"}


def check(body: dict[str, Any]) -> dict[str, Any]:
    own = body["ig_guardrail"] if isinstance(body["ig_guardrail"], dict) else {}
    asked = {**moderation(body), **{name: own[name] for name in ("conversation",) if name in own}}
    return {**{name: value for name, value in asked.items() if name != "input"}, "inputs": [{"text": "b"}]}


ELSEWHERE = {
    "/v1/responses": response,
    "/v1/messages": anthropic,
    "/v1/moderations": moderation,
    "/v1/guard/check": check,
}


class Witness(MemoryLedger):
    """Notes every account that is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def turn(self, account: str) -> int:
        self.seen.add(account)
        return super().turn(account)

    def spent(self, account: str, turn: int, limit: Limit) -> float:
        self.seen.add(account)
        return super().spent(account, turn, limit)

    def knows(self, account: str, answer: str) -> bool:
        self.seen.add(account)
        return super().knows(account, answer)

    def charge(self, entries: Sequence[LedgerEntry], limits: Mapping[str, Limit]) -> bool:
        self.seen |= {entry.account for entry in entries}
        return super().charge(entries, limits)


def strange_requests(dice: random.Random, names: Sequence[str], key: str, others: Sequence[str]) -> Iterator[Any]:
    """Requests with the names of others in any place: path, query, headers, body."""

    def value() -> Any:
        name = dice.choice(names)
        return dice.choice(
            [name, name, [name], {"tenant": name, "policy": name, "id": name}, name.upper(), f"{name}\n"]
        )

    while True:
        headers = [bearer(key)] if dice.random() < 0.9 else [("x-api-key", key)]
        for _ in range(dice.randrange(3)):
            said = str(value()).strip().replace("\n", " ")
            headers.append((dice.choice(HEADERS), said))
        if dice.random() < 0.1:
            headers.append(dice.choice([bearer(dice.choice(others)), ("x-api-key", dice.choice(others))]))
        model = dice.choice(["toy"] * 9 + ["toy:open", "toy:secret", f"toy:{value()}", f"{dice.choice(names)}:open"])
        body = chat(model=model, max_tokens=4)
        own: dict[str, Any] = {"conversation": dice.choice(names)}
        own |= {dice.choice(OWN): value() for _ in range(dice.choice([0, 0, 1]))}
        body["ig_guardrail"] = own if dice.random() < 0.95 else value()
        body |= {dice.choice(FIELDS): value() for _ in range(dice.choice([0, 0, 1]))}
        body["messages"][0] |= {dice.choice(["name", "tenant"]): dice.choice(names)} if dice.random() < 0.1 else {}
        query = f"tenant={dice.choice(names)}&policy=secret&key={dice.choice(names)}" if dice.random() < 0.2 else ""
        path = dice.choice([CHAT] * 4 + list(ELSEWHERE))
        yield {"path": path, "body": ELSEWHERE.get(path, dict)(body), "headers": headers, "query": query}


async def test_a_thousand_requests_with_the_names_of_others_and_none_crosses(tmp_path: Path) -> None:
    file, ledger = tmp_path / "keys.yaml", Witness()
    ours = key_in(file, tenant="ours", policies=["open", "wide"])
    theirs = key_in(file, tenant="theirs", policies=["secret", "open"])
    rails = {name: toy_rail(ledger, B_ALONE, ("tenant", "conversation"), 1e6) for name in ("open", "wide", "secret")}
    app, dice = app_of(server_over(rails, file)), random.Random(20261129)
    before = await ask(app, body=chat(ig_guardrail={"conversation": "their-talk"}), headers=[bearer(theirs)])
    assert before.status == 200
    their_accounts = set(ledger.seen)
    digest = digest_of(theirs)
    kept = await ask(app, "/v1/responses", response(chat(store=True)), [bearer(theirs)])
    used = rails["secret"].engine.calls("open")
    names = [
        "theirs",
        "their-talk",
        "secret",
        "toy:secret",
        digest,
        digest[7:],
        *their_accounts,
        "../theirs",
        kept.json["id"],
    ]
    others = [digest, digest[7:], theirs[:-1], "theirs", "null", ""]
    spent = {account: ledger.spent(account, 9, TENANTS) for account in their_accounts}
    ledger.seen = set()
    statuses: dict[int, int] = {}
    answered: set[str] = set()
    requests = strange_requests(dice, names, ours, others)
    for _ in range(REQUESTS):
        asked = next(requests)
        replied = await ask(app, **asked)
        answered.add(asked["path"]) if replied.status == 200 else None
        statuses[replied.status] = statuses.get(replied.status, 0) + 1
        assert replied.status in (200, 400, 401, 404), replied.body
        assert theirs.encode() not in replied.body
    assert statuses[200] > 200, statuses
    assert answered == {CHAT, *ELSEWHERE}
    for method in ("GET", "DELETE"):
        mine = await ask(app, f"/v1/responses/{kept.json['id']}", method=method, headers=[bearer(ours)])
        assert mine.status == 404
    assert {json.loads(account)[1] for account in ledger.seen} == {"ours"}
    assert rails["secret"].engine.calls("open") == used
    assert {account: ledger.spent(account, 9, TENANTS) for account in their_accounts} == spent
    assert any(spent.values())
    listed = await ask(app, "/v1/models", method="GET", headers=[bearer(ours)])
    assert [model["id"] for model in listed.json["data"]] == ["toy", "toy:open", "toy:wide"]
    assert (await ask(app, "/v1/models/toy:secret", method="GET", headers=[bearer(ours)])).status == 404


async def test_a_tenant_that_has_spent_its_budget_stops_no_other(tmp_path: Path) -> None:
    file, ledger = tmp_path / "keys.yaml", MemoryLedger()
    ours, theirs = key_in(file, tenant="ours"), key_in(file, tenant="theirs")
    app = app_of(server_over({"open": toy_rail(ledger, B_ALONE, ("tenant",))}, file))

    async def outcome(key: str, seed: int) -> Any:
        replied = await ask(app, body=chat(max_tokens=16, seed=seed), headers=[bearer(key)])
        return replied.json["ig_guardrail"]["verdict"]["outcome"]

    assert [await outcome(ours, seed) for seed in range(3)] == ["completed", "refused", "refused"]
    assert await outcome(theirs, 0) == "completed"


async def test_what_is_sent_of_a_receipt_is_the_keys(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    sent = {}
    keys = {how: key_in(file, tenant="ours", receipt=how) for how in ("full", "verdict", "none")}
    app = app_of(server_over({"open": toy_rail(weights=B_ALONE)}, file))
    for how, key in keys.items():
        whole = await ask(app, body=chat(), headers=[bearer(key)])
        streamed = await ask(app, body=chat(stream=True), headers=[bearer(key)])
        sent[how] = whole.json["ig_guardrail"]
        assert set(streamed.events[-1]["ig_guardrail"]) == set(sent[how])
        assert whole.json["choices"][0]["message"]["content"] or whole.json["choices"][0]["message"]["refusal"]
    assert "charges" in sent["full"]
    assert set(sent["verdict"]) == {"verdict", "policy"}
    assert sent["none"] == {}
    for path, body in (
        ("/v1/moderations", {"input": "bbbb"}),
        ("/v1/guard/check", {"model": "toy", "inputs": [{"text": "bbbb"}]}),
    ):
        statuses = {how: (await ask(app, path, body, [bearer(key)])).status for how, key in keys.items()}
        assert statuses == {"full": 200, "verdict": 403, "none": 403}


async def test_limits_are_the_keys(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    key = key_in(file, tenant="ours", tokens=20, answers=2, refusal_style="text", per_minute=4)
    app = app_of(server_over({"open": toy_rail(weights=(0, 1, 0))}, file))
    for fields, param in (({"max_tokens": 21}, "max_tokens"), ({"n": 3, "max_tokens": 2}, "n")):
        replied = await ask(app, body=chat(**fields), headers=[bearer(key)])
        assert (replied.status, replied.json["error"]["param"]) == (400, param)
    replied = await ask(app, body=chat(), headers=[bearer(key), ("Idempotency-Key", "1")])
    assert replied.json["choices"][0]["message"]["content"] == "[refusal"
    assert replied.headers["x-ig-guardrail-ignored"] == "idempotency-key"
    await ask(app, body=chat(), headers=[bearer(key)])
    replied = await ask(app, body=chat(), headers=[bearer(key)])
    assert (replied.status, replied.headers["retry-after"]) == (429, "15")
    assert replied.json["error"]["code"] == "rate_limit_exceeded"
