"""A line through the vectors of a sentence encoder, and the words beside them: a text cost that fits any model.

With the vector e of a window, its term counts n, inverse document frequencies f and weights u and w:
logit = u . e + sum(n f w) / |n f| + bias. The worst window of the answer so far counts, and nothing goes unread. A
charge point reads the window that is open, and each one that was filled since the last, once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable

from ig_guardrail.costs.encoder.sentences import SentenceEncoder, Vector
from ig_guardrail.costs.encoder.windows import TextWindows, WindowShape
from ig_guardrail.costs.heads.artifact import Artifact, read_artifact
from ig_guardrail.costs.heads.latent import read_scale
from ig_guardrail.costs.heads.lexical import logit_of
from ig_guardrail.costs.heads.linear import Floats, LinearMap, Scale
from ig_guardrail.costs.heads.words import count_terms
from ig_guardrail.costs.kinds.base import options_sha256
from ig_guardrail.errors import HeadMismatch
from ig_guardrail.types import Granularity, Piece, Prompt, ScoreKind


@dataclass(frozen=True, slots=True)
class EncoderState:
    """What was read of the answer, and the worst logit of its full windows."""

    windows: TextWindows = field(default_factory=TextWindows)
    worst: float = -math.inf


@dataclass(frozen=True, slots=True, eq=False)
class EncoderHead:
    """The logit of a window: of its vector (size,), and of its words, by frequency and weight of a bucket."""

    line: LinearMap
    frequency: Floats
    weight: Floats

    def logit(self, text: str, vector: Vector) -> float:
        """The logit of one window; it does not depend on what else is asked."""
        return self.line.at(vector) + logit_of(count_terms(text, len(self.weight)), self.frequency, self.weight)


@dataclass(frozen=True, slots=True, eq=False)
class EncoderCost:
    """A level in [0, 1], charged at block points: the same score for each of its hazards. No words score 0."""

    name: str
    hazards: tuple[str, ...]
    sha256: str
    encoder: SentenceEncoder
    shape: WindowShape
    head: EncoderHead
    scale: Scale
    granularity: Granularity = "block"
    reading: ScoreKind = "level"
    layers: tuple[int, ...] = ()
    longest_match: int = 0

    def start(self, prompt: Prompt) -> EncoderState:
        """Nothing of the answer was read; the prompt is not scored."""
        return EncoderState()

    def advance(self, steps: Sequence[tuple[EncoderState, Piece]]) -> list[tuple[EncoderState, tuple[float, ...]]]:
        """Read each piece's words; equal windows of several answers are read once."""
        read = [state.windows.read(piece.text, piece.ended, self.shape, self.encoder.pieces) for state, piece in steps]
        texts = list(dict.fromkeys(text for windows, full in read for text in (*full, windows.open) if text))
        vectors = self.encoder.vectors(texts)
        logits = {text: self.head.logit(text, vector) for text, vector in zip(texts, vectors, strict=True)}
        found = []
        for (state, _), (windows, full) in zip(steps, read, strict=True):
            worst = _worse(state.worst, *(logits[text] for text in full))
            found.append(
                (EncoderState(windows, worst), self._scores(_worse(worst, logits.get(windows.open, -math.inf))))
            )
        return found

    def _scores(self, logit: float) -> tuple[float, ...]:
        return (0.0 if logit == -math.inf else self.scale.score(logit),) * len(self.hazards)


def _worse(*logits: float) -> float:
    """The highest; NaN if one of them is."""
    return math.nan if any(map(math.isnan, logits)) else max(logits)


def read_encoder_cost(
    folder: Traversable, encoder: SentenceEncoder, name: str, hazards: tuple[str, ...]
) -> EncoderCost:
    """The head in an artifact folder, on its encoder.

    Raises ModelError if the folder does not hold one, HeadMismatch if it was trained on another encoder.
    """
    artifact = read_artifact(folder, "encoder")
    _check_fits(artifact, encoder, name)
    weight = artifact.vector("words.weight")
    if not len(weight):
        raise artifact.unfit("it has no buckets")
    return EncoderCost(
        name=name,
        hazards=hazards,
        sha256=options_sha256(artifact.sha256, hazards=hazards, encoder=encoder.sha256),
        encoder=encoder,
        shape=_shape(artifact, encoder),
        head=EncoderHead(
            LinearMap(artifact.vector("weight", encoder.size), artifact.scalar("bias")),
            artifact.vector("words.frequency", len(weight)),
            weight,
        ),
        scale=read_scale(artifact),
    )


def _check_fits(artifact: Artifact, encoder: SentenceEncoder, name: str) -> None:
    made_for = artifact.section("encoder")
    if made_for.get("sha256") != encoder.sha256:
        raise HeadMismatch(
            f"the head was trained on encoder '{made_for.get('name')}', not on this one",
            where=f"cost_models.{name}",
            why=f"it names SHA-256 {made_for.get('sha256')}, and '{encoder.name}' has {encoder.sha256}",
            fix=f"name its own encoder, or train a head with `ig-guardrail train encoder --encoder {encoder.name}`",
        )


def _shape(artifact: Artifact, encoder: SentenceEncoder) -> WindowShape:
    made_for = artifact.section("encoder")
    pieces, overlap = made_for.get("pieces"), made_for.get("overlap")
    if not isinstance(pieces, int) or not isinstance(overlap, int) or not 0 <= overlap < pieces <= encoder.room:
        raise artifact.unfit(
            f"its windows of {pieces} pieces, {overlap} of them again, are none that the encoder can read"
        )
    return WindowShape(pieces, overlap)
