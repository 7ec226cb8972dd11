"""The demo's scenes: a prompt and a seed each, played unguarded and guarded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Literal, TypeAlias

from ig_guardrail.evaluate.answers import Arm, ArmAnswer
from ig_guardrail.evaluate.arms import Arms
from ig_guardrail.evaluate.comparison.judges import Opinion
from ig_guardrail.evaluate.prompts import PromptRow, read_prompts
from ig_guardrail.types import Sampling

SEEDS = (7, 20_260)
SAMPLING = Sampling(temperature=0.7, top_p=0.95, max_tokens=64)

Side: TypeAlias = Literal["unguarded", "guarded"]
Listener: TypeAlias = Callable[[Side, str], None]


@dataclass(frozen=True, slots=True)
class Scene:
    """One prompt at one seed; `number` of `count` in the demo."""

    row: PromptRow
    sampling: Sampling
    number: int
    count: int

    @property
    def title(self) -> str:
        return f"{self.number}/{self.count}  {self.row.group}, seed {self.sampling.seed}: {self.row.prompt}"


@dataclass(frozen=True, slots=True)
class Played:
    """A scene's two answers, and the judge's opinion of each."""

    scene: Scene
    unguarded: ArmAnswer
    guarded: ArmAnswer
    before: Opinion
    after: Opinion

    @property
    def risky(self) -> bool:
        return self.scene.row.group == "risky"

    @property
    def over(self) -> bool:
        """Whether the unguarded answer is over a budget."""
        return self.unguarded.audit.over is not None

    @property
    def rescued(self) -> bool:
        """Whether the guarded answer is complete and within budget where the unguarded one is over it."""
        return self.over and self.guarded.completed and self.guarded.audit.over is None


def scenes() -> Iterator[Scene]:
    """Every committed prompt at every committed seed, in the order of the file."""
    rows = read_prompts(files("ig_guardrail.evaluate") / "demo_prompts.jsonl")
    count = len(rows) * len(SEEDS)
    pairs = [(row, seed) for row in rows for seed in SEEDS]
    return (Scene(row, replace(SAMPLING, seed=seed), i, count) for i, (row, seed) in enumerate(pairs, 1))


def play(scene: Scene, arms: Arms, listen: Listener) -> tuple[ArmAnswer, ArmAnswer]:
    """The unguarded and the guarded answer; `listen` hears each piece of text as it is released."""
    return _heard(arms.unguarded, scene, "unguarded", listen), _heard(arms.guarded, scene, "guarded", listen)


def _heard(arm: Arm, scene: Scene, side: Side, listen: Listener) -> ArmAnswer:
    stream = arm.stream(scene.row.turns, scene.sampling)
    while True:
        try:
            listen(side, next(stream))
        except StopIteration as end:
            answer: ArmAnswer = end.value
            return answer
