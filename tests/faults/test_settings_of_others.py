"""What other chat models call their settings serves here too, or is refused in words that say what serves instead."""

from __future__ import annotations

from typing import Any

import pytest

from ig_guardrail.errors import RequestError
from ig_guardrail.integrations.langchain.chat_model import ChatIGGuardrail
from ig_guardrail.integrations.langchain.given.setting_names import ALIASES, INSTEAD, OF_THE_MODEL
from ig_guardrail.integrations.langchain.guarded_model import GuardedChatModel
from ig_guardrail.integrations.langchain.options import TAKEN_BY_LANGCHAIN
from ig_guardrail.settings import dtype_named
from ig_guardrail.spec import GuardrailSpec
from tests.golden.conversations import POLITE, compiled
from tests.unit.langchain.teller import teller

torch = pytest.importorskip("torch")


def refusal(**settings: Any) -> str:
    with pytest.raises(RequestError) as refused:
        ChatIGGuardrail(**settings)
    assert refused.value.fix
    return str(refused.value)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (torch.bfloat16, "bfloat16"),
        (torch.float16, "float16"),
        (torch.float32, "float32"),
        ("torch.float16", "float16"),
        ("bf16", "bfloat16"),
        ("fp16", "float16"),
        ("half", "float16"),
        ("fp32", "float32"),
        ("float", "float32"),
        ("BF16", "bfloat16"),
        ("int8", "int8"),
        (torch.int8, "int8"),
        (16, 16),
    ],
)
def test_number_formats_have_several_names(given: Any, named: Any) -> None:
    assert dtype_named(given) == named


def test_torchs_own_number_formats_and_devices_are_taken() -> None:
    model = ChatIGGuardrail(dtype=torch.bfloat16, weights="bfloat16", device=torch.device("cuda", 1))
    assert (model.dtype, model.weights, model.device) == ("bfloat16", "bf16", "cuda:1")
    assert ChatIGGuardrail(torch_dtype=torch.float16).dtype == "float16"
    spec = GuardrailSpec(dtype=torch.float16, weights="bfloat16", device=torch.device("cpu"))  # type: ignore[arg-type]
    assert (spec.dtype, spec.weights, spec.device) == ("float16", "bf16", "cpu")
    with pytest.raises(RequestError, match="dtype is 16"):
        GuardrailSpec(dtype=16)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"max_new_tokens": 30}, {"max_tokens": 30}),
        ({"num_predict": 30}, {"max_tokens": 30}),
        ({"num_ctx": 4096}, {"context": 4096}),
        ({"n_ctx": 4096}, {"context": 4096}),
        ({"max_model_len": 4096}, {"context": 4096}),
        ({"model_id": "Qwen/Qwen3-0.6B"}, {"model": "Qwen/Qwen3-0.6B"}),
        ({"model_path": "./m.gguf"}, {"model": "./m.gguf"}),
        ({"repo_id": "Qwen/Qwen3-0.6B"}, {"model": "Qwen/Qwen3-0.6B"}),
        ({"request_timeout": 3}, {"timeout": 3}),
        ({"stop_sequences": ["END"]}, {"stop": ["END"]}),
        ({"repeat_penalty": 1.1}, {"repetition_penalty": 1.1}),
        ({"stop": "END"}, {"stop": ["END"]}),
    ],
)
def test_names_of_other_chat_models_serve(given: dict[str, Any], named: dict[str, Any]) -> None:
    model = ChatIGGuardrail(**given)
    assert {name: getattr(model, name) for name in named} == named


@pytest.mark.parametrize(
    "name",
    [
        *("max_tokens", "temperature", "frequency_penalty", "presence_penalty", "stop", "seed", "timeout", "language"),
        *("device", "dtype", "weights", "engine", "reasoning", "api_key", "max_retries", "context", "revision"),
    ],
)
def test_none_leaves_a_setting_as_it_is_without(name: str) -> None:
    assert getattr(ChatIGGuardrail(**{name: None}), name) == getattr(ChatIGGuardrail(), name)


@pytest.mark.parametrize("name", ["model", "policy"])
def test_a_model_or_a_policy_that_came_to_nothing_is_no_other_one(name: str) -> None:
    assert f"{name}: " in refusal(**{name: None})


@pytest.mark.parametrize("name", INSTEAD)
def test_what_has_no_such_setting_is_refused_with_what_serves_instead(name: str) -> None:
    said = refusal(**{name: {"any": "value"}})
    assert said.startswith(f"ChatIGGuardrail has no setting '{name}'")
    assert INSTEAD[name] in said
    if name not in TAKEN_BY_LANGCHAIN:
        with pytest.raises(RequestError) as refused:
            ChatIGGuardrail().invoke("hello", **{name: {"any": "value"}})
        assert INSTEAD[name] in str(refused.value)


def test_no_name_is_told_of_that_serves() -> None:
    fields = {*ChatIGGuardrail.model_fields}
    assert not fields & {*INSTEAD, *ALIASES}
    assert not {*INSTEAD} & {*ALIASES}
    assert {*ALIASES.values()} <= fields


def test_all_that_is_wrong_is_said_in_one_message() -> None:
    said = refusal(tensor_parallel_size=2, trust_remote_code=True, temprature=1, dtype=3, api_key=3, bananas=2)
    for part in ("tensor_parallel_size", "engine='vllm'", "trust_remote_code", "'temperature'", "dtype: ", "bananas"):
        assert part in said
    assert "pydantic" not in said


def test_what_a_setting_held_is_not_told() -> None:
    assert "sesame" not in refusal(api_key=["sesame"], openai_api_key="sesame")


@pytest.mark.parametrize(
    ("given", "serves"), [(True, "'show'"), (False, "'off'"), ({"effort": "low"}, "`reasoning_effort`")]
)
def test_reasoning_in_other_forms_is_told_what_serves(given: Any, serves: str) -> None:
    assert serves in refusal(reasoning=given)
    with pytest.raises(RequestError, match=serves):
        ChatIGGuardrail().invoke("hello", reasoning=given)


def test_a_model_around_another_says_it_alike() -> None:
    with pytest.raises(RequestError, match="GuardedChatModel has no setting 'temperature'") as refused:
        GuardedChatModel(inner=teller("hi"), policy=compiled(POLITE), temperature=0)  # type: ignore[call-arg]
    assert "inner" in refused.value.fix


@pytest.mark.parametrize("name", OF_THE_MODEL)
def test_what_a_model_is_made_with_is_no_option_of_a_call(name: str) -> None:
    assert name in ChatIGGuardrail.model_fields
    with pytest.raises(RequestError, match=f"a call cannot set '{name}'") as refused:
        ChatIGGuardrail().invoke("hello", **{name: "any"})
    assert refused.value.fix == "say it where the model is made: ChatIGGuardrail(...)"


def test_a_name_that_is_near_to_nothing_that_a_call_takes_suggests_none() -> None:
    with pytest.raises(RequestError) as refused:
        ChatIGGuardrail().invoke("hello", torch_dtyp="bfloat16")
    assert "did you mean" not in refused.value.fix


def test_settings_that_must_be_given_are_asked_for() -> None:
    with pytest.raises(RequestError, match="inner: Field required; policy: Field required") as refused:
        GuardedChatModel()  # type: ignore[call-arg]
    assert refused.value.fix == "give `inner` and `policy`"
