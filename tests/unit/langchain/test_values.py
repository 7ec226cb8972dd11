"""Rewards and critics by name, as on the command line: they rank what the chat model's strategy proposes."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel

from ig_guardrail.costs.rewards.classifier_reward import load_classifier_reward
from ig_guardrail.engine.loading import models
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Continuations
from ig_guardrail.errors import HeadMismatch, ModelError, RequestError
from ig_guardrail.integrations.langchain import ChatIGGuardrail
from ig_guardrail.integrations.langchain.guarded_model import GuardedChatModel
from tests.golden.conversations import CALM, compiled, scripted_guardrail
from tests.unit.costs.test_classifier_reward import asked, classifier, node

ANSWERS = ("good soup", "bad bread")
NAMES = [{"reward": "relevance"}, {"critic": "critics/mine"}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return classifier(tmp_path, 1)


def chat(told: tuple[str, str], monkeypatch: pytest.MonkeyPatch, **settings: Any) -> ChatIGGuardrail:
    """A chat model by names, whose weights are a script: it would say the one, or on the next lane the other."""
    engine = ScriptedEngine(Continuations({(0, 0): told[0], (1, 0): told[1]}))
    monkeypatch.setattr(models, "load_engine", lambda model, **how: engine)
    return ChatIGGuardrail(model="scripted", policy=compiled(), seed=7, strategy="best_of_n", **settings)


@pytest.mark.parametrize("told", [ANSWERS, ANSWERS[::-1]])
async def test_the_answer_of_the_highest_reward_is_given(
    folder: Path, monkeypatch: pytest.MonkeyPatch, told: tuple[str, str]
) -> None:
    values = load_classifier_reward(str(folder)).of(asked("why")).predict([node(text) for text in ANSWERS])
    best = ANSWERS[values.index(max(values))]
    model = chat(told, monkeypatch, reward=f"classifier:{folder}")
    assert model.invoke("why").content == best
    assert (await model.ainvoke("why")).content == best


def test_it_is_opened_once_and_anew_under_another_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = chat(ANSWERS, monkeypatch)
    assert model.invoke("why").content == ANSWERS[0]
    plain = model._opened()
    model.reward = f"classifier:{folder}"
    ranked = model._opened()
    assert ranked is model._opened()
    assert ranked.current() is ranked.current()
    assert [one.current().values.reward is None for one in (plain, ranked)] == [True, False]


def test_a_strategy_that_needs_a_reward_says_how_to_name_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RequestError, match='`reward="relevance"` where the guardrail or the chat model is made'):
        chat(ANSWERS, monkeypatch).invoke("why", strategy="args")


@pytest.mark.parametrize(
    ("names", "error", "told"),
    [
        ({"reward": "relevant"}, ModelError, "reward 'relevant': there is no such artifact"),
        ({"critic": "relevance"}, ModelError, "critic 'relevance': there is no such artifact"),
        ({"reward": "relevance"}, HeadMismatch, "reward 'relevance': there is none for weights in"),
    ],
)
def test_what_cannot_be_had_is_told_at_the_first_call(
    names: dict[str, str], error: type[ModelError], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = chat(ANSWERS, monkeypatch, **names)
    with pytest.raises(error, match=told):
        model.invoke("why")


@pytest.mark.parametrize("names", NAMES)
def test_an_open_guardrail_keeps_its_own(names: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match=f"both a guardrail and a {next(iter(names))} are given"):
        ChatIGGuardrail(guardrail=scripted_guardrail({(0, 0): CALM}), **names)


@pytest.mark.parametrize("value", ["", 3])
def test_a_name_is_a_text(value: Any) -> None:
    with pytest.raises(RequestError, match="reward: "):
        ChatIGGuardrail(reward=value)


@pytest.mark.parametrize("names", NAMES)
def test_names_tell_models_apart_and_survive_a_pickle(names: dict[str, Any]) -> None:
    made = ChatIGGuardrail(policy="default", **names)
    again = pickle.loads(pickle.dumps(made))  # noqa: S301  # our own bytes
    opened = again._opened().spec
    assert {"reward": opened.reward, "critic": opened.critic}.items() >= names.items()
    assert made.model_dump().items() >= names.items()
    assert made._identifying_params.items() >= names.items()
    assert made._get_llm_string() != ChatIGGuardrail(policy="default")._get_llm_string()


@pytest.mark.parametrize("names", NAMES)
def test_another_model_has_none_since_nothing_is_ranked_within_its_answer(names: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match="GuardedChatModel has no setting"):
        GuardedChatModel(inner=GenericFakeChatModel(messages=iter([])), policy=compiled(), **names)
