"""A sequence classifier as a cost model: it scores the answer so far, after the prompt where it is told to.

A text beyond the classifier's context is read in windows that overlap, and the worst one counts: nothing goes unread.
It is read without disguises (`normalisation`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.costs.kinds.base import options_sha256
from ig_guardrail.costs.sequence_classifier import SequenceClassifier
from ig_guardrail.errors import ModelError
from ig_guardrail.text.normalisation import normalise
from ig_guardrail.types import Granularity, Piece, Prompt, ScoreKind

Squash: TypeAlias = Literal["softmax", "sigmoid"]

_STEEPEST = 700.0  # of a logit; exp has no larger argument


@dataclass(frozen=True, slots=True)
class ClassifierState:
    """The prompt, if it is read, and the answer so far."""

    prompt: str | None
    answer: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class LabelScores:
    """Scores in [0, 1] of groups of a classifier's labels; of each group the highest label counts.

    groups  places of labels
    squash  how logits become scores: against each other (softmax), or each alone (sigmoid)
    """

    classifier: SequenceClassifier
    groups: tuple[tuple[int, ...], ...]
    squash: Squash

    def of(self, prompt: str | None, texts: Sequence[str]) -> list[tuple[float, ...]]:
        """A score for each text and group; blank texts score 0 without being read. NaN stays NaN."""
        read = list(dict.fromkeys(text for text in texts if text.strip()))
        logits = self.classifier.of_windows(prompt, read) if read else []
        scores = dict(zip(read, map(self._worst, logits), strict=True))
        return [scores.get(text, (0.0,) * len(self.groups)) for text in texts]

    def _worst(self, logits: NDArray[np.float64]) -> tuple[float, ...]:
        scores = squashed(logits, self.squash).max(axis=0)
        return tuple(float(scores[list(group)].max()) for group in self.groups)


@dataclass(frozen=True, slots=True, eq=False)
class ClassifierCost:
    """A level in [0, 1], charged at block points."""

    name: str
    hazards: tuple[str, ...]
    sha256: str
    scores: LabelScores
    with_prompt: bool
    granularity: Granularity = "block"
    reading: ScoreKind = "level"
    layers: tuple[int, ...] = ()
    longest_match: int = 0

    def start(self, prompt: Prompt) -> ClassifierState:
        """Nothing of the answer was read."""
        return ClassifierState(normalise("\n".join(turn.text for turn in prompt.turns)) if self.with_prompt else None)

    def advance(
        self, steps: Sequence[tuple[ClassifierState, Piece]]
    ) -> list[tuple[ClassifierState, tuple[float, ...]]]:
        """Read all answers so far, those after one prompt together."""
        heard = [ClassifierState(said.prompt, said.answer + piece.text) for said, piece in steps]
        scores: dict[ClassifierState, tuple[float, ...]] = {}
        for prompt in dict.fromkeys(said.prompt for said in heard):
            asked = [said for said in heard if said.prompt == prompt]
            scores |= zip(asked, self.scores.of(prompt, [normalise(said.answer) for said in asked]), strict=True)
        return [(said, scores[said]) for said in heard]


def squashed(logits: NDArray[np.float64], squash: Squash) -> NDArray[np.float64]:
    """(rows, labels) of logits as scores in [0, 1]; NaN, and for softmax infinity, gives NaN."""
    with np.errstate(invalid="ignore"):
        if squash == "sigmoid":
            return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logits, -_STEEPEST, _STEEPEST))))
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def classifier_cost(
    name: str,
    classifier: SequenceClassifier,
    labels: Mapping[str, Sequence[str]],
    hazards: tuple[str, ...],
    squash: Squash | None,
    with_prompt: bool,
) -> ClassifierCost:
    """The cost model that a classifier makes. Raises ModelError for labels that it does not have.

    labels  for each hazard, the labels that stand for it
    squash  None: what the classifier's config implies
    """
    where = f"cost_models.{name}"
    groups = tuple(places(classifier.labels, labels.get(hazard, ()), f"{where}.labels.{hazard}") for hazard in hazards)
    used = squash or squash_of(classifier, where)
    if used == "softmax" and len(classifier.labels) == 1:
        raise ModelError(
            "softmax of one label is always 1",
            where=f"{where}.scores",
            why="every answer would score alike",
            fix="write `scores: sigmoid`, or leave the key out",
        )
    return ClassifierCost(
        name=name,
        hazards=hazards,
        sha256=options_sha256(
            classifier.sha256, hazards=hazards, labels=groups, scores=used, with_prompt=with_prompt, kind="classifier"
        ),
        scores=LabelScores(classifier, groups, used),
        with_prompt=with_prompt,
    )


def squash_of(classifier: SequenceClassifier, where: str) -> Squash:
    """What a classifier's config implies: softmax where one of several labels is right, sigmoid otherwise.

    Raises ModelError for one that was trained to give numbers.
    """
    if classifier.problem == "regression":
        raise ModelError(
            f"'{classifier.name}' was trained to give numbers, not odds",
            where=where,
            why="its config says `problem_type: regression`, so what a score of 0.5 would mean is not known",
            fix="if higher is more harmful, and 0 lies in the middle, write `scores: sigmoid`",
        )
    alone = len(classifier.labels) == 1 or classifier.problem == "multi_label_classification"
    return "sigmoid" if alone else "softmax"


def places(known: Sequence[str], wanted: Sequence[str], where: str) -> tuple[int, ...]:
    """The places of labels among those of a classifier. Raises ModelError if there are none, or one is not known."""
    for label in wanted:
        if label not in known:
            raise ModelError(
                f"the classifier has no label '{label}'", where=where, fix=f"its labels are {', '.join(known)}"
            )
    if not wanted:
        raise ModelError("no label stands for it", where=where, fix=f"name some of {', '.join(known)}")
    return tuple(place for place, label in enumerate(known) if label in wanted)
