"""The reward learns which answers suit their prompts, where the states show it, and belongs to one model."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ig_guardrail.costs.heads.base_model import BaseModel
from ig_guardrail.costs.rewards.catalog import reward_named
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Distribution, TokenPlace, Vocabulary
from ig_guardrail.errors import GuardrailError, HeadMismatch
from ig_guardrail.learn.data.questions import Survey, SurveyPrompt, survey
from ig_guardrail.learn.data.rows import is_reserved
from ig_guardrail.learn.reward import train_reward
from ig_guardrail.learn.sampling import SamplingPlan, read
from ig_guardrail.types import Prompt, Sampling

TOY = BaseModel("0" * 64, "float64")
SPEECH = SamplingPlan(Sampling(temperature=1.0, top_p=1.0, max_tokens=20), answers=2)
ASKED = Survey(
    tuple(SurveyPrompt(f"{split} {n % 2} {n}", split) for split in ("train", "validation", "test") for n in range(4))
)


@dataclass
class Echo:
    """Says a to prompts about 0 and b to prompts about 1."""

    vocabulary: Vocabulary = field(default_factory=lambda: Vocabulary("ab"))

    def next_tokens(self, place: TokenPlace) -> Distribution:
        return [(self.vocabulary.ids(wanted(place.prompt))[0], 1.0)]


class Attentive(ScriptedEngine):
    """An engine whose states tell whether a token is the one that the prompt asks for."""

    def __init__(self, script: Echo) -> None:
        self._asked = ""
        self._letters = script.vocabulary.ids
        super().__init__(script, hidden=self._suits)

    def open(self, prompt: Prompt, *args: Any, **keys: Any) -> Any:
        self._asked = wanted(prompt)
        return super().open(prompt, *args, **keys)

    def _suits(self, prefix: tuple[int, ...]) -> list[float]:
        return [float(prefix[-1] == self._letters(self._asked)[0]), 1.0]


def wanted(prompt: Prompt) -> str:
    return "ab"[int(prompt.turns[0].text.split()[1])]


def test_answers_to_other_prompts_are_worth_less(tmp_path: Path) -> None:
    engine = Attentive(Echo())
    trained = train_reward(engine, ASKED, SPEECH, tmp_path / "kept", tmp_path / "reward")
    reward = reward_named(str(tmp_path / "reward"), TOY)
    said = [engine._vocabulary.ids(letter * 20) for letter in "ab"]
    suits, strays = read(engine, SurveyPrompt("x 0", "test").turns, [tuple(ids) for ids in said], reward.layers)
    high, low = reward.predict([suits, strays])
    assert high > 0 > low
    assert trained.card["quality"]["auc at 16 tokens"]["value"] == 1.0
    assert engine.live_nodes() == 0


def test_a_second_run_reads_nothing_and_finds_the_same(tmp_path: Path) -> None:
    first = train_reward(Attentive(Echo()), ASKED, SPEECH, tmp_path / "kept", tmp_path / "first")
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").iterdir()}
    second = train_reward(Attentive(Echo()), ASKED, SPEECH, tmp_path / "kept", tmp_path / "second")
    assert first.card == second.card
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").iterdir()} == kept


def test_a_question_without_a_partner_is_refused(tmp_path: Path) -> None:
    lonely = Survey(tuple(one for one in ASKED.questions if one.split != "test"))
    with pytest.raises(GuardrailError, match="not two questions in the split 'test'"):
        train_reward(Attentive(Echo()), lonely, SPEECH, tmp_path / "kept", tmp_path / "reward")


def test_the_packaged_reward_is_refused_beside_another_model() -> None:
    with pytest.raises(HeadMismatch, match="train reward"):
        reward_named("relevance", BaseModel("0" * 64, "bfloat16"))
    with pytest.raises(HeadMismatch, match="there is none for weights in float64"):
        reward_named("relevance", TOY)


def test_a_survey_leaves_out_what_is_reserved_and_keeps_splits() -> None:
    asked = survey([], 100)
    assert len(asked.questions) == 100
    assert not any(is_reserved(question.text, "") for question in asked.questions)
    assert {question.split for question in asked.questions} == {"train", "validation", "test"}
    assert asked.questions[:10] == survey([], 10).questions
