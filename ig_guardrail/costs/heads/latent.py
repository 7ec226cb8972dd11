"""A linear head on the language model's own hidden states: the mean over the answer's tokens so far.

Decoding computes these states anyway, so a score costs one product. The head belongs to one base model in one numerics:
with any other its scores would mean nothing, so it is refused there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import Any

import numpy as np

from ig_guardrail.costs.heads.artifact import Artifact, read_artifact
from ig_guardrail.costs.heads.base_model import BaseModel, read_base_model
from ig_guardrail.costs.heads.brief import BRIEF, BRIEF_TOKENS, has_brief
from ig_guardrail.costs.heads.linear import LinearMap, Scale, read_line
from ig_guardrail.costs.kinds.base import options_sha256
from ig_guardrail.errors import CostFailure
from ig_guardrail.types import Granularity, Piece, Prompt, ScoreKind, StateEdit


@dataclass(frozen=True, slots=True, eq=False)
class StateSum:
    """The sum of the states of `count` answer tokens: a float64 tensor (hidden size,), or None for none.

    In float64 the sum of bfloat16 or float16 states is exact, so it does not matter how an answer was cut.
    """

    total: Any
    count: int


@dataclass(frozen=True, slots=True, eq=False)
class LatentHead:
    """A level in [0, 1], charged at block points: the same score for each of its hazards.

    line   the logit of a mean state (hidden size,), standardisation included
    brief  the same for an answer that ends with fewer than `BRIEF_TOKENS`; None where `line` reads these, too
    """

    name: str
    hazards: tuple[str, ...]
    sha256: str
    layer: int
    model_sha256: str
    numerics: str
    line: LinearMap
    scale: Scale
    brief: LinearMap | None = None
    granularity: Granularity = "block"
    reading: ScoreKind = "level"
    longest_match: int = 0

    @property
    def layers(self) -> tuple[int, ...]:
        return (self.layer,)

    def descent(self) -> StateEdit:
        """Steps of a state at the head's layer away from a higher score."""
        from ig_guardrail.costs.heads.state_edits import away_from

        return away_from(self.layer, self.line.weight)

    def check_fits(self, model_sha256: str, numerics: str) -> None:
        """Raises HeadMismatch unless the engine runs the base model, in the numerics, that the head was trained on."""
        base = BaseModel(self.model_sha256, self.numerics)
        base.demand(BaseModel(model_sha256, numerics), f"cost_models.{self.name}", "ig-guardrail train head")

    def start(self, prompt: Prompt) -> StateSum:
        """Nothing of the answer was read; the prompt is not scored."""
        return StateSum(None, 0)

    def advance(self, steps: Sequence[tuple[StateSum, Piece]]) -> list[tuple[StateSum, tuple[float, ...]]]:
        """One product for all steps. An answer without tokens scores 0; states that are not finite score NaN.

        Raises CostFailure if a piece does not hold one state of the head's layer and size for each of its tokens.
        """
        states = [self._add(state, piece) for state, piece in steps]
        lines = [self._line(state, piece) for state, (_, piece) in zip(states, steps, strict=True)]
        scores = iter(self._scores([(state, line) for state, line in zip(states, lines, strict=True) if state.count]))
        return [(state, (next(scores) if state.count else 0.0,) * len(self.hazards)) for state in states]

    def _add(self, state: StateSum, piece: Piece) -> StateSum:
        if not piece.ids:
            return state
        import torch

        parts = [torch.as_tensor(part).cpu().to(torch.float64) for part in piece.hidden.get(self.layer, ())]
        rows = torch.cat(parts) if parts else torch.empty(0, 0)
        if tuple(rows.shape) != (len(piece.ids), self._size):
            raise CostFailure(
                f"the piece holds states of shape {tuple(rows.shape)} for {len(piece.ids)} tokens",
                where=f"cost_models.{self.name}",
                why=f"the head reads layer {self.layer}, {self._size} numbers a token",
                fix=f"open the engine's prompt with layers=({self.layer},)",
            )
        total = rows.sum(dim=0)
        return StateSum(total if state.total is None else state.total + total, state.count + len(piece.ids))

    def _scores(self, read: Sequence[tuple[StateSum, LinearMap]]) -> list[float]:
        if not read:
            return []
        import torch

        means = torch.stack([state.total / state.count for state, _ in read])
        # A row's sum does not depend on the other rows, as a matrix product's rounding may.
        sums = (means * torch.from_numpy(np.stack([line.weight for _, line in read]))).sum(dim=1).tolist()
        return [self.scale.score(total + line.bias) for (_, line), total in zip(read, sums, strict=True)]

    def _line(self, state: StateSum, last: Piece) -> LinearMap:
        if self.brief is not None and last.ended and state.count < BRIEF_TOKENS:
            return self.brief
        return self.line

    @property
    def _size(self) -> int:
        return len(self.line.weight)


def read_latent_head(folder: Traversable, name: str, hazards: tuple[str, ...]) -> LatentHead:
    """The head in an artifact folder. Raises ModelError if the folder does not hold one."""
    artifact = read_artifact(folder, "latent")
    base = read_base_model(artifact)
    layer = artifact.section("base_model").get("layer")
    if not (isinstance(layer, int) and layer > 0):
        raise artifact.unfit("its card does not name the layer of the base model that it reads")
    line = read_line(artifact)
    return LatentHead(
        name=name,
        hazards=hazards,
        sha256=options_sha256(artifact.sha256, hazards=hazards),
        layer=layer,
        model_sha256=base.sha256,
        numerics=base.numerics,
        line=line,
        scale=read_scale(artifact),
        brief=read_line(artifact, BRIEF, len(line.weight)) if has_brief(artifact) else None,
    )


def read_scale(artifact: Artifact) -> Scale:
    """The artifact's curve from logits to scores. Raises ModelError unless its width is positive."""
    scale = Scale(artifact.scalar("centre"), artifact.scalar("width"))
    if scale.width <= 0:
        raise artifact.unfit("the width of its scale is not positive")
    return scale
