"""Chat completions in detail: tools, forms, several answers, refusal styles, history, and what goes wrong."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from ig_guardrail.assembly import guard
from ig_guardrail.engine.grammar import compiling
from ig_guardrail.engine.grammar.grammar import Grammars
from ig_guardrail.engine.scripted.engine import Incidents, ScriptedEngine
from ig_guardrail.engine.scripted.script import Continuations
from ig_guardrail.errors import EngineError
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.ledger import MemoryLedger
from ig_guardrail.text.calls import format_call
from tests.golden.conversations import CALM, LATE, POLITE, RUDE, compiled, scripted_guardrail
from tests.unit.langchain.test_thoughts import EFFORTS, MIND, rail, written
from tests.unit.server.asgi import toy_rail
from tests.unit.server.serving import MODEL, client, http, running, server_of

ASK: Any = {"model": MODEL, "messages": [{"role": "user", "content": "Tell me something."}], "seed": 7}
READ, PAY = format_call("read_file", {"name": "a"}), format_call("pay", {"amount": 3})
SHARED = POLITE.replace(
    "budgets:\n",
    "  codes: {kind: pattern, hazards: [prv], patterns: ['codeword'], longest_match: 8, timeout_ms: 60000}\nbudgets:\n"
    "  - {id: drip, hazards: [prv], cost: codes, threshold: 0.5, budget: 50, scope: conversation, every: 4}\n",
)
CODE = "The codeword is for you, my friend."


def tool(name: str, argument: str, kind: str) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {argument: {"type": kind}}, "required": [argument]}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


TOOLS = [tool("read_file", "name", "string"), tool("pay", "amount", "integer")]


CLOSED = {"type": "object", "properties": {}, "additionalProperties": False}


def form(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "said", "schema": schema}}


def called(**parts: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, **parts}}


NAMED = {"type": "function", "function": {"name": "pay"}}
INSULT, LATER = json.dumps({"text": "you blockhead"}), json.dumps({"text": LATE})


class Said(BaseModel):
    text: str


def stalled(released: threading.Event, call: int) -> Guardrail:
    """A guardrail whose engine waits at that block until it is released."""
    return scripted_guardrail({(0, 0): CALM}, incidents=Incidents(gates={("extend", call): released}))


def scripts() -> dict[str, Guardrail]:
    told: dict[str, dict[tuple[int, int], str]] = {
        "calm": {(0, 0): CALM},
        "rude": {(0, 0): RUDE},
        "late": {(0, 0): LATE},
        "call": {(0, 0): f"{CALM} {READ}"},
        "two": {(0, 0): READ + PAY},
        "pay": {(0, 0): PAY},
        "json": {(0, 0): json.dumps({"text": "hello"})},
        "insult": {(0, 0): INSULT},
        "insult-later": {(0, 0): LATER},
    }
    made = {name: scripted_guardrail(script) for name, script in told.items()}
    broken = Incidents(faults={("extend", 5): EngineError("the weights caught fire")})
    made["broken"] = scripted_guardrail({(0, 0): CALM}, incidents=broken)
    made["small"] = scripted_guardrail({(0, 0): CALM}, context=16)
    made["toy"] = toy_rail()
    made["thinks"] = rail(written(MIND, CALM))
    made["effort"] = rail(written(MIND, CALM), EFFORTS)
    for name, said in {"booked": CODE, "booked-late": f"{CODE} {LATE}", "booked-call": f"{CODE} {READ}"}.items():
        made[name] = guard(ScriptedEngine(Continuations({(0, 0): said})), compiled(SHARED), ledger=MemoryLedger())
    return made


@pytest.fixture(scope="module")
def socket() -> Iterator[str]:
    with running(server_of(guardrails=scripts())) as socket:
        yield socket


def ask(socket: str, policy: str, **options: Any) -> Any:
    with client(socket) as official:
        answer = official.chat.completions.create(**{**ASK, "model": f"{MODEL}:{policy}", **options})
        return list(answer) if options.get("stream") else answer


def deltas(chunks: list[Any]) -> list[Any]:
    return [chunk.choices[0].delta for chunk in chunks if chunk.choices]


@pytest.mark.parametrize(
    ("policy", "choice", "calls", "finish"),
    [
        ("call", "auto", ["read_file"], "tool_calls"),
        ("two", "required", ["read_file", "pay"], "tool_calls"),
        ("pay", NAMED, ["pay"], "stop"),
        ("calm", "none", [], "stop"),
        (
            "pay",
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [NAMED]}},
            ["pay"],
            "tool_calls",
        ),
    ],
)
def test_tools_by_every_choice(socket: str, policy: str, choice: Any, calls: list[str], finish: str) -> None:
    whole = ask(socket, policy, tools=TOOLS, tool_choice=choice).choices[0]
    assert [call.function.name for call in whole.message.tool_calls or ()] == calls
    assert whole.finish_reason == finish
    chunks = ask(socket, policy, tools=TOOLS, tool_choice=choice, stream=True)
    made = [call for delta in deltas(chunks) for call in delta.tool_calls or ()]
    assert [(call.index, call.function.name) for call in made] == list(enumerate(calls))
    assert all(call.id and json.loads(call.function.arguments) for call in made)
    assert chunks[-1].choices[0].finish_reason == finish
    assert "".join(delta.content or "" for delta in deltas(chunks)) == (whole.message.content or "")


def test_one_call_where_they_may_not_be_parallel(socket: str) -> None:
    whole = ask(socket, "two", tools=TOOLS, parallel_tool_calls=False).choices[0]
    assert [call.function.name for call in whole.message.tool_calls] == ["read_file"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_is_cut_off_is_never_shown(socket: str, stream: bool) -> None:
    answer = ask(socket, "call", tools=TOOLS, max_tokens=20, stream=stream)
    told = deltas(answer) if stream else [answer.choices[0].message]
    assert not any(one.tool_calls for one in told)
    assert "".join(one.content or "" for one in told).strip() == CALM
    assert (answer[-1] if stream else answer).choices[0].finish_reason == "length"


def test_a_value_is_parsed_by_the_official_client(socket: str) -> None:
    with client(socket) as official:
        asked = {**ASK, "model": f"{MODEL}:json", "response_format": Said}
        assert official.chat.completions.parse(**asked).choices[0].message.parsed == Said(text="hello")
        with official.chat.completions.stream(**asked) as stream:
            assert stream.get_final_completion().choices[0].message.parsed == Said(text="hello")
        assert ask(socket, "json", response_format={"type": "json_object"}).choices[0].message.content
        with pytest.raises(openai.ContentFilterFinishReasonError):
            official.chat.completions.parse(**{**asked, "model": f"{MODEL}:insult"})
        style = {"ig_guardrail": {"refusal_style": "openai"}}
        refused = official.chat.completions.parse(**{**asked, "model": f"{MODEL}:insult"}, extra_body=style)
        assert refused.choices[0].message.parsed is None
        assert refused.choices[0].message.refusal == "I would rather not say that."


@pytest.mark.parametrize("style", ["filter", "text"])
def test_no_prose_stands_behind_the_beginning_of_a_value(socket: str, style: str) -> None:
    own: Any = {"response_format": {"type": "json_object"}, "extra_body": {"ig_guardrail": {"refusal_style": style}}}
    choice = ask(socket, "insult-later", **own).choices[0]
    assert choice.message.content
    assert LATER.startswith(choice.message.content)
    assert choice.finish_reason == "content_filter"
    text = "".join(delta.content or "" for delta in deltas(ask(socket, "insult-later", stream=True, **own)))
    assert text == choice.message.content


def test_several_answers(socket: str) -> None:
    whole = ask(socket, "calm", n=3)
    assert [choice.index for choice in whole.choices] == [0, 1, 2]
    assert {choice.message.content for choice in whole.choices} == {CALM}
    assert len(whole.ig_guardrail["choices"]) == 3
    one = ask(socket, "calm").usage
    assert whole.usage.prompt_tokens == one.prompt_tokens
    assert whole.usage.completion_tokens == 3 * one.completion_tokens
    chunks = ask(socket, "calm", n=3, stream=True, stream_options={"include_usage": True})
    text = ["", "", ""]
    for chunk in chunks[:-1]:
        text[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert text == [CALM] * 3
    assert sum(chunk.choices[0].finish_reason == "stop" for chunk in chunks[:-1]) == 3
    assert chunks[-1].usage == whole.usage


@pytest.mark.parametrize(("policy", "untold"), [("calm", None), ("toy", "top_logprobs")])
def test_alternatives_that_are_not_told_are_named(socket: str, policy: str, untold: str | None) -> None:
    asked = {**ASK, "model": f"{MODEL}:{policy}", "max_tokens": 3, "logprobs": True, "top_logprobs": 3}
    included = {"include": ["message.output_text.logprobs"], "max_output_tokens": 3, "top_logprobs": 3}
    with http(socket) as plain:
        for path, body in (
            ("chat/completions", asked),
            ("chat/completions", {**asked, "stream": True}),
            ("responses", {"model": asked["model"], "input": "Go.", **included}),
        ):
            answer = plain.post(f"/v1/{path}", json=body)
            assert answer.status_code == 200, answer.text
            assert answer.headers.get("x-ig-guardrail-ignored") == untold


def test_logprobs_stop_and_length(socket: str) -> None:
    whole = ask(socket, "calm", logprobs=True, top_logprobs=1, stop=["waves of"]).choices[0]
    told = whole.logprobs.content
    assert whole.message.content == "The sky looks blue because the air scatters short "
    assert whole.message.content.startswith("".join(one.token for one in told).rstrip())
    assert all(len(one.top_logprobs) == 1 for one in told)
    chunks = ask(socket, "calm", logprobs=True, stop="waves of", stream=True)
    shown, streamed = "", []
    for chunk in chunks:
        shown += chunk.choices[0].delta.content or ""
        streamed += [one.token for one in (chunk.choices[0].logprobs or told_nothing()).content]
        assert shown.startswith("".join(streamed))
        assert len(shown) - len("".join(streamed)) < len(" scatters ")
    assert streamed == [one.token for one in told]
    assert ask(socket, "calm", max_tokens=4).choices[0].finish_reason == "length"


def told_nothing() -> Any:
    class Nothing:
        content: tuple[Any, ...] = ()

    return Nothing


@pytest.mark.parametrize("style", ["filter", "openai", "text"])
@pytest.mark.parametrize("policy", ["rude", "late"])
def test_styles_of_refusal(socket: str, style: str, policy: str) -> None:
    own = {"ig_guardrail": {"refusal_style": style}}
    choice = ask(socket, policy, extra_body=own).choices[0]
    chunks = ask(socket, policy, extra_body=own, stream=True)
    text = "".join(delta.content or "" for delta in deltas(chunks))
    refusal = "".join(delta.refusal or "" for delta in deltas(chunks))
    said = "I would rather not say that." if policy == "rude" else "\n\nI stop here."
    assert (text + refusal).endswith(said)
    assert text == (choice.message.content or "")
    assert refusal == (choice.message.refusal or "")
    assert bool(refusal) == (style != "text")
    assert choice.finish_reason == chunks[-1].choices[0].finish_reason
    assert choice.finish_reason == ("stop" if style == "openai" else "content_filter")


@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_as_a_status(socket: str, stream: bool) -> None:
    own: Any = {"extra_body": {"ig_guardrail": {"refusal_style": "http400"}}, "stream": stream}
    with pytest.raises(openai.BadRequestError) as refused:
        ask(socket, "rude", **own)
    assert refused.value.code == "content_filter"
    late = ask(socket, "late", **own)
    assert (late[-1] if stream else late).choices[0].finish_reason == "content_filter"
    assert ask(socket, "rude", n=2, **own)


def test_thoughts_stand_beside_the_answer(socket: str) -> None:
    message = ask(socket, "thinks").choices[0].message
    assert (message.reasoning_content, message.content) == (MIND, CALM)
    chunks = ask(socket, "thinks", stream=True)
    assert "".join(getattr(delta, "reasoning_content", "") for delta in deltas(chunks)) == MIND
    assert not hasattr(ask(socket, "thinks", reasoning_effort="none").choices[0].message, "reasoning_content")


@pytest.mark.parametrize(
    ("policy", "asked", "given"),
    [
        ("effort", {"reasoning_effort": "low"}, "low"),
        ("effort", {"reasoning_effort": "medium"}, None),
        ("thinks", {"reasoning_effort": "low"}, None),
        ("calm", {"reasoning_effort": "low"}, None),
        ("effort", {"reasoning_effort": "low", "ig_guardrail": {"reasoning": "off"}}, None),
    ],
)
def test_an_effort_is_told_where_the_template_takes_it(
    socket: str, policy: str, asked: dict[str, Any], given: str | None
) -> None:
    with http(socket) as plain:
        answer = plain.post("/v1/chat/completions", json={**ASK, "model": f"{MODEL}:{policy}", **asked})
    assert answer.json()["choices"][0]["message"]["content"] == CALM
    assert answer.json()["ig_guardrail"]["sampling"].get("reasoning_effort") == given
    assert answer.headers.get("x-ig-guardrail-ignored") == (None if given else "reasoning_effort")


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_that_is_too_long(socket: str, stream: bool) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        ask(socket, "small", stream=stream, messages=[{"role": "user", "content": "word " * 40}])
    assert refused.value.code == "context_length_exceeded"
    assert refused.value.param == "messages"


def test_an_error_in_mid_stream_is_an_event(socket: str) -> None:
    with client(socket) as official:
        stream = official.chat.completions.create(**{**ASK, "model": f"{MODEL}:broken"}, stream=True)
        first = next(stream)
        assert first.choices[0].delta.role == "assistant"
        with pytest.raises(openai.APIError) as failed:
            list(stream)
    assert failed.value.code == "guard_unavailable"
    assert "fire" not in str(failed.value)


@pytest.mark.parametrize("policy", ["booked", "booked-late", "booked-call"])
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_is_given_back_costs_nothing(socket: str, policy: str, stream: bool) -> None:
    own: Any = {"tools": TOOLS, "extra_body": {"ig_guardrail": {"conversation": f"{policy} {stream}"}}}
    with client(socket) as official:
        asked = {**ASK, **own, "model": f"{MODEL}:{policy}"}
        if stream:
            with official.chat.completions.stream(**asked) as events:
                message = [event for event in events if event.type == "chunk"][-1].snapshot.choices[0].message
        else:
            message = official.chat.completions.create(**asked).choices[0].message
        given = [*ASK["messages"], message.model_dump(exclude_none=True)]
        given += [{"role": "tool", "tool_call_id": call.id, "content": "fine"} for call in message.tool_calls or ()]
        given += [{"role": "user", "content": "And?"}]
        again = official.chat.completions.create(**{**asked, "messages": given})
    assert again.ig_guardrail["turn"] == 2
    assert again.ig_guardrail["spend"]["drip"]["spent"] == 1.0  # a half for each answer


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"messages": [{"role": "assistant", "content": "x", "tool_calls": 3}]}, "messages[0].tool_calls"),
        ({"parallel_tool_calls": "yes"}, "parallel_tool_calls"),
        ({"logprobs": "yes"}, "logprobs"),
        ({"temperature": "0.5"}, "temperature"),
        ({"seed": True}, "seed"),
        ({"seed": -1}, "seed"),
        ({"temperature": 1e9}, "temperature"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
        ({"max_completion_tokens": 10**9}, "max_completion_tokens"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0]"),
        ({"top_logprobs": 99}, "top_logprobs"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": 3}, "tools"),
        ({"tool_choice": NAMED}, "tool_choice"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"reasoning_effort": 3}, "reasoning_effort"),
        ({"modalities": ["audio"]}, "modalities"),
        ({"ig_guardrail": {"refusal_style": "loud"}}, "ig_guardrail.refusal_style"),
        ({"ig_guardrail": {"max_reasoning_tokens": True}}, "ig_guardrail.max_reasoning_tokens"),
        ({"ig_guardrail": {"max_reasoning_tokens": "12"}}, "ig_guardrail.max_reasoning_tokens"),
        ({"ig_guardrail": {"prompt_cache": "no"}}, "ig_guardrail.prompt_cache"),
        ({"logit_bias": {"7": True}}, "logit_bias"),
        ({"logit_bias": [[7, 1]]}, "logit_bias"),
        ({"ig_guardrail": {"language": "!!"}}, "ig_guardrail.language"),
        ({"ig_guardrail": {"strategy": "none at all"}}, "ig_guardrail.strategy"),
        ({"stream": True, "stream_options": {"include_usage": "yes"}}, "stream_options.include_usage"),
        ({"response_format": {"x": 1}}, "response_format"),
        ({"response_format": {"type": "object"}}, "response_format"),
        ({"response_format": {"type": "json_object", "schema": {}}}, "response_format.schema"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}, "response_format.json_schema"),
        ({"response_format": form({"enum": []})}, "response_format"),
        ({"response_format": form({"const": "x" * 900}), "max_tokens": 16}, "response_format"),
        ({"tools": [called(parameters={"enum": []})]}, "tools"),
        ({"tools": [called(parameters={"enum": []})], "response_format": {"type": "text"}}, "tools"),
        ({"tools": [called(parameters=[])]}, "tools[0].function.parameters"),
        ({"tools": [called(description=3)]}, "tools[0].function.description"),
        ({"tools": [called(strict=3)]}, "tools[0].function.strict"),
        ({"tools": [called(), called()]}, "tools[1].function.name"),
        ({"tools": [called(name="f" * 300)]}, "tools"),
        ({"tools": TOOLS, "tool_choice": {}}, "tool_choice"),
        ({"tools": TOOLS, "tool_choice": 0}, "tool_choice"),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {}}}, "tool_choice"),
    ],
)
def test_each_field_is_named(socket: str, given: dict[str, Any], param: str) -> None:
    with http(socket) as plain:
        answer = plain.post("/v1/chat/completions", json={**ASK, **given})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize("body", [b'{"model": "\\ud800"}', b'{"a": NaN}', '{"model": "ö"}'.encode("latin-1")])
def test_what_is_no_text_is_no_body(socket: str, body: bytes) -> None:
    with http(socket) as plain:
        answer = plain.post("/v1/chat/completions", content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_json")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"tool_choice": "required"}, "tool_choice is 'required', and no tools are offered"),
        (
            {"max_tokens": 8, "max_completion_tokens": 9},
            "max_completion_tokens: max_tokens is 8, and max_completion_tokens is 9",
        ),
        ({"max_completion_tokens": 0}, "max_completion_tokens is 0"),
        ({"seed": "x"}, "seed: it is no whole number"),
        ({"n": "x"}, "n: it is no whole number"),
        ({"messages": [{"role": "user"}]}, "messages[0].content: it is neither a text nor a list of parts"),
        ({"temprature": 1}, "unknown parameter 'temprature'; did you mean 'temperature'?"),
    ],
)
def test_each_fault_is_told_in_words_of_the_body(socket: str, given: dict[str, Any], said: str) -> None:
    with http(socket) as plain:
        answer = plain.post("/v1/chat/completions", json={**ASK, **given})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["message"].splitlines()[0] == said


@pytest.mark.parametrize("stream", [False, True])
def test_a_form_that_the_host_has_no_time_for_may_be_asked_for_again(
    socket: str, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    free, compile_ = threading.Event(), Grammars._compile
    schema = {"type": "object", "properties": {"text": {"type": "string", "maxLength": 20 + stream}}}
    asked = {**ASK, "model": f"{MODEL}:json", "response_format": form(schema)}
    monkeypatch.setattr(Grammars, "_compile", lambda self, text: compile_(self, text) if free.wait(30) else None)
    monkeypatch.setattr(compiling, "WORKED_S", 0.05)
    monkeypatch.setattr(compiling, "WAITED_S", 0.2)
    with http(socket) as plain:
        late = plain.post("/v1/chat/completions", json={**asked, "stream": stream})
        monkeypatch.undo()
        free.set()
        again = plain.post("/v1/chat/completions", json={**asked, "stream": stream})
    assert (late.status_code, late.headers["retry-after"]) == (503, "1")
    assert late.json()["error"]["code"] == "guard_unavailable"
    assert again.status_code == 200


def test_what_messages_carry_beside_is_told(socket: str) -> None:
    part = {"type": "text", "text": "Hello.", "cache_control": {"type": "ephemeral"}}
    asked = {**ASK, "messages": [{"role": "user", "name": "anna", "content": [part]}], "reasoning_effort": "low"}
    with http(socket) as plain:
        answer = plain.post("/v1/chat/completions", json=asked)
    told = answer.headers["x-ig-guardrail-ignored"]
    assert told == "messages.name, messages.content.cache_control, reasoning_effort"
    with http(socket) as plain:
        streamed = {**ASK, "stream": True, "stream_options": {"include_obfuscation": True}}
        hidden = plain.post("/v1/chat/completions", json=streamed)
    assert hidden.headers["x-ig-guardrail-ignored"] == "stream_options.include_obfuscation"


def test_what_parts_carry_beside_is_told(socket: str) -> None:
    asked = {
        "tools": [{**called(parameters=CLOSED, zeal=1), "cache_control": {"type": "ephemeral"}}],
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [called()], "zeal": 1}},
        "response_format": {"type": "text", "zeal": 1},
        "messages": [
            *ASK["messages"],
            {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}, "zeal": 1}]},
            {"role": "tool", "tool_call_id": "1", "content": "fine"},
        ],
    }
    with http(socket) as plain:
        answer = plain.post("/v1/chat/completions", json={**ASK, **asked})
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-ig-guardrail-ignored"].split(", ") == [
        *("tools.cache_control", "tools.function.zeal", "response_format.zeal"),
        *("tool_choice.allowed_tools.zeal", "messages.tool_calls.zeal"),
    ]


@pytest.mark.parametrize("path", ["chat/completions", "responses", "messages"])
def test_names_that_no_header_can_carry_are_told_in_one(socket: str, path: str) -> None:
    odd = {"\u00e9\U0001f600": 1, "a\r\nx-more: 1": 1, "n" * 5_000: 1, **{f"k{number:03}": 1 for number in range(400)}}
    messages = [{"role": "user", "content": "Hello.", **odd}]
    asked = {"model": MODEL, "input" if path == "responses" else "messages": messages}
    with http(socket) as plain:
        answer = plain.post(f"/v1/{path}", json={**asked, **({"max_tokens": 16} if path == "messages" else {})})
    assert answer.status_code == 200, answer.text
    told = answer.headers["x-ig-guardrail-ignored"]
    assert "x-more" not in answer.headers
    assert len(told) < 2_000
    assert told.endswith("and 371 more")
    assert r".a\r\nx-more: 1, " in told
