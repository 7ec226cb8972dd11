"""Options of a call: taken, added or refused, never dropped."""

from __future__ import annotations

import re
from typing import Any, get_args

import pytest

from ig_guardrail.errors import RequestError
from ig_guardrail.integrations.langchain.chat_model import ChatIGGuardrail
from ig_guardrail.integrations.langchain.given.setting_names import NUMBERS, as_named_here
from ig_guardrail.integrations.langchain.options import call_options
from ig_guardrail.types import Message

SETTINGS: dict[str, Any] = {
    "temperature": 0.7,
    "top_p": 0.95,
    "top_k": 0,
    "min_p": 0.0,
    "repetition_penalty": None,
    "frequency_penalty": 0.0,
    "presence_penalty": 0.0,
    "logit_bias": None,
    "max_tokens": 64,
    "stop": ["END"],
    "seed": 5,
    "timeout": None,
    "strategy": None,
    "language": "en",
    "n": 1,
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", 0.0),
        ("top_p", 0.5),
        ("top_k", 40),
        ("min_p", 0.1),
        ("repetition_penalty", 1.2),
        ("frequency_penalty", -0.5),
        ("presence_penalty", 2.0),
        ("max_tokens", 3),
        ("seed", 0),
        ("timeout", 1.5),
        ("strategy", "cut"),
        ("language", "de"),
    ],
)
def test_a_call_may_override(name: str, value: object) -> None:
    assert getattr(call_options(SETTINGS, None, {name: value}), name) == value


@pytest.mark.parametrize(
    "given", [{7: -100, 12: 2.5}, {"7": -100, "12": "2.5"}, ((7, -100), ("12", 2.5)), [[7, -100.0], ["12", 2.5]]]
)
def test_biases_come_in_openai_s_form_or_as_pairs(given: Any) -> None:
    turns = (Message("user", "hi"),)
    assert call_options(SETTINGS, None, {"logit_bias": given}).ask(turns).sampling.logit_bias == (
        (7, -100.0),
        (12, 2.5),
    )
    assert call_options({**SETTINGS, "logit_bias": given}, None, {}).logit_bias == ((7, -100.0), (12, 2.5))


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"7": 1, 7: 2}, "a token is named twice"),
        ({"seven": 1}, "cannot be read"),
        ({"-7": 1}, "cannot be read"),
        ({True: 1}, "cannot be read"),
        ({7.0: 1}, "cannot be read"),
        ({"9" * 5_000: 1}, "cannot be read"),
        ({7: "much"}, "cannot be read"),
        ({7: None}, "cannot be read"),
        ("7=1", "cannot be read"),
        (7, "cannot be read"),
    ],
)
def test_biases_that_are_none_are_refused(given: Any, fault: str) -> None:
    with pytest.raises(RequestError, match=fault):
        call_options(SETTINGS, None, {"logit_bias": given})


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("repetition_penalty", 0, "repetition_penalty is 0.0"),
        ("frequency_penalty", 2.5, "frequency_penalty is 2.5"),
        ("presence_penalty", -3, "presence_penalty is -3.0"),
        ("logit_bias", {3: float("nan")}, "logit_bias: Input should be a finite number"),
        ("logit_bias", {3: 1e31}, r"logit_bias is 1e\+31"),
        ("logit_bias", dict.fromkeys(range(1_025), 1.0), "logit_bias is of 1025 tokens"),
    ],
)
def test_penalties_and_biases_out_of_range_are_refused(name: str, value: Any, fault: str) -> None:
    with pytest.raises(RequestError, match=fault):
        call_options(SETTINGS, None, {name: value}).check()


def test_an_option_given_as_none_stays_as_the_constructor_has_it() -> None:
    assert call_options(SETTINGS, None, {"temperature": None, "seed": None}).seed == 5


def test_stop_strings_of_a_call_are_added_once_each() -> None:
    assert call_options(SETTINGS, ["\n", "END"], {}).stop == ("END", "\n")
    assert call_options(SETTINGS, "halt", {}).stop == ("END", "halt")
    assert call_options({**SETTINGS, "stop": None}, None, {}).stop == ()


@pytest.mark.parametrize("name", ["threshold", "budget", "model"])
def test_an_option_a_call_cannot_set_is_refused_by_name(name: str) -> None:
    with pytest.raises(RequestError) as caught:
        call_options(SETTINGS, None, {name: 1})
    assert f"{name}: a call cannot set '{name}'" in str(caught.value)
    assert "a call may set frequency_penalty, language, logit_bias, max_tokens" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"), [("tools", 1), ("tools", [3]), ("response_format", 1), ("response_format", {"type": "xml"})]
)
def test_a_form_that_cannot_be_read_is_refused(name: str, value: object) -> None:
    with pytest.raises(RequestError, match=f"^{name}[: ]"):
        call_options(SETTINGS, None, {name: value})


def test_a_misspelt_option_suggests_the_nearest() -> None:
    with pytest.raises(RequestError, match="did you mean 'temperature'"):
        call_options(SETTINGS, None, {"temprature": 1})


def test_what_langchain_passes_by_itself_is_taken() -> None:
    given = {"stream": True, "ls_structured_output_format": {}, "structured_output_format": {}}
    assert call_options(SETTINGS, None, given) == call_options(SETTINGS, None, {})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"temperature": "hot"}, "temperature: Input should be a valid number"),
        ({"temperature": float("nan")}, "temperature: Input should be a finite number"),
        ({"seed": -1}, "seed: Input should be greater than or equal to 0"),
        ({"timeout": 0}, "timeout: Input should be greater than 0"),
        ({"max_tokens": 1.5}, "max_tokens: Input should be a valid integer"),
        ({"strategy": 3}, "strategy: Input should be a valid string"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_by_name(given: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        call_options(SETTINGS, None, given)


def test_without_a_seed_each_request_draws_its_own() -> None:
    options = call_options({**SETTINGS, "seed": None}, None, {})
    turns = (Message("user", "hello"),)
    assert options.ask(turns).sampling.seed != options.ask(turns).sampling.seed
    assert call_options(SETTINGS, None, {}).ask(turns).sampling.seed == 5


def test_settings_out_of_range_name_option_and_range() -> None:
    with pytest.raises(RequestError) as caught:
        call_options({**SETTINGS, "max_tokens": 0}, None, {}).check()
    assert str(caught.value).splitlines()[0] == "max_tokens is 0"
    assert "fix: give at least 1" in str(caught.value)


def test_numbers_are_all_settings_that_take_one() -> None:
    fields = ChatIGGuardrail.model_fields.items()
    kinds = {name: get_args(field.annotation) or (field.annotation,) for name, field in fields}
    assert set(NUMBERS) == {name for name, own in kinds.items() if {int, float} & {*own}}


@pytest.mark.parametrize("name", NUMBERS)
def test_a_truth_is_no_number(name: str) -> None:
    with pytest.raises(RequestError, match=rf"^{name} is True\n"):
        as_named_here({name: True})


def test_a_truth_is_no_number_wherever_it_is_given() -> None:
    for given in ({"max_tokens": True}, {"seed": False}, {"max_completion_tokens": True}):
        with pytest.raises(RequestError, match=r"is (True|False)\n"):
            call_options(SETTINGS, None, given)
    for settings in ({"max_tokens": True}, {"context": True}, {"timeout": True}, {"n": True}):
        with pytest.raises(RequestError, match=r"is True\n"):
            ChatIGGuardrail(**settings)
    for biased in ({"7": True}, {7: False}):
        with pytest.raises(RequestError, match=r"^logit_bias: it cannot be read"):
            call_options(SETTINGS, None, {"logit_bias": biased})
        with pytest.raises(RequestError, match=r"^logit_bias: it cannot be read"):
            ChatIGGuardrail(logit_bias=biased)


@pytest.mark.parametrize(
    "given", [{"seed": -1}, {"seed": "x"}, {"n": 0}, {"top_logprobs": 21}, {"temperature": -1}, {"stop": 3}]
)
def test_an_error_names_its_option_once(given: dict[str, Any]) -> None:
    with pytest.raises(RequestError) as caught:
        call_options({**SETTINGS, "top_logprobs": 0}, None, given).check()
    assert re.findall(r"\w+", str(caught.value).splitlines()[0]).count(*given) == 1


def test_a_tool_of_a_name_that_no_form_can_carry_is_refused() -> None:
    named = {"type": "function", "function": {"name": "f" * 129, "parameters": {"type": "object"}}}
    with pytest.raises(RequestError, match="at most 128 characters") as caught:
        call_options(SETTINGS, None, {"tools": [named]})
    assert caught.value.where == "tools"


def called(parameters: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", "parameters": parameters}}


@pytest.mark.parametrize(
    "parameters", [{"type": "integer"}, {"type": ["array", "null"]}, {"enum": [1, 2]}, {"const": []}]
)
def test_arguments_that_are_no_object_are_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(RequestError) as caught:
        call_options(SETTINGS, None, {"tools": [called(parameters)]})
    assert "tools" in caught.value.where


@pytest.mark.parametrize(
    "parameters", [{"enum": [1, {"a": 1}]}, {"type": ["object", "string"]}, {"$ref": "#/$defs/x", "$defs": {"x": {}}}]
)
def test_arguments_are_objects_also_where_their_schema_does_not_say_so(parameters: dict[str, Any]) -> None:
    options = call_options(SETTINGS, None, {"tools": [called(parameters)], "tool_choice": "any"})
    assert options.form.tools[0].parameters == {**parameters, "type": "object"}
