"""Settings that would change nothing, or not what they seem to: refused where they are given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import HumanMessage
from langchain_core.runnables import ConfigurableField

from ig_guardrail import GuardedChatModel, GuardInput, GuardrailMiddleware, GuardRunnable
from ig_guardrail.errors import RequestError
from tests.golden.conversations import CALM, compiled
from tests.unit.langchain.teller import Teller, teller

POLICY = compiled()


def guarded(**settings: Any) -> GuardedChatModel:
    return GuardedChatModel(**{"inner": teller(CALM), "policy": POLICY, **settings})


@pytest.mark.parametrize("kind", [GuardrailMiddleware, GuardRunnable])
@pytest.mark.parametrize("word", ["Raise", "error", "", None])
def test_a_word_for_what_follows_a_refusal(kind: Callable[..., object], word: Any) -> None:
    with pytest.raises(RequestError, match="on_refusal is"):
        kind(POLICY, on_refusal=word)


@pytest.mark.parametrize("kinds", ["image", ["images"], ["image", "pdf"], [None]])
def test_kinds_of_content_that_are_none(kinds: Any) -> None:
    for kind in (GuardrailMiddleware, GuardInput):
        with pytest.raises(RequestError, match="unjudged_blocks"):
            kind(POLICY, unjudged_blocks=kinds)
    with pytest.raises(RequestError, match="unjudged_blocks"):
        guarded(unjudged_blocks=kinds)


@pytest.mark.parametrize(
    "inner",
    [
        "openai:gpt-4o",
        None,
        teller(CALM).bind(temperature=0),
        teller(CALM).with_retry(),
        teller(CALM).with_fallbacks([teller(CALM)]),
        FakeListChatModel(responses=["a"]).configurable_fields(responses=ConfigurableField("said")),
    ],
)
def test_another_model_that_is_none_by_itself(inner: Any) -> None:
    with pytest.raises(RequestError, match=r"inner is .*\n.*\n  fix: give the model as it is made"):
        guarded(inner=inner)


def test_what_stands_around_another_model_stands_around_the_guarded_one() -> None:
    model = guarded().bind(stop=["looks"]).with_retry()
    assert model.invoke("why?").text == "The sky "


class Several(Teller):
    """Gives several answers to a request, as hosts do where `n` says so."""

    n: int = 2


def test_several_answers_of_another_model_at_once() -> None:
    with pytest.raises(RequestError, match="2 answers to one request"):
        guarded(inner=Several(answers=teller(CALM).answers, log=teller().log))
    with pytest.raises(RequestError, match="3 answers to one request"):
        list(guarded().stream("why?", n=3))
    with pytest.raises(RequestError, match="3 answers to one request"):
        guarded().generate([[HumanMessage("why?")]], n=3)
    assert guarded().invoke("why?", n=1).text == CALM


def test_a_language_that_is_none() -> None:
    with pytest.raises(RequestError, match="no language tag"):
        guarded(language="English, please")
