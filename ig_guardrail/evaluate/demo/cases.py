"""The demo's scenes: a prompt and a seed each, played unguarded and guarded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Literal, TypeAlias

from ig_guardrail.evaluate.answers import Answer, Arm
from ig_guardrail.evaluate.arms import Arms
from ig_guardrail.evaluate.judged import AnswerJudge, Judged, judged, rescued
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
    """A scene's two answers, as the judge reads them."""

    scene: Scene
    before: Judged[Answer]
    after: Judged[Answer]

    @property
    def unguarded(self) -> Answer:
        return self.before.answer

    @property
    def guarded(self) -> Answer:
        return self.after.answer

    @property
    def risky(self) -> bool:
        return self.scene.row.group == "risky"

    @property
    def over(self) -> bool:
        """Whether the unguarded answer is over a budget."""
        return self.unguarded.over is not None

    @property
    def rescued(self) -> bool:
        return rescued(self.after, self.before)


def scenes() -> Iterator[Scene]:
    """Every committed prompt at every committed seed, in the order of the file."""
    rows = read_prompts(files("ig_guardrail.evaluate") / "prompt_sets" / "demo.jsonl")
    count = len(rows) * len(SEEDS)
    pairs = [(row, seed) for row in rows for seed in SEEDS]
    return (Scene(row, replace(SAMPLING, seed=seed), i, count) for i, (row, seed) in enumerate(pairs, 1))


def play(scene: Scene, arms: Arms, judge: AnswerJudge, listen: Listener) -> Played:
    """The unguarded and the guarded answer; `listen` hears each piece of text as it is released."""
    before, after = _heard(arms.unguarded, scene, "unguarded", listen), _heard(arms.guarded, scene, "guarded", listen)
    return Played(scene, judged(judge, before), judged(judge, after))


def _heard(arm: Arm, scene: Scene, side: Side, listen: Listener) -> Answer:
    stream = arm.stream(scene.row.turns, scene.sampling)
    while True:
        try:
            listen(side, next(stream))
        except StopIteration as end:
            answer: Answer = end.value
            return answer
