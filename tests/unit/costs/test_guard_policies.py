"""Policies with a safety model: the one in examples/ loads, and a stream is held back and charged by a verdict."""

from __future__ import annotations

from pathlib import Path

import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel

from ig_guardrail import GuardedChatModel, load_policy
from ig_guardrail.costs.catalog import build_cost_model
from ig_guardrail.costs.guards.cost import GuardCost
from ig_guardrail.integrations.langchain.checking.text_checks import text_checks
from ig_guardrail.types import Message, Piece, Prompt
from tests.unit.costs.guards import FAMILIES, guard

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "safety_model.yaml"
ASKED = "why is the soup hot"
MESSAGES = ("I would rather not say that.", "Let us stop.", "Ask me another.", "No more of it.", "That is all.", "Bye.")
ANSWERS = ("the soup is good", "good soup is hot", "it was on the fire", "because it is")
POLICY = """
apiVersion: ig-guardrail/v1
kind: SafetyPolicy
metadata: {{name: judged, version: 1.0.0}}
cost_models:
  judge: {{kind: guard, model: ./guard, format: llama-guard, hazards: [vcr], timeout_ms: 60000}}
budgets: [{{id: unsafe, hazards: [vcr], cost: judge, threshold: {threshold}, every: 64}}]
prompt: {{cost: judge, threshold: {prompt}, on_exceed: refuse}}
search: {{block: 64, hold: 64, retries: 1}}
messages: {{refusal: {{en: "{said}"}}, closing: {{en: "{said}"}}}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("judged")
    guard(root / "guard", FAMILIES["llama-guard"])
    return root


def policy(folder: Path, threshold: float = 0.99, prompt: float = 0.99, said: str = MESSAGES[0]) -> Path:
    file = folder / f"{threshold}-{prompt}.yaml"
    file.write_text(POLICY.format(threshold=threshold, prompt=prompt, said=said))
    return file


def judge(folder: Path) -> GuardCost:
    (spec,) = load_policy(policy(folder)).cost_models
    model = build_cost_model(spec, engine=None, base_dir=folder)
    assert isinstance(model, GuardCost)
    return model


def score(model: GuardCost, answer: str, asked: str = ASKED) -> float:
    state = model.start(Prompt((Message("user", asked),), ()))
    ((_, (found,)),) = model.advance([(state, Piece(answer, ended=True))])
    return found


def test_the_example_is_a_policy() -> None:
    loaded = load_policy(EXAMPLE)
    (spec,) = loaded.cost_models
    assert (spec.kind, spec.options["format"], spec.options["with_prompt"]) == ("guard", "qwen3guard", True)
    assert loaded.prompt is not None


def test_an_answer_that_is_judged_unsafe_is_replaced(folder: Path) -> None:
    model = judge(folder)
    good, bad = sorted(ANSWERS, key=lambda answer: score(model, answer))[:: len(ANSWERS) - 1]
    threshold = round((score(model, good) + score(model, bad)) / 2, 4)
    said = min(MESSAGES, key=lambda message: score(model, message, "Hello."))  # as the start-up check asks
    inner = GenericFakeChatModel(messages=iter([bad, good]))
    guarded = GuardedChatModel(inner=inner, policy=policy(folder, threshold, said=said))
    assert "".join(chunk.text for chunk in guarded.stream(ASKED)) == good


def test_the_prompt_check_judges_the_users_turn(folder: Path) -> None:
    model = judge(folder)
    ((_, (expected,)),) = model.advance([(model.start(Prompt((), ())), Piece(ASKED, ended=True, role="user"))])
    checks = text_checks(policy(folder, prompt=round(expected, 3) - 0.01))
    assert checks.prompt(ASKED).score == pytest.approx(expected, abs=1e-6)
    assert checks.refuses_prompt(ASKED)
    inner = GenericFakeChatModel(messages=iter(["it is"]))
    refused = GuardedChatModel(inner=inner, policy=policy(folder, prompt=round(expected, 3) - 0.01)).invoke(ASKED)
    assert refused.text == "I would rather not say that."
