"""The preset of the methods that need an index: it runs where the indexes of the model at hand are."""

from __future__ import annotations

from pathlib import Path

import pytest

from ig_guardrail.assembly import guard
from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.errors import HeadMismatch, ModelError
from ig_guardrail.evaluate.comparison.config import policy_of, read_config
from ig_guardrail.evaluate.comparison.records import arm_of
from ig_guardrail.learn.data.documents import SourceDocument
from ig_guardrail.learn.index import _put, index_texts
from ig_guardrail.policy import load_policy
from ig_guardrail.types import Message, Sampling
from tests.conformance.engine.tiny import taught_tokenizer, tiny_weights

OWN, HARMLESS = "the thief went into the inn at nine and then again in the night", "an ant and a tin hat"
ASKED = (Message("user", "Who went into the inn?"),)


def put(tokenizer: object, **texts: str) -> None:
    for name, text in texts.items():
        _put(index_texts(tokenizer, [SourceDocument(name, text)], "tiny"), Path("indexes") / name)


@pytest.fixture(autouse=True)
def _where_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
def test_every_method_of_it_answers_beside_the_default_policy_s_budgets() -> None:
    weights, asked = tiny_weights(), read_config("recital")
    put(weights.tokenizer, own=OWN, harmless=HARMLESS)
    (name,) = asked.policies
    policy = policy_of(name)
    assert [one.id for one in policy.budgets] == [*(one.id for one in load_policy("default").budgets), "recital"]
    engine = TransformersEngine(weights)
    rail = guard(engine, policy)
    for entry in asked.strategies:
        answer = arm_of(rail, entry).answer(ASKED, Sampling(max_tokens=6, seed=1))
        assert answer.outcome in ("completed", "refused", "ended")
        assert "recital" in answer.audit.spend
    engine.shutdown()


def test_without_the_indexes_of_the_model_it_does_not_start() -> None:
    weights = tiny_weights()
    engine = TransformersEngine(weights)
    with pytest.raises(ModelError, match="indexes/own"):
        guard(engine, policy_of("recitals"))
    put(taught_tokenizer([OWN]), own=OWN, harmless=HARMLESS)
    with pytest.raises(HeadMismatch, match="another tokenizer"):
        guard(engine, policy_of("recitals"))
    engine.shutdown()
