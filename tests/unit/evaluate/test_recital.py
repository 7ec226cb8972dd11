"""The comparison of the methods that need an index: it runs where the indexes of the model at hand are."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ig_guardrail.assembly import guard
from ig_guardrail.costs.provenance.index import write_index
from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.evaluate.comparison.config import policy_of, read_config
from ig_guardrail.evaluate.comparison.records import arm_of
from ig_guardrail.learn.index import SourceDocument, index_texts
from ig_guardrail.policy import load_policy
from ig_guardrail.types import Message, Sampling
from tests.conformance.engine.tiny import tiny_weights

ROOT = Path(__file__).parents[3] / "benchmarks"
TEXTS = {"own": "the thief went into the inn at nine and then again in the night", "harmless": "an ant and a tin hat"}
ASKED = (Message("user", "Who went into the inn?"),)


@pytest.mark.slow
def test_every_method_answers_beside_the_default_policy_s_budgets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ROOT / "policies", tmp_path / "benchmarks" / "policies")
    monkeypatch.chdir(tmp_path)
    weights, asked = tiny_weights(), read_config(str(ROOT / "recital.yaml"))
    for name, text in TEXTS.items():
        index = index_texts(weights.tokenizer, [SourceDocument(name, text)], "tiny")
        place = tmp_path / "benchmarks" / "out" / "indexes" / name
        place.mkdir(parents=True)
        write_index(index, place)
    (named,) = asked.policies
    policy = policy_of(named)
    assert [one.id for one in policy.budgets] == [*(one.id for one in load_policy("default").budgets), "recital"]
    engine = TransformersEngine(weights)
    rail = guard(engine, policy)
    for entry in asked.strategies:
        answer = arm_of(rail, entry).answer(ASKED, Sampling(max_tokens=6, seed=1))
        assert answer.outcome in ("completed", "refused", "ended")
        assert "recital" in answer.audit.spend
    engine.shutdown()
