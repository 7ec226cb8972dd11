"""Settings under the names and values that users of other chat models write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from ig_guardrail import ChatIGGuardrail, init_guarded_chat_model
from ig_guardrail.errors import RequestError
from tests.golden.conversations import CALM, scripted_guardrail


def chat(**settings: Any) -> ChatIGGuardrail:
    return ChatIGGuardrail(guardrail=scripted_guardrail({(0, 0): CALM}), seed=7, **settings)


@pytest.mark.parametrize(
    ("given", "name", "value"),
    [
        ({"top_k": -1}, "top_k", 0),
        ({"max_completion_tokens": 5}, "max_tokens", 5),
        ({"max_completion_tokens": 5, "max_tokens": 5}, "max_tokens", 5),
        ({"max_completion_tokens": None}, "max_tokens", 256),
        ({"model_name": "some/model"}, "model", "some/model"),
        ({"model": Path("some/model")}, "model", "some/model"),
        ({"model_name": Path("some/model")}, "model", "some/model"),
    ],
)
def test_a_constructor_takes_them(given: dict[str, Any], name: str, value: Any) -> None:
    model = ChatIGGuardrail(**given)
    assert getattr(model, name) == value
    assert type(getattr(model, name)) is type(value)
    assert model.model_name == model.model


def test_a_model_by_its_path_has_the_same_key_as_by_its_name() -> None:
    assert init_guarded_chat_model(Path("some/model")).model == "some/model"
    models = [ChatIGGuardrail(model=name, policy="default") for name in ("some/model", Path("some/model"))]  # type: ignore[arg-type]
    assert models[0]._get_llm_string() == models[1]._get_llm_string()


@pytest.mark.parametrize("given", [{"top_k": -1}, {"max_completion_tokens": 4}, {"max_tokens": 4, "top_k": -1}])
async def test_a_call_takes_them(given: dict[str, Any]) -> None:
    model = chat()
    bound = model.bind(**given)
    answers = [
        model.invoke("why?", **given),
        await bound.ainvoke("why?"),
        bound.batch(["why?"])[0],
        model.generate([[HumanMessage("why?")]], **given).generations[0][0].message,  # type: ignore[attr-defined]
    ]
    texts = {answer.text for answer in answers}
    assert texts == {"The sky looks blue" if "max_tokens" in str(given) or "completion" in str(given) else CALM}


async def test_a_call_may_name_the_model_that_runs() -> None:
    model = chat()
    for given in ({"model_name": model.model}, {"model": Path(model.model)}):
        assert model.invoke("why?", **given).text == CALM
        assert (await model.ainvoke("why?", **given)).text == CALM
    with pytest.raises(RequestError, match="a call asks for model 'another'"):
        model.invoke("why?", model_name="another")


@pytest.mark.parametrize("given", [{"max_completion_tokens": 5, "max_tokens": 6}, {"model": "a", "model_name": "b"}])
def test_two_values_for_one_setting_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match="both name one setting"):
        ChatIGGuardrail(**given)
    with pytest.raises(RequestError, match="both name one setting"):
        chat().invoke("why?", **given)


@pytest.mark.parametrize("value", [-2, -100])
def test_what_nobody_means_is_still_refused(value: int) -> None:
    with pytest.raises(RequestError, match="top_k is"):
        chat(top_k=value)
