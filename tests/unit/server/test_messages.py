"""`POST /v1/messages`: what Anthropic's wire tells of every outcome, whole and streamed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from ig_guardrail.assembly import guard
from ig_guardrail.engine.scripted.engine import Incidents, ScriptedEngine
from ig_guardrail.engine.scripted.script import Continuations
from ig_guardrail.errors import EngineError
from ig_guardrail.ledger import MemoryLedger
from tests.golden.conversations import CALM, KIND, LATE, RUDE, compiled, scripted_guardrail
from tests.unit.langchain.test_thoughts import EFFORTS, MIND, rail, written
from tests.unit.server.serving import MODEL, http, running, server_of
from tests.unit.server.test_chat_details import CODE, PAY, READ, SHARED

ASK: Any = {"max_tokens": 64, "messages": [{"role": "user", "content": "Tell me something."}]}
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
AMOUNT = {"type": "object", "properties": {"amount": {"type": "integer"}}, "required": ["amount"]}
RESULT = {"type": "tool_result", "tool_use_id": "a", "content": "fine"}
TOOLS = [{"name": "read_file", "input_schema": SCHEMA}, {"name": "pay", "type": "custom", "input_schema": AMOUNT}]
SAY = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
SCRIPTS: dict[str, dict[tuple[int, int], str]] = {
    "calm": {(0, 0): CALM},
    "rescued": {(0, 0): RUDE, (1, 0): KIND},
    "rude": {(0, 0): RUDE},
    "late": {(0, 0): LATE},
    "two": {(0, 0): f"{CALM} {READ}{PAY}"},
    "calls": {(0, 0): READ + READ},
    "json": {(0, 0): '{"text": "hello"}'},
}


@pytest.fixture(scope="module")
def socket() -> Iterator[str]:
    guardrails = {name: scripted_guardrail(script) for name, script in SCRIPTS.items()}
    for name, call in {"broken": 3, "later": 5}.items():
        fault = Incidents(faults={("extend", call): EngineError("the weights caught fire")})
        guardrails[name] = scripted_guardrail({(0, 0): CALM}, incidents=fault)
    guardrails["thinks"] = rail(written(MIND, CALM))
    guardrails["effort"] = rail(written(MIND, CALM), EFFORTS)
    for name, said in {"booked": f"{CODE} {READ}", "booked-late": f"{CODE} {LATE}"}.items():
        engine = ScriptedEngine(Continuations({(0, 0): said}))
        guardrails[name] = guard(engine, compiled(SHARED), ledger=MemoryLedger())
    with running(server_of(guardrails=guardrails)) as socket:
        yield socket


def post(socket: str, policy: str, **options: Any) -> Any:
    with http(socket) as plain:
        return plain.post("/v1/messages", json={"model": f"{MODEL}:{policy}", **ASK, **options})


def whole(socket: str, policy: str, **options: Any) -> dict[str, Any]:
    answer = post(socket, policy, **options)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def events(text: str) -> list[dict[str, Any]]:
    """The events of a stream; each is named by what it says."""
    found = []
    for part in filter(None, text.split("\n\n")):
        name, _, data = part.partition("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


def gathered(told: list[dict[str, Any]]) -> dict[str, Any]:
    """The message that the events of a stream add up to."""
    assert [told[0]["type"], told[-1]["type"]] == ["message_start", "message_stop"]
    message, parts = told[0]["message"], {"text_delta": "text", "thinking_delta": "thinking"}
    arguments: dict[int, str] = {}
    for event in told[1:-1]:
        if event["type"] == "content_block_start":
            assert event["index"] == len(message["content"])
            message["content"].append(event["content_block"])
        elif event["type"] == "content_block_delta":
            delta, block = event["delta"], message["content"][event["index"]]
            if delta["type"] == "input_json_delta":
                arguments[event["index"]] = arguments.get(event["index"], "") + delta["partial_json"]
            else:
                block[parts[delta["type"]]] += delta[parts[delta["type"]]]
        elif event["type"] == "message_delta":
            message |= {**event["delta"], "usage": event["usage"], "ig_guardrail": event["ig_guardrail"]}
    for index, text in arguments.items():
        message["content"][index]["input"] = json.loads(text)
    return message


def plain(message: dict[str, Any]) -> dict[str, Any]:
    """A message without what differs from one request to the next."""
    content = [{key: value for key, value in block.items() if key != "id"} for block in message["content"]]
    return {**{k: v for k, v in message.items() if k not in ("id", "ig_guardrail")}, "content": content}


@pytest.mark.parametrize(
    ("policy", "options", "said", "reason"),
    [
        ("calm", {}, [CALM], "end_turn"),
        ("rescued", {}, [KIND], "end_turn"),
        ("rude", {}, ["I would rather not say that."], "refusal"),
        ("late", {}, ["The sky looks blue because the air scatters\n\nI stop here."], "refusal"),
        ("calm", {"max_tokens": 4}, ["The sky looks blue"], "max_tokens"),
        (
            "calm",
            {"stop_sequences": ["waves of"]},
            ["The sky looks blue because the air scatters short "],
            "stop_sequence",
        ),
        ("two", {"tools": TOOLS}, [f"{CALM} ", {"name": "a"}, {"amount": 3}], "tool_use"),
        ("two", {"tools": TOOLS, "max_tokens": 20}, [f"{CALM} "], "max_tokens"),
        (
            "calls",
            {"tools": TOOLS, "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
            None,
            "tool_use",
        ),
        ("calm", {"tools": TOOLS, "tool_choice": {"type": "none"}}, [CALM], "end_turn"),
        (
            "json",
            {"output_config": {"format": {"type": "json_schema", "schema": SAY}}},
            ['{"text": "hello"}'],
            "end_turn",
        ),
        ("thinks", {}, [MIND, CALM], "end_turn"),
        ("thinks", {"thinking": {"type": "disabled"}}, None, "end_turn"),
    ],
)
def test_a_stream_adds_up_to_the_whole(
    socket: str, policy: str, options: dict[str, Any], said: list[Any] | None, reason: str
) -> None:
    own = {"ig_guardrail": {"seed": 7}}
    message = whole(socket, policy, **options, **own)
    streamed = gathered(events(post(socket, policy, stream=True, **options, **own).text))
    assert plain(streamed) == plain(message)
    assert message["stop_reason"] == reason
    assert message["stop_sequence"] == ("waves of" if reason == "stop_sequence" else None)
    assert message["usage"]["output_tokens"] == message["ig_guardrail"]["tokens"]["released"] or policy == "two"
    blocks = message["content"]
    assert (
        said is None or [block.get("input") or block.get("thinking") or block.get("text") for block in blocks] == said
    )


def test_a_failed_guard_is_an_error_in_anthropics_form(socket: str) -> None:
    failed = post(socket, "broken")
    assert failed.status_code == 503
    assert failed.json()["type"] == "error"
    assert failed.json()["error"]["type"] == "overloaded_error"
    assert "fire" not in failed.text
    told = events(post(socket, "later", stream=True).text)
    assert "text_delta" in json.dumps(told)
    assert told[-1] == {"type": "error", "error": {**failed.json()["error"]}}


@pytest.mark.parametrize("policy", ["booked", "booked-late"])
def test_an_answer_that_is_given_back_costs_nothing(socket: str, policy: str) -> None:
    own: Any = {"tools": TOOLS, "ig_guardrail": {"conversation": policy}}
    message = whole(socket, policy, **own)
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": [{"type": "text", "text": "fine"}]}
        for block in message["content"]
        if block["type"] == "tool_use"
    ]
    turn = {"role": "assistant", "content": message["content"]}
    asked = [*ASK["messages"], turn, {"role": "user", "content": [*results, {"type": "text", "text": "And?"}]}]
    again = whole(socket, policy, **own, messages=asked)
    assert again["ig_guardrail"]["turn"] == 2
    assert again["ig_guardrail"]["spend"]["drip"]["spent"] == 1.0  # a half for each answer


def test_a_thought_that_is_given_back_is_read(socket: str) -> None:
    turn = {"role": "assistant", "content": whole(socket, "thinks")["content"]}
    asked = [*ASK["messages"], turn, {"role": "user", "content": "And?"}]
    assert whole(socket, "thinks", messages=asked, system=[{"type": "text", "text": "Be brief."}])["content"]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"max_tokens": None}, "max_tokens: "),
        ({"max_tokens": "4"}, "max_tokens: "),
        ({"messages": "x"}, "messages: "),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages[0]: "),
        ({"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]}, "messages[0].content[0]: "),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]},
            "messages[0].content[0].tool_use_id: ",
        ),
        ({"messages": [{"role": "assistant", "content": [{"type": "tool_use"}]}]}, "messages[0].content[0]: "),
        ({"messages": [{"role": "user", "content": [{"type": []}]}]}, "messages[0].content[0]: "),
        ({"system": 3}, "system: "),
        ({"system": [{"type": "text", "text": "Be brief."}, {"type": "image", "source": {}}]}, "system[1]: "),
        ({"messages": [{"role": "user", "content": [RESULT, {"type": "image"}]}]}, "messages[0].content[1]: "),
        (
            {"messages": [{"role": "user", "content": [RESULT, {**RESULT, "content": [{"type": "image"}]}]}]},
            "messages[0].content[1].content[0]: ",
        ),
        ({"stop_sequences": ["x" * 10_000]}, "stop_sequences is "),
        ({"ig_guardrail": {"seed": -1}}, "ig_guardrail.seed: Input"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0]: "),
        ({"tool_choice": {"type": "tool", "name": "fly"}}, "tool_choice is "),
        ({"tool_choice": "auto"}, "tool_choice: "),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name: "),
        ({"tool_choice": {"type": "any"}}, "tool_choice is 'any', and no tools are offered"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens: "),
        ({"stop_sequences": [3]}, "stop_sequences is "),
        ({"stop_sequences": "x"}, "stop_sequences: "),
        ({"thinking": {"type": "enabled", "budget_tokens": -1}}, "thinking.budget_tokens is -1"),
        ({"tools": [{"name": "f", "input_schema": {}}, {"name": "f", "input_schema": {}}]}, "tools[1].name: "),
        ({"tools": [{"name": "f", "description": 3, "input_schema": {}}]}, "tools[0].description: "),
        ({"tools": [{"name": "f", "input_schema": {"enum": []}}]}, "tools: "),
        ({"output_config": {"format": {"type": "json_schema", "schema": {"enum": []}}}}, "output_config.format: "),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format: "),
        (
            {
                "messages": [*ASK["messages"], {"role": "assistant", "content": "{"}],
                "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
            },
            "messages: the last begins the answer, whose form is enforced",
        ),
        (
            {
                "messages": [*ASK["messages"], {"role": "assistant", "content": "Let"}],
                "tools": [{"name": "pay", "input_schema": {"type": "object"}}],
            },
            "messages: the last begins the answer, whose form is enforced",
        ),
        ({"mcp_servers": []}, "mcp_servers: "),
        ({"temprature": 1}, "temprature: unknown"),
        ({"ig_guardrail": {"refusal_style": "text"}}, "ig_guardrail: "),
    ],
)
def test_each_field_is_named(socket: str, given: dict[str, Any], named: str) -> None:
    refused = post(socket, "calm", **given)
    assert refused.status_code == 400, refused.text
    error = refused.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["message"].startswith(named), error


def test_what_parts_carry_beside_is_told(socket: str) -> None:
    told = post(
        socket,
        "calm",
        messages=[{"role": "user", "content": [{"type": "text", "text": "hi", "zeal": 1}], "more": 1}],
        tools=[{"name": "f", "input_schema": {"type": "object"}, "input_examples": [{"a": 1}]}],
        tool_choice={"type": "auto", "zeal": 1},
        thinking={"type": "disabled", "zeal": 1},
    )
    assert told.status_code == 200, told.text
    assert set(told.headers["x-ig-guardrail-ignored"].split(", ")) == {
        *("messages.zeal", "messages.more", "tools.input_examples", "tool_choice.zeal", "thinking.zeal"),
    }


def test_what_is_passed_over_is_told(socket: str) -> None:
    cached = {"type": "text", "text": "Hello.", "cache_control": {"type": "ephemeral"}}
    failed = {"type": "tool_result", "tool_use_id": "1", "content": "no", "is_error": True}
    called = {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "pay", "input": {}}]}
    told = post(
        socket,
        "calm",
        system=[cached],
        messages=[*ASK["messages"], called, {"role": "user", "content": [failed]}],
        metadata={"user_id": "anna"},
        thinking={"type": "enabled", "budget_tokens": 1024},
        output_config={"effort": "low"},
    )
    assert told.status_code == 200, told.text
    assert set(told.headers["x-ig-guardrail-ignored"].split(", ")) == {
        "metadata",
        "messages.is_error",
        "system.cache_control",
        "output_config.effort",
        "thinking",
    }


def test_an_effort_is_told_where_the_template_takes_it(socket: str) -> None:
    for effort, given in (("low", "low"), ("max", None), ("most", None)):
        told = post(socket, "effort", output_config={"effort": effort})
        assert told.json()["ig_guardrail"]["sampling"].get("reasoning_effort") == given
        assert told.headers.get("x-ig-guardrail-ignored") == (None if given else "output_config.effort")


def test_a_key_is_asked_for_in_anthropics_form(tmp_path: Path) -> None:
    keys, secret = tmp_path / "keys.yaml", "ig-test-key"
    keys.write_text(f'"sha256:{sha256(secret.encode()).hexdigest()}": {{tenant: anna}}\n')
    keys.chmod(0o600)
    with running(server_of(guardrails={"calm": scripted_guardrail({(0, 0): CALM})}, keys=keys)) as socket:
        refused = post(socket, "calm")
        assert (refused.status_code, refused.json()["error"]["type"]) == (401, "authentication_error")
        with http(socket, headers={"x-api-key": secret}) as keyed:
            assert keyed.post("/v1/messages", json={"model": MODEL, **ASK}).status_code == 200


def test_tokens_are_counted_as_they_would_be_read(socket: str) -> None:
    asked = {name: value for name, value in ASK.items() if name != "max_tokens"}
    with http(socket) as plain:
        counts = [
            plain.post("/v1/messages/count_tokens", json={"model": f"{MODEL}:calm", **asked, **more}).json()
            for more in ({}, {"system": "Be brief."}, {"tools": TOOLS})
        ]
        refused = plain.post("/v1/messages/count_tokens", json={"model": "other", **asked})
    plainly, told, offered = (count["input_tokens"] for count in counts)
    assert plainly == whole(socket, "calm")["usage"]["input_tokens"]
    assert plainly < told < offered
    assert refused.status_code == 404
    assert refused.json()["error"]["type"] == "not_found_error"
