"""A toy world in which the first letter foretells the rest, and what a critic of it is trained with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ig_guardrail.engine.scripted.engine import Incidents, ScriptedEngine
from ig_guardrail.engine.scripted.script import Distribution, TokenPlace, Vocabulary
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.learn.critic import train_critic
from ig_guardrail.learn.data.questions import Survey, SurveyPrompt
from ig_guardrail.learn.heads import Trained
from ig_guardrail.learn.sampling import SamplingPlan
from ig_guardrail.learn.trajectories import TrajectoryRecorder
from ig_guardrail.types import Sampling, SearchSettings
from tests.toys import LetterCost, toy_budget, toy_policy

LENGTH = 8
BUDGET = toy_budget("b", every=LENGTH)
SPEECH = SamplingPlan(Sampling(temperature=1.0, top_p=1.0, seed=3, max_tokens=LENGTH), answers=6)
ASKED = Survey(
    tuple(SurveyPrompt(f"{split} {n}", split) for split in ("train", "validation", "test") for n in range(6))
)


@dataclass
class Foretold:
    """a is followed by a, b by b. After c a coin is tossed at the fifth letter, and the rest is all a or all b."""

    vocabulary: Vocabulary = field(default_factory=lambda: Vocabulary("abc"))
    first: tuple[float, float, float] = (0.5, 0.5, 0.0)

    def next_tokens(self, place: TokenPlace) -> Distribution:
        a, b, c = (self.vocabulary.ids(letter)[0] for letter in "abc")
        if not place.prefix:
            return [(letter, odds) for letter, odds in zip((a, b, c), self.first, strict=True) if odds]
        if place.prefix[-1] == c and len(place.prefix) == LENGTH // 2:
            return [(a, 0.5), (b, 0.5)]
        return [(place.prefix[-1], 1.0)]


def rail(script: Foretold, incidents: Incidents | None = None) -> Guardrail:
    """A guardrail that is charged at the end only, over a model whose state tells the first letter."""
    letters = [script.vocabulary.ids(letter)[0] for letter in "abc"]
    engine = ScriptedEngine(
        script, hidden=lambda prefix: [float(prefix[0] == letter) for letter in letters], incidents=incidents
    )
    search = SearchSettings(block=LENGTH // 2, hold=LENGTH, candidates=4, shortest=0, steer=None)
    guardrail = Guardrail(engine, toy_policy([BUDGET], search), {"level": LetterCost("level", layers=(1,))})
    guardrail._approved.set()
    return guardrail


def trained(guardrail: Guardrail, cache: Path, out: Path) -> Trained:
    return train_critic(TrajectoryRecorder(guardrail, SPEECH), ASKED, cache, out)
