"""Numbers, schemas and addresses that nobody should give: each is refused in our words, or simply works."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import pytest
import torch

from ig_guardrail import ChatIGGuardrail, GuardedChatModel, GuardRunnable
from ig_guardrail.costs.catalog import build_cost_model
from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.engine.decoding.by_torch import sample_tokens
from ig_guardrail.errors import GuardrailError, ModelError, RequestError
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.policy import compile_text
from ig_guardrail.text.calls import ResponseFormat
from ig_guardrail.types import CostModelSpec, Message, Sampling
from tests.faults.schema_answers import GRAMMARS
from tests.golden.conversations import CALM, POLITE, compiled, scripted_guardrail
from tests.unit.langchain.teller import teller

ODD: Mapping[str, Any] = {
    "nan": math.nan,
    "inf": math.inf,
    "-inf": -math.inf,
    "-1": -1,
    "-0.0": -0.0,
    "0": 0,
    "half": 0.5,
    "tiny": 1e-300,
    "denormal": 5e-324,
    "huge": 1e10,
    "largest": 1.7e308,
    "2**62": 2**62,
    "2**64": 2**64,
    "10**400": 10**400,
    "True": True,
    "False": False,
    "a digit": "1",
    "a word": "x",
    "a list": [1],
    "None": None,
}
POLICY = compiled(POLITE)
PENALTIES = ("repetition_penalty", "frequency_penalty", "presence_penalty")
DRAWING = ("temperature", "top_p", "top_k", "min_p", *PENALTIES)
CALL = (*DRAWING, "logit_bias", "max_tokens", "seed", "timeout", "top_logprobs", "logprobs", "stop")
TEXTS = ("language", "conversation", "tenant", "strategy")


def answers(ask: Callable[[], Any], *refusals: type[Exception]) -> None:
    """Run it; what it raises must be ours, or of a kind that is named."""
    with contextlib.suppress(GuardrailError, *refusals):
        ask()


@cache
def rail() -> Guardrail:
    return scripted_guardrail({(0, 0): CALM}, POLICY)


def chat(**settings: Any) -> ChatIGGuardrail:
    return ChatIGGuardrail(guardrail=rail(), **{"seed": 7, **settings})


@pytest.mark.parametrize("value", ODD.values(), ids=list(ODD))
@pytest.mark.parametrize("name", [*CALL, *TEXTS, "n"])
def test_any_setting_of_a_call_works_or_is_refused(name: str, value: Any) -> None:
    answers(lambda: chat().invoke("hello", **{name: value}))
    if name == "timeout":
        answers(lambda: asyncio.run(chat().ainvoke("hello", **{name: value})))
    answers(lambda: chat(**{name: value}))


@pytest.mark.parametrize("value", ODD.values(), ids=list(ODD))
def test_any_setting_of_another_model_under_guard_works_or_is_refused(value: Any) -> None:
    for name in ("timeout", "longest", *TEXTS[:3]):
        answers(
            lambda name=name: GuardedChatModel(inner=teller("hi"), policy=POLICY, **{name: value}).invoke("hello"),
        )
    for name in ("stop", *TEXTS[:3]):
        answers(
            lambda name=name: GuardedChatModel(inner=teller("hi"), policy=POLICY).invoke("hello", **{name: value}),
        )
    answers(lambda: GuardRunnable(POLICY, longest=value).invoke("hello"))
    answers(lambda: GuardRunnable(POLICY, language=value).invoke("hello"))


@pytest.mark.parametrize("value", ODD.values(), ids=list(ODD))
@pytest.mark.parametrize("name", [*DRAWING, "max_tokens", "seed", "stop", "logit_bias"])
def test_any_sampling_of_a_request_works_or_is_refused(name: str, value: Any) -> None:
    given = ((3, value),) if name == "logit_bias" else (value,) if name == "stop" else value
    sampling = Sampling(**{"max_tokens": 8, name: given})
    answers(lambda: list(rail().stream(GenerationRequest((Message("user", "hello"),), sampling))))


@pytest.mark.parametrize("value", ODD.values(), ids=list(ODD))
@pytest.mark.parametrize("name", ["language", "conversation", "tenant", "top_logprobs", "strategy", "timeout"])
def test_anything_else_of_a_request_works_or_is_refused(name: str, value: Any) -> None:
    beside = {} if name == "timeout" else {name: value}
    asked = GenerationRequest((Message("user", "hello"),), Sampling(max_tokens=8), **beside)
    answers(lambda: list(rail().stream(asked, value if name == "timeout" else None)))


@pytest.mark.parametrize("seconds", [1e9, 1e10, 1e300, math.inf, 2**70, 10**400])
def test_a_long_time_is_a_time(seconds: float) -> None:
    asked = GenerationRequest((Message("user", "hello"),), Sampling(max_tokens=8))
    *_, last = rail().stream(asked, seconds)
    assert last.receipt is not None
    assert last.receipt.verdict.outcome == "completed"


@pytest.mark.parametrize("temperature", [1e-6, 1e-30, 1e-38, 1e-40, 1e-300, 5e-324])
def test_the_coldest_temperatures_are_greedy(temperature: float) -> None:
    logits = torch.tensor([[0.0, 3.0, 2.999, -1e4], [5.0, -3.0, 4.0, 1.0]])
    tokens, logprobs = sample_tokens(logits, Sampling(temperature=temperature, top_p=0.95), None, [0.999999, 0.0])
    assert tokens == [1, 0]
    assert all(map(math.isfinite, logprobs))


# ------------------------------------------------------------------------------------------------------------ schemas


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


def circular() -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"}
    schema["properties"] = {"a": schema}
    return schema


def circular_list() -> dict[str, Any]:
    choices: list[Any] = []
    choices.append({"anyOf": choices})
    return {"type": "object", "anyOf": choices}


def doubling() -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(60):
        schema = {"anyOf": [schema, schema]}
    return {"type": "object", "properties": {"a": schema}}


def of(value: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": {"const": value}}}


SCHEMAS: Mapping[str, Callable[[], Any]] = {
    "900 deep": lambda: nested(900),
    "9,000 deep": lambda: nested(9_000),
    "circular": circular,
    "a circular list": circular_list,
    "doubling": doubling,
    "nan": lambda: of(math.nan),
    "inf": lambda: of(-math.inf),
    "an object": lambda: of(object()),
    "bytes": lambda: of(b"x"),
    "a set": lambda: of({1}),
    "half a character": lambda: of("\ud800"),
    "half a character for a name": lambda: {"type": "object", "properties": {"\ud800": {}}},
    "a number for a name": lambda: {"type": "object", "properties": {5: {}}},
}
MISTYPED: Mapping[str, Any] = {
    "minLength": "5",
    "maxLength": None,
    "properties": 5,
    "anyOf": {},
    "required": 5,
    "pattern": 5,
    "enum": 5,
    "items": 5,
    "$ref": 5,
    "type": 5,
    "format": [],
    "minimum": "x",
}


@pytest.mark.parametrize("make", SCHEMAS.values(), ids=list(SCHEMAS))
def test_what_is_no_schema_is_refused(make: Callable[[], Any]) -> None:
    for model, method in itertools.product((chat(), guarded()), ("json_schema", "function_calling")):
        with pytest.raises(RequestError):
            model.with_structured_output(make(), method=method).invoke("x")
    tool = {"name": "t", "description": "d", "parameters": make()}
    for kind in (tool, {"type": "function", "function": tool}):
        with pytest.raises(RequestError):
            chat().bind_tools([kind]).invoke("x")
    with pytest.raises(RequestError):
        chat().invoke("x", response_format=make())


def guarded() -> GuardedChatModel:
    return GuardedChatModel(inner=teller("hi"), policy=POLICY)


@pytest.mark.parametrize("keyword", MISTYPED)
def test_a_keyword_with_another_kind_of_value_is_refused_or_works(keyword: str) -> None:
    inner = {"type": "string", keyword: MISTYPED[keyword]}
    for schema in (inner, {"type": "object", "properties": {"a": inner}, "required": ["a"]}):
        answers(
            lambda schema=schema: chat().invoke(
                "x", response_format={"type": "json_schema", "json_schema": {"schema": schema}}
            )
        )
        tool = {"name": "t", "description": "d", "parameters": schema}
        answers(lambda tool=tool: chat(max_tokens=40).bind_tools([tool]).invoke("x"))


@pytest.mark.parametrize("room", [2**31, 2**62])
def test_a_form_has_any_room(room: int) -> None:
    text = ResponseFormat(schema={"type": "array", "items": {"type": "string"}}).grammar(room)
    assert GRAMMARS.compiled(text or "").after(())


def test_a_schema_of_usual_depth_works() -> None:
    chat().with_structured_output(nested(20), include_raw=True).invoke("x")


# ---------------------------------------------------------------------------------------------------------- addresses

ADDRESSES: Mapping[str, bool] = {  # whether a policy may name it
    "https://api.example.org/v1": True,
    "https://10.0.0.1/v1": True,
    "https://127.0.0.1:65535/v1": True,
    "http://127.0.0.1:8000/v1": True,
    "http://127.255.255.255/v1": True,
    "http://[::1]:1/v1": True,
    "https://1password.example/v1": True,
    "https://127.0.0.1:65536/v1": False,
    "https://127.0.0.1:99999/v1": False,
    "http://[::1]:70000/v1": False,
    "http://localhost:123456/v1": False,
    "http://127.999.999.999/v1": False,
    "https://999.999.999.999/v1": False,
    "https://256.1.1.1/v1": False,
    "https://1.2.3/v1": False,
    "https://2130706433/v1": False,
    "https://.../v1": False,
    "https://169.254.169.254/v1": False,
    "http://169.254.169.254/v1": False,
    "https://0.0.0.0/v1": False,
    "http://0.0.0.0/v1": False,
    "http://127.0.0.1@evil.example/v1": False,
    "http://localhost.evil.example/v1": False,
}
HOSTED = """apiVersion: ig-guardrail/v1
kind: SafetyPolicy
metadata: {{name: hosted, version: 1.0.0, owners: [x@example.org]}}
cost_models:
  h: {{kind: openai, model: m, base_url: "{address}", api_key_env: SOME_API_KEY, hazards: [hte]}}
budgets:
  - {{id: s, hazards: [hte], cost: h, threshold: 0.5, budget: 0}}
messages: {{refusal: {{en: "No."}}, closing: {{en: "Stop."}}}}
"""


@pytest.mark.parametrize("address", ADDRESSES)
def test_addresses_that_are_none_are_refused_by_the_check_of_a_policy(address: str) -> None:
    policy, faults = compile_text(HOSTED.format(address=address), "p.yaml")
    assert (policy is not None) == ADDRESSES[address], faults


@pytest.mark.slow
@pytest.mark.parametrize(
    "address", [*ADDRESSES, "https://[::1:99]/v1", "https://a..b/v1", "https://", "x", "https://[/"]
)
def test_a_policy_that_was_made_without_a_check_fails_in_our_words(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "no key")
    options = {"model": "m", "base_url": address, "api_key_env": "SOME_API_KEY", "categories": {"hte": ["hate"]}}
    answers(
        lambda: build_cost_model(CostModelSpec("h", "openai", ("hte",), options, 1.0), engine=None, base_dir=None),
        ModelError,
    )
