"""What the official client sees on `/v1/responses`: every outcome, whole and streamed, and chains of responses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from starlette.requests import Request

from ig_guardrail.assembly import guard
from ig_guardrail.engine.scripted.engine import Incidents, ScriptedEngine
from ig_guardrail.engine.scripted.script import Continuations
from ig_guardrail.errors import EngineError
from ig_guardrail.integrations.openai_server.access.callers import Caller
from ig_guardrail.integrations.openai_server.server import Server
from tests.golden.conversations import CALM, LATE, POLITE, RUDE, compiled, scripted_guardrail
from tests.unit.langchain.obliging import JOKE, obliging_guardrail
from tests.unit.langchain.test_thoughts import FREE, MIND, written
from tests.unit.server.serving import MODEL, client, http, running, server_of

SEED: Any = {"seed": 7}
SHARED = compiled(POLITE.replace("budget: 0.0, every: 4", "budget: 0.6, every: 4, scope: conversation"))
IMAGE, GREETING = {"type": "input_image", "image_url": "x"}, {"role": "user", "content": "hi"}
IMAGE_AT, OUTPUT_AT = "input[1].content[0]", "input[1].output[0]"
LATER = Incidents(faults={("extend", 4): EngineError("the weights caught fire")})
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]},
    "strict": True,
}
CALLS = {"arguments": '{"location": "San Francisco, CA"}', "name": "get_weather"}


class ByKey(Server):
    """A key names its tenant, and behind a slash what it may see of receipts."""

    def caller(self, request: Request) -> Caller:
        tenant, _, receipt = request.headers["authorization"].partition("/")
        return Caller(self.served.policies, tenant, receipt=receipt or "full")  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def socket() -> Iterator[str]:
    told = {"calm": CALM, "rude": RUDE, "late": LATE}
    guardrails = {name: scripted_guardrail({(0, 0): text}) for name, text in told.items()}
    guardrails["broken"] = scripted_guardrail({(0, 0): CALM}, incidents=LATER)
    guardrails["obliging"] = obliging_guardrail()
    guardrails["shared"] = obliging_guardrail({"one": RUDE, "two": CALM, "three": RUDE}, SHARED)
    thinker = Continuations({(0, 0): written(MIND, CALM)}, thoughts=FREE)
    guardrails["thinking"] = guard(ScriptedEngine(thinker), compiled())
    server = server_of(guardrails=guardrails)
    with running(ByKey(server.config, server.served)) as socket:
        yield socket


def respond(socket: str, policy: str, asked: Any = "Why is the sky blue?", *, key: str = "a", **options: Any) -> Any:
    with client(socket, key) as official:
        given = {"model": f"{MODEL}:{policy}", "input": asked, "extra_body": SEED, **options}
        answer = official.responses.create(**given)
        return list(answer) if options.get("stream") else answer


def plainly(response: Any) -> Any:
    """A response without what differs from one to the next."""
    told = response.to_dict()
    for name in ("id", "created_at", "completed_at", "ig_guardrail"):
        told.pop(name, None)
    for item in told["output"]:
        item.pop("id")
        item.pop("call_id", None)
    return told


def test_a_completed_response(socket: str) -> None:
    answer = respond(socket, "calm", metadata={"case": "7"}, instructions="Be brief.")
    assert (answer.status, answer.output_text) == ("completed", CALM)
    assert answer.incomplete_details is None
    assert answer.metadata == {"case": "7"}
    assert answer.instructions == "Be brief."
    assert answer.usage.output_tokens == answer.ig_guardrail["tokens"]["released"]
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    assert answer.ig_guardrail["verdict"]["outcome"] == "completed"


def test_a_refusal_is_a_part_of_its_message(socket: str) -> None:
    answer = respond(socket, "rude")
    ((part,),) = [item.content for item in answer.output]
    assert (answer.status, part.type, part.refusal) == ("completed", "refusal", "I would rather not say that.")
    assert answer.output_text == ""


def test_an_ended_answer_keeps_its_beginning(socket: str) -> None:
    answer = respond(socket, "late")
    (message,) = answer.output
    assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "content_filter")
    assert [part.type for part in message.content] == ["output_text", "refusal"]
    assert LATE.startswith(answer.output_text)
    assert "blockhead" not in answer.to_json()
    assert message.content[1].refusal == "\n\nI stop here."


def test_length_is_told(socket: str) -> None:
    answer = respond(socket, "calm", max_output_tokens=6)
    assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert CALM.startswith(answer.output_text)


@pytest.mark.parametrize("policy", ["calm", "rude", "late", "obliging", "thinking"])
def test_a_stream_tells_of_the_same_response(socket: str, policy: str) -> None:
    options: dict[str, Any] = {"tools": [WEATHER]} if policy == "obliging" else {}
    whole = respond(socket, policy, **options)
    with (
        client(socket, "a") as official,
        official.responses.stream(
            model=f"{MODEL}:{policy}", input="Why is the sky blue?", extra_body=SEED, **options
        ) as stream,
    ):
        events = list(stream)
        last = events[-1].response
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == f"response.{whole.status}"
    assert kinds.count("response.output_item.added") == kinds.count("response.output_item.done") == len(whole.output)
    assert kinds.count("response.content_part.added") == kinds.count("response.content_part.done")
    assert _output_of(events) == [_texts(item) for item in plainly(last)["output"]]
    assert plainly(last) | {"output": 0} == plainly(whole) | {"output": 0}


def _output_of(events: list[Any]) -> list[str]:
    """The texts of a response's items, from deltas alone."""
    found: dict[int, str] = {}
    for event in events:
        if event.type.endswith(".delta"):
            found[event.output_index] = found.get(event.output_index, "") + event.delta
    return [found[index] for index in sorted(found)]


def _texts(item: Any) -> str:
    if item["type"] == "function_call":
        return str(item["arguments"])
    return "".join(part.get("text", "") + part.get("refusal", "") for part in item["content"])


def test_calls_and_their_results(socket: str) -> None:
    first = respond(socket, "obliging", "How is the weather?", tools=[WEATHER], tool_choice="required")
    (call,) = first.output
    assert {name: getattr(call, name) for name in CALLS} == CALLS
    assert (first.status, call.status) == ("completed", "completed")
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "Sunny."}
    second = respond(socket, "obliging", [result], tools=[WEATHER], previous_response_id=first.id)
    assert second.output_text == CALM
    asked = [{"role": "user", "content": "How is the weather?"}, call.to_dict(), result]
    assert respond(socket, "obliging", asked, tools=[WEATHER]).output_text == CALM
    named = {"type": "item_reference", "id": call.id}
    assert respond(socket, "obliging", [asked[0], named, result], tools=[WEATHER]).output_text == CALM
    with pytest.raises(openai.BadRequestError, match="no item"):
        respond(socket, "obliging", [asked[0], named, result], tools=[WEATHER], key="b")


def test_a_call_that_was_cut_off_is_not_shown(socket: str) -> None:
    events = respond(socket, "obliging", "How?", tools=[WEATHER], max_output_tokens=4, stream=True)
    answer = events[-1].response
    assert events[-1].type == "response.incomplete"
    assert answer.incomplete_details.reason == "max_output_tokens"
    assert not any("call" in event.type for event in events)
    assert all(item.type == "message" and answer.output_text == "" for item in answer.output)


def test_choices_of_tools(socket: str) -> None:
    numbers = {"type": "object", "properties": {name: {"type": "integer"} for name in "ab"}, "required": ["a", "b"]}
    other = {**WEATHER, "name": "my_adder_tool", "parameters": numbers}
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "my_adder_tool"}]}
    named = {"type": "function", "name": "get_weather"}
    for choice, name in ((allowed, "my_adder_tool"), (named, "get_weather")):
        (call,) = respond(socket, "obliging", "Hi", tools=[WEATHER, other], tool_choice=choice).output
        assert call.name == name
    assert respond(socket, "obliging", "Hi", tools=[WEATHER], tool_choice="none").output_text == CALM


def test_json_that_keeps_to_a_schema(socket: str) -> None:
    schema = {
        "type": "object",
        "properties": {key: {"type": "string"} for key in JOKE},
        "required": [*JOKE],
        "additionalProperties": False,
    }
    form: Any = {"format": {"type": "json_schema", "name": "Joke", "schema": schema, "strict": True}}
    assert json.loads(respond(socket, "obliging", "A joke.", text=form).output_text) == JOKE
    assert json.loads(respond(socket, "obliging", "A joke.", text={"format": {"type": "json_object"}}).output_text)


def test_thoughts_are_items_and_come_back(socket: str) -> None:
    thought, message = respond(socket, "thinking").output
    assert (thought.type, thought.content[0].text, thought.summary) == ("reasoning", MIND, [])
    assert message.content[0].text == CALM
    summed = respond(socket, "thinking", reasoning={"effort": "low", "summary": "auto"})
    assert summed.output[0].summary[0].text == MIND
    items = [
        {"role": "user", "content": "Why?"},
        thought.to_dict(),
        message.to_dict(),
        {"role": "user", "content": "?"},
    ]
    assert respond(socket, "thinking", items).output_text == CALM


def test_log_probabilities(socket: str) -> None:
    asked: Any = {"include": ["message.output_text.logprobs"], "top_logprobs": 1}
    for answer in (respond(socket, "calm", **asked), respond(socket, "calm", stream=True, **asked)[-1].response):
        told = answer.output[0].content[0].logprobs
        assert "".join(one.token for one in told) == CALM
        assert len(told[0].top_logprobs) == 1
    deltas = [one for one in respond(socket, "calm", stream=True, **asked) if one.type == "response.output_text.delta"]
    assert len(deltas) > 2
    assert all("".join(one.token for one in delta.logprobs) == delta.delta for delta in deltas)


def test_a_chain_spends_one_budget_on_every_branch(socket: str) -> None:
    first = respond(socket, "shared", "one")
    assert first.output_text == RUDE
    for stream in (False, True):
        again = respond(socket, "shared", "three", previous_response_id=first.id, stream=stream)
        answer = again[-1].response if stream else again
        assert answer.output[0].content[-1].type == "refusal"
        assert "blockhead" not in answer.to_json()
        assert answer.previous_response_id == first.id
    calm = respond(socket, "shared", "two", previous_response_id=first.id)
    assert calm.output_text == CALM  # nothing is charged twice
    last = respond(socket, "shared", "three", previous_response_id=calm.id)
    assert last.output[0].content[-1].type == "refusal"
    named: Any = [{"type": "item_reference", "id": first.output[0].id}, {"role": "user", "content": "three"}]
    assert respond(socket, "shared", named).output[0].content[-1].type == "refusal"
    other = respond(socket, "shared", "one")
    assert other.output_text == RUDE  # another chain
    with pytest.raises(openai.BadRequestError, match="several conversations"):
        respond(socket, "shared", named, previous_response_id=other.id)


def test_the_conversation_is_the_chains_or_the_callers(socket: str) -> None:
    def named(conversation: str, **more: Any) -> Any:
        body = {**SEED, "ig_guardrail": {"conversation": conversation}}
        return respond(socket, "shared", "one", extra_body=body, **more)

    assert named("ours").output_text == RUDE
    second = named("ours", store=False)
    assert second.output[0].content[-1].type == "refusal"
    first = respond(socket, "shared", "two")
    with pytest.raises(openai.BadRequestError) as other:
        named("ours", previous_response_id=first.id)
    assert other.value.param == "ig_guardrail.conversation"
    with pytest.raises(openai.BadRequestError) as nameless:
        respond(socket, "shared", "one", store=False)
    assert nameless.value.param == "ig_guardrail.conversation"


def test_what_is_kept_belongs_to_a_tenant(socket: str) -> None:
    kept, lost = respond(socket, "calm"), respond(socket, "calm", store=False)
    with client(socket, "a/none") as blind:
        assert blind.responses.retrieve(kept.id).to_dict() == {**kept.to_dict(), "ig_guardrail": {}}
    with client(socket, "a") as ours, client(socket, "b") as theirs:
        assert ours.responses.retrieve(kept.id).to_dict() == kept.to_dict()
        for official, name in ((theirs, kept.id), (ours, lost.id), (ours, "resp_0")):
            with pytest.raises(openai.NotFoundError):
                official.responses.retrieve(name)
            with pytest.raises(openai.NotFoundError):
                official.responses.delete(name)
        with pytest.raises(openai.BadRequestError) as stolen:
            respond(socket, "calm", previous_response_id=kept.id, key="b")
        ours.responses.delete(kept.id)
        with pytest.raises(openai.BadRequestError) as gone:
            respond(socket, "calm", previous_response_id=kept.id)
    for refused in (stolen.value, gone.value):
        assert (refused.param, refused.code) == ("previous_response_id", "previous_response_not_found")


def test_a_failure_is_told_whenever_it_comes(socket: str) -> None:
    guardrails = [scripted_guardrail({(0, 0): CALM}, incidents=LATER) for _ in range(2)]
    with running(server_of(guardrails=dict(zip("ab", guardrails, strict=True)))) as fresh:
        with pytest.raises(openai.APIStatusError) as whole:
            respond(fresh, "a")
        assert (whole.value.status_code, whole.value.code) == (503, "guard_unavailable")
        with http(fresh) as plain:
            asked = {"model": f"{MODEL}:b", "input": "hi", "stream": True, **SEED}
            lines = plain.post("/v1/responses", json=asked).text.splitlines()
    *_, error, failed = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    assert (error["type"], error["error"]["code"], error["code"]) == ("error", *["guard_unavailable"] * 2)
    assert (failed["type"], failed["response"]["status"]) == ("response.failed", "failed")
    assert failed["response"]["error"]["code"] == "server_error"
    assert "fire" not in "".join(lines)
    assert lines[-2] == "data: [DONE]"


def test_fields_are_honoured_told_or_refused(socket: str) -> None:
    ignored = {"user": "anna", "truncation": "auto", "reasoning": {"effort": "high"}, "text": {"verbosity": "low"}}
    sealed = {"include": ["reasoning.encrypted_content"]}
    asked = [{"role": "assistant", "content": "hi", "phase": "commentary"}, {"role": "user", "content": "hi"}]
    with http(socket, headers={"authorization": "a"}) as plain:
        answer = plain.post("/v1/responses", json={"model": MODEL, "input": asked, **ignored, **sealed})
    assert answer.headers["x-ig-guardrail-ignored"] == (
        "include.reasoning.encrypted_content, text.verbosity, truncation, user, reasoning.effort, input.phase"
    )


def test_what_parts_carry_beside_is_told(socket: str) -> None:
    function = {"type": "function", "name": "f", "parameters": {"type": "object"}, "zeal": 1}
    asked = {
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "hi", "zeal": 1}]}],
        "tools": [function],
        "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [function], "zeal": 1},
        "text": {"format": {"type": "text", "zeal": 1}},
        "top_logprobs": 2,
    }
    with http(socket, headers={"authorization": "a"}) as plain:
        answer = plain.post("/v1/responses", json={"model": MODEL, **asked})
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-ig-guardrail-ignored"] == (
        "text.format.zeal, tool_choice.zeal, tools.zeal, top_logprobs, input.content.zeal"
    )


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": [3]}, "input[0]"),
        ({"input": [{"type": "poem"}]}, "input[0].type"),
        ({"input": [{"role": "poet", "content": "x"}]}, "input[0].role"),
        ({"input": [{"type": "function_call", "name": "a", "arguments": "["}]}, "input[0].arguments"),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, "input[0].call_id"),
        ({"input": [{"type": "function_call_output", "call_id": "a", "output": 3}]}, "input[0].output"),
        ({"input": [{"type": "function_call_output", "call_id": "a", "output": [None]}]}, "input[0].output"),
        ({"input": [{"type": "reasoning", "summary": [3]}]}, "input[0].summary"),
        ({"input": [{"role": "user", "content": [{"type": "text", "text": "a"}, IMAGE]}]}, "input[0].content[1]"),
        ({"instructions": "Be brief.", "input": [GREETING, {"role": "user", "content": [IMAGE]}]}, IMAGE_AT),
        ({"input": [GREETING, {"type": "function_call_output", "call_id": "a", "output": [IMAGE]}]}, OUTPUT_AT),
        ({"input": [GREETING] * 40_000}, "input"),
        ({"background": True, "store": False}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "x"}}, "prompt"),
        ({"instructions": 3}, "instructions"),
        ({"instructions": []}, "instructions"),
        ({"metadata": {"a": 3}}, "metadata"),
        ({"tools": [{"type": "web_search"}]}, "tools[0]"),
        ({"tools": [{"type": "function", "name": "f", "parameters": {"enum": []}}]}, "tools"),
        ({"tools": [{"type": "function", "name": "f", "strict": 3}]}, "tools[0].strict"),
        ({"text": {"format": {"type": "json_schema", "name": "x", "schema": {"enum": []}}}}, "text.format"),
        ({"ig_guardrail": {"language": "!!"}}, "ig_guardrail.language"),
        ({"tool_choice": {"type": "mcp"}}, "tool_choice"),
        ({"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"name": "a"}]}}, "tool_choice.tools"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format"),
        ({"reasoning": {"budget": 3}}, "reasoning"),
        ({"include": ["file_search_call.results"]}, "include"),
        ({"top_logprobs": True}, "top_logprobs"),
        ({"truncation": "half"}, "truncation"),
        ({"max_output_tokens": 10**9}, "max_output_tokens"),
        ({"stream_options": {"include_obfuscation": True}}, "stream_options"),
        ({"previous_response_id": "resp_x"}, "previous_response_id"),
        ({"inputs": "x"}, "inputs"),
    ],
)
def test_what_cannot_be_served_is_refused_by_name(socket: str, given: dict[str, Any], param: str | None) -> None:
    with http(socket, headers={"authorization": "a"}) as plain:
        answer = plain.post("/v1/responses", json={"model": MODEL, "input": "hi", **given})
    error = answer.json()["error"]
    assert answer.status_code == 400, answer.text
    assert param is None or error["param"] == param
    assert "messages[" not in error["message"]
    assert not error["message"].startswith(("messages", "max_tokens"))
    assert error["type"] == "invalid_request_error"
    assert error["message"]


def test_the_input_of_a_chain_is_listed(socket: str) -> None:
    first = respond(socket, "calm", "Why is the sky blue?")
    second = respond(socket, "calm", [{"role": "user", "content": "And the sea?"}], previous_response_id=first.id)
    with client(socket, "a") as official:
        listed = list(official.responses.input_items.list(second.id, order="asc", limit=2))
        latest = official.responses.input_items.list(second.id, limit=1)
        counted = official.responses.input_tokens.count(
            model=f"{MODEL}:calm", input="And the sea?", previous_response_id=first.id
        )
        with pytest.raises(openai.BadRequestError, match="1 to 100"):
            official.responses.input_items.list(second.id, limit=101)
        with pytest.raises(openai.NotFoundError):
            official.responses.input_items.list("resp_none")
    assert [item.type for item in listed] == ["message"] * 3
    assert listed[0].content[0].text == "Why is the sky blue?"
    assert listed[1].id == first.output[0].id
    assert latest.data[0].id == listed[2].id
    assert latest.has_more
    assert counted.input_tokens == second.usage.input_tokens
    with client(socket, "b") as official, pytest.raises(openai.NotFoundError):
        official.responses.input_items.list(second.id)
