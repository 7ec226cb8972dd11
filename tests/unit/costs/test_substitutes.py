"""What serves where a cost model cannot: chosen once, told in receipts, and counted as the policy says."""

from __future__ import annotations

import logging
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ig_guardrail.assembly import guard, guard_text
from ig_guardrail.costs.catalog import build_costs
from ig_guardrail.costs.kinds.base import EngineFacts
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.errors import HeadMismatch, ModelError
from ig_guardrail.policy import load_policy
from ig_guardrail.types import CostModelSpec, Sampling
from tests.toys import ask, letters
from tests.unit.costs.artifacts import MODEL, latent
from tests.unit.policy.texts import compiled

POLICY = """apiVersion: ig-guardrail/v1
kind: SafetyPolicy
metadata: {name: any-model, version: 1.0.0, owners: [you@example.org]}
cost_models:
  b: {kind: latent, head: ./mine, hazards: [x.b], otherwise: b-text}
  b-text: {kind: pattern, hazards: [x.b], patterns: [bb], longest_match: 8, timeout_ms: 900}
budgets:
  - {id: few-b, hazards: [x.b], cost: b, threshold: 0.5, budget: 0}
messages:
  refusal: {en: "Sorry, no."}
  closing: {en: "I stop here."}
"""


def spec(name: str, kind: str, otherwise: str | None = None, **options: object) -> CostModelSpec:
    return CostModelSpec(name, kind, ("x.b",), options, timeout_s=2.0, otherwise=otherwise)


LATENT = spec("b", "latent", otherwise="b-text", head="mine")
TEXT = spec("b-text", "pattern", patterns=("bb",), longest_match=8)


def test_an_entry_that_fits_serves_itself_and_nothing_else_is_made(tmp_path: Path) -> None:
    latent(tmp_path / "mine")
    broken = spec("b-text", "lexical", model="./there-is-none")
    (built,) = build_costs([LATENT, broken], engine=EngineFacts(MODEL, "bfloat16"), base_dir=tmp_path).values()
    assert (built.entry, built.spec, built.passed) == ("b", LATENT, ())


@pytest.mark.parametrize("engine", [None, EngineFacts("b" * 64, "bfloat16"), EngineFacts(MODEL, "float16")])
def test_beside_any_other_engine_the_substitute_serves_under_its_name(
    tmp_path: Path, engine: EngineFacts | None
) -> None:
    latent(tmp_path / "mine" / "bfloat16")
    made = build_costs([LATENT, TEXT], engine=engine, base_dir=tmp_path)
    assert list(made) == ["b"]
    built = made["b"]
    assert (built.entry, built.spec.kind, built.model.name) == ("b-text", "pattern", "b")
    assert [type(error) for error in built.passed] == [HeadMismatch]


def test_what_is_broken_is_an_error_and_no_reason_for_another_to_serve(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no artifact 'mine'"):
        build_costs([LATENT, TEXT], engine=EngineFacts(MODEL, "bfloat16"), base_dir=tmp_path)


def test_a_chain_without_an_end_that_fits_raises_what_the_last_one_says(tmp_path: Path) -> None:
    latent(tmp_path / "mine")
    with pytest.raises(HeadMismatch):
        build_costs([spec("b", "latent", head="mine")], engine=EngineFacts("b" * 64, "bfloat16"), base_dir=tmp_path)


def test_receipts_and_the_log_say_what_serves(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    latent(tmp_path / "mine")
    (tmp_path / "policy.yaml").write_text(POLICY)
    policy = load_policy(tmp_path / "policy.yaml")
    with caplog.at_level(logging.WARNING):
        rail = guard(ScriptedEngine(letters([3, 1, 1])), policy, tmp_path)
    (told,) = caplog.messages
    assert "`b-text` serves as `b`" in told
    *_, last = rail.stream(ask(Sampling(seed=1, max_tokens=8)))
    assert last.receipt is not None
    assert last.receipt.substitutes == {"b": "b-text"}
    assert rail.costs.by_name["b"].spec.timeout_s == 0.9


def test_a_model_that_is_read_as_text_is_guarded_by_the_substitute(tmp_path: Path) -> None:
    rail = guard_text(ScriptedEngine(letters([3, 1, 1])), compiled(POLICY), tmp_path)
    assert dict(rail.costs.substitutes) == {"b": "b-text"}


def test_a_policy_without_substitutes_has_the_normal_form_that_it_had() -> None:
    form = compiled(POLICY.replace(", otherwise: b-text", "")).normal_form
    assert "otherwise" not in form
    assert "scale" not in form


@given(st.floats(0.01, 1), st.floats(0.01, 1), st.lists(st.floats(0, 1), min_size=2))
def test_a_scale_keeps_the_order_and_the_ends_and_moves_its_own_score(
    own: float, counts: float, scores: list[float]
) -> None:
    entry = CostModelSpec("b", "pattern", ("x.b",), {}, 1.0, scale=(own, counts))
    assert entry.counted(0) == 0
    assert entry.counted(own) == pytest.approx(counts)
    assert entry.counted(1) == pytest.approx(1 if own < 1 else counts)
    counted = [entry.counted(score) for score in sorted(scores)]
    assert all(0 <= score <= 1 + 1e-12 for score in counted)
    assert all(low <= high + 1e-12 for low, high in pairwise(counted))
