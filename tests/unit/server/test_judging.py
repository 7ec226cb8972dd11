"""`/v1/moderations` and `/v1/guard/check`: the policy's word on texts that exist already."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from ig_guardrail.assembly import guard
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Continuations
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.ledger import MemoryLedger
from ig_guardrail.workbench.traffic.bench import Bench
from ig_guardrail.workbench.traffic.score import score_texts
from ig_guardrail.workbench.traffic.texts import TextRow
from tests.golden.conversations import POLITE, compiled
from tests.unit.server.serving import MODEL, client, http, running, server_of

POLICY = (
    POLITE.replace(
        "budgets:\n",
        "  codes: {kind: pattern, hazards: [prv], patterns: [codeword, cipher], longest_match: 8, timeout_ms: 60000}\n"
        "  crimes: {kind: pattern, hazards: [vcr], patterns: ['(?i)\\bheist'], longest_match: 5, timeout_ms: 60000}\n"
        "budgets:\n"
        "  - {id: drip, hazards: [prv], cost: codes, threshold: 0.5, budget: 0.6, scope: conversation, every: 4}\n"
        "  - {id: crime, hazards: [vcr], cost: crimes, threshold: 0.5, budget: 0.0, mode: shadow, every: 4}\n",
    )
    + 'tools: {deny: ["delete_*"], arguments: [{tool: pay, argument: amount, most: 100}]}\n'
)
CODE = "The codeword is for you, my friend."


@pytest.fixture(scope="module")
def guardrail() -> Guardrail:
    return guard(ScriptedEngine(Continuations({(0, 0): CODE})), compiled(POLICY), ledger=MemoryLedger())


@pytest.fixture(scope="module")
def socket(guardrail: Guardrail) -> Iterator[str]:
    with running(server_of(guardrails={"polite": guardrail})) as socket:
        yield socket


def check(socket: str, *inputs: Any, status: int = 200, **more: Any) -> Any:
    with http(socket) as plain:
        answer = plain.post("/v1/guard/check", json={"inputs": list(inputs), **more})
    assert answer.status_code == status, answer.text
    return answer.json()


def budget(result: Any, named: str) -> Any:
    (found,) = [one for one in result["budgets"] if one["id"] == named]
    return found


def test_the_official_client_is_told_what_is_flagged(socket: str) -> None:
    with client(socket) as official:
        calm, rude, plot = official.moderations.create(input=["Hello.", "You blockhead.", "A heist!"]).results
    assert not calm.flagged
    assert rude.flagged
    assert rude.categories.hate
    assert rude.category_scores.hate == 1.0
    assert rude.category_applied_input_types.hate == ["text"]
    assert rude.category_applied_input_types.sexual == []  # nothing here is about it
    assert (rude.categories.hte, rude.category_scores.hte) == (True, 1.0)
    assert not plot.flagged  # the budget is in shadow mode, so it says what it found and no more
    assert (plot.categories.violence, plot.category_scores.violence) == (False, 1.0)


def test_parts_of_text_are_one_input(socket: str) -> None:
    with client(socket) as official:
        parts: Any = [{"type": "text", "text": "You block"}, {"type": "text", "text": "head."}]
        told = official.moderations.with_raw_response.create(input=parts, model="omni-moderation-latest")
        assert told.headers["x-ig-guardrail-ignored"] == "model"
        (result,) = told.parse().results
        assert result.flagged
        image: Any = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
        with pytest.raises(openai.BadRequestError) as refused:
            official.moderations.create(input=[*parts, image])
    assert refused.value.param == "input[2]"
    assert "image_url" in str(refused.value)


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({}, "input"),
        ({"input": []}, "input"),
        ({"input": 3}, "input"),
        ({"input": "x", "model": "gpt-4"}, "model"),
        ({"input": "x", "inputs": "y"}, "inputs"),
        ({"input": "x", "ig_guardrail": {"conversation": "c"}}, "ig_guardrail"),
        ({"input": "word " * 5000}, "input"),
    ],
)
def test_what_cannot_be_moderated_is_named(socket: str, given: Any, param: str) -> None:
    with http(socket) as plain:
        answer = plain.post("/v1/moderations", json=given)
    assert answer.status_code == (404 if param == "model" else 400), answer.text
    assert answer.json()["error"]["param"] == param


def test_a_check_says_by_what_and_never_what_was_matched(socket: str) -> None:
    told = check(socket, {"text": "You are a true blockhead."}, {"text": "The cipher is for you."}, {"text": "Hello."})
    rude, code, calm = told["results"]
    assert [told["allowed"], rude["allowed"], code["allowed"], calm["allowed"]] == [False, False, True, True]
    assert (rude["denied_by"], rude["denied_at"]) == ("rudeness", 24)
    assert budget(rude, "rudeness")["fired"] == {"rude": [0]}
    assert budget(rude, "rudeness")["hazards"] == ["hte"]
    assert budget(code, "drip") == {
        "id": "drip",
        "mode": "enforce",
        "scope": "conversation",
        "threshold": 0.5,
        "score": 1.0,
        "cost": 0.5,
        "limit": 0.6,
        "remaining": pytest.approx(0.1),
        "hazards": ["prv"],
        "fired": {"codes": [1]},
    }
    assert "blockhead" not in json.dumps(told)
    assert "cipher" not in json.dumps(told)


def test_prompts_and_calls(socket: str) -> None:
    told = check(
        socket,
        {"prompt": "Say something, blockhead."},
        {"text": "I clean up.", "calls": [{"name": "delete_file", "arguments": {"name": "a"}}]},
        {"calls": [{"name": "pay", "arguments": {"amount": 500}}, {"name": "pay", "arguments": {"amount": 50}}]},
        {"prompt": "Pay.", "calls": [{"name": "pay", "arguments": {"amount": 50}}]},
    )
    asked, deleted, paid, fine = told["results"]
    assert (asked["denied_by"], asked["prompt"]["action"], asked["prompt"]["fired"]) == (
        "prompt",
        "refuse",
        {"rude": [0]},
    )
    assert (deleted["denied_by"], deleted["calls"]) == ("tools", [{"name": "delete_file", "breaks": ["deny"]}])
    assert paid["denied_by"] == "tools"
    assert [call["breaks"] for call in paid["calls"]] == [["arguments[0]"], []]
    assert fine["allowed"]
    assert fine["prompt"]["score"] == 0


def test_a_check_knows_what_a_conversation_has_spent_and_spends_nothing(socket: str) -> None:
    with client(socket) as official:
        said: Any = {"model": MODEL, "messages": [{"role": "user", "content": "Go."}]}
        official.chat.completions.create(**said, extra_body={"ig_guardrail": {"conversation": "c"}})
    for _ in range(2):
        (again,) = check(socket, {"text": CODE}, conversation="c")["results"]
        assert (again["denied_by"], budget(again, "drip")["remaining"]) == ("drip", pytest.approx(-0.4))
    (other,) = check(socket, {"text": CODE}, conversation="d")["results"]
    assert other["allowed"]
    (nothing,) = check(socket, {"prompt": "Hello."}, conversation="c")["results"]
    assert budget(nothing, "drip")["remaining"] == pytest.approx(0.1)


def test_it_is_what_policy_score_tells(socket: str, guardrail: Guardrail) -> None:
    texts = ["The codeword is codeword, as anyone knows, my friend.", "Hello, blockhead.", "A heist and a cipher."]
    bench = Bench(guardrail.engine, guardrail.costs, guardrail.policy)
    scored = score_texts(bench, [TextRow(text, "here") for text in texts])
    for told, one in zip(check(socket, *({"text": text} for text in texts))["results"], scored, strict=True):
        assert told["denied_by"] == (one.denied.budget if one.denied else None)
        for line in told["budgets"]:
            own = [charge for charge in one.charged.charges if charge.budget == line["id"]]
            assert line["score"] == max(charge.score for charge in own)
            assert line["cost"] == sum(charge.cost for charge in own)
            assert line["remaining"] == own[-1].z_after
    assert guardrail.engine.live_nodes() == 0


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"inputs": []}, "inputs"),
        ({"inputs": [3]}, "inputs[0]"),
        ({"inputs": [{}]}, "inputs[0]"),
        ({"inputs": [{"text": 3}]}, "inputs[0].text"),
        ({"inputs": [{"texts": "x"}]}, "inputs[0].texts"),
        ({"inputs": [{"calls": [{"name": "pay", "arguments": "{}"}]}]}, "inputs[0].calls[0]"),
        ({"inputs": [{"text": "x"}], "tenant": "another"}, "tenant"),
        ({"inputs": [{"text": "x"}], "policy": "another"}, "ig_guardrail.policy"),
        ({"inputs": [{"text": "x"}] * 129}, "inputs"),
        ({"inputs": [{"text": "x"}], "conversation": 3}, "conversation"),
    ],
)
def test_what_cannot_be_checked_is_named(socket: str, given: Any, param: str) -> None:
    with http(socket) as plain:
        answer = plain.post("/v1/guard/check", json=given)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text
