"""Trains a small reward on relevance: does an answer suit its prompt? The work behind `ig-guardrail train reward`.

The model's own answers are read twice: after the prompt they were given to, and after another one. A line through the
mean hidden state of the answer's tokens tells the two apart, at every point where a search may ask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.costs.heads.node_states import prefix_states
from ig_guardrail.engine.base import Engine
from ig_guardrail.errors import GuardrailError
from ig_guardrail.learn.data.questions import SPLITS, Survey, SurveyPrompt
from ig_guardrail.learn.fitting.card import rounded, write_artifact
from ig_guardrail.learn.fitting.logistic import Fitted, Labels, fit_logistic
from ig_guardrail.learn.fitting.quality import ScoredSet, auc, estimate
from ig_guardrail.learn.fitting.tensor_cache import TensorCache, Tensors, progress_line
from ig_guardrail.learn.heads import SEED, Trained, layers_to_try, versions
from ig_guardrail.learn.sampling import AnswerTokens, SamplingPlan, looks_at, read, speak

Floats = NDArray[np.float64]

STEP = 16
PENALTIES = (0.01, 0.03, 0.1, 0.3)
ABOUT = (
    "How well an answer suits its prompt, read off the language model's own hidden states: the higher, the more the "
    "answer looks like one to this prompt and not to another. It ranks candidates and charges no budget."
)
LIMITS = (
    "It tells an answer to this prompt from an answer to another one. It was never shown which of two answers to the "
    "same prompt is better, and knows nothing of truth, helpfulness, style or harm.",
    "All answers are the model's own words, so a part of what it reads is surprise: how unlikely the model finds them.",
    "Trained on short English answers; other languages, code and long answers are untested.",
)


@dataclass(frozen=True, slots=True, eq=False)
class RewardSamples:
    """Answers while they are being read, laid end to end: whose, how far, and whether after their own prompt.

    states  (looks, layers, hidden size), the mean over the answer's tokens so far
    """

    states: NDArray[np.float32]
    asked: tuple[SurveyPrompt, ...]
    at: NDArray[np.int64]
    matched: NDArray[np.bool_]

    def of(self, split: str) -> NDArray[np.bool_]:
        """(looks,): which belong to the split."""
        return np.array([question.split == split for question in self.asked])


def train_reward(engine: Engine, asked: Survey, speech: SamplingPlan, cache: Path, out: Path) -> Trained:
    """Train the reward on the model's answers to `asked` and write it to a folder in `out` named for the numerics.

    cache  where answers and states are kept between runs; an interrupted run goes on from there
    Raises GuardrailError unless every split has two questions, so that one can be asked with the other's answers.
    """
    info = engine.info
    _demand_pairs(asked)
    layers = layers_to_try(info.layers)
    looks = _read_all(engine, asked, speech, layers, TensorCache(cache, [info.model_sha256, info.numerics, info.mode]))
    layer, fitted = _best(looks, layers)
    card = {
        "name": "relevance",
        "kind": "reward",
        "about": ABOUT,
        "base_model": {
            "name": info.model,
            "sha256": info.model_sha256,
            "numerics": info.numerics,
            "layers": [layer],
        },
        "quality": quality(looks, fitted.values(looks.states[:, layers.index(layer)])),
        "training": {
            **asked.described("ig-guardrail train reward"),
            **speech.described(),
            "settings": {"layer": layer, "l2": fitted.l2},
            "versions": versions(),
        },
        "sources": dict(asked.sources),
        "limits": list(LIMITS),
    }
    write_artifact(out / info.numerics, card, fitted.tensors())
    return Trained(out / info.numerics, card)


def quality(looks: RewardSamples, logits: Floats) -> dict[str, Any]:
    """AUC of own against other prompts on the test questions, at each position; questions are the observations."""
    tested = looks.of("test")
    found: dict[str, Any] = {"test questions": len({asked.text for asked in np.array(looks.asked)[tested]})}
    for position in sorted({int(at) for at in looks.at if at % STEP == 0}):
        here = tested & (looks.at == position)
        if here.any() and len(set(looks.matched[here])) == 2:
            found[f"auc at {position} tokens"] = rounded(estimate(auc, _scored(looks, logits, here), SEED))
    return found


def _best(looks: RewardSamples, layers: tuple[int, ...]) -> tuple[int, Fitted]:
    """Layer and penalty with the highest AUC on the validation questions; the first among equals."""
    learned, chosen = looks.of("train"), looks.of("validation")
    labels = _labels(looks, learned)
    best: tuple[float, int, Fitted] | None = None
    for index, layer in enumerate(layers):
        for l2 in PENALTIES:
            fitted = fit_logistic(looks.states[learned, index], labels, l2)
            reached = auc(_scored(looks, fitted.values(looks.states[:, index]), chosen))
            if best is None or reached > best[0]:
                best = (reached, layer, fitted)
    assert best is not None
    return best[1:]


def _labels(looks: RewardSamples, learned: NDArray[np.bool_]) -> Labels:
    """Both sides weigh a half."""
    matched = looks.matched[learned]
    return Labels(matched, np.where(matched, 0.5 / matched.sum(), 0.5 / (~matched).sum()))


def _scored(looks: RewardSamples, logits: Floats, chosen: NDArray[np.bool_]) -> ScoredSet:
    asked = tuple(question.text for question, taken in zip(looks.asked, chosen, strict=True) if taken)
    return ScoredSet(logits[chosen], looks.matched[chosen], asked)


def _read_all(
    engine: Engine, asked: Survey, speech: SamplingPlan, layers: tuple[int, ...], cache: TensorCache
) -> RewardSamples:
    """Every question with its own answers, and with those to the next question of its split."""
    show = progress_line("asking and reading")
    said = {}
    pieces: list[tuple[SurveyPrompt, Tensors]] = []
    for question in asked.questions:
        said[question.text] = speak(engine, question, speech, cache)
        show(len(said), 2 * len(asked.questions))
    for question, other in _partners(asked):
        own, others = said[question.text], said[other.text]
        key = ["reward", question.text, own, others, layers, STEP]
        make = _Reading(engine, question, own, others, layers)
        pieces.append((question, cache.get(key, make)))
        show(len(asked.questions) + len(pieces), 2 * len(asked.questions))
    return RewardSamples(
        states=np.concatenate([piece["states"] for _, piece in pieces]),
        asked=tuple(question for question, piece in pieces for _ in piece["at"]),
        at=np.concatenate([piece["at"] for _, piece in pieces]),
        matched=np.concatenate([piece["matched"] for _, piece in pieces]).astype(bool),
    )


@dataclass(frozen=True, slots=True)
class _Reading:
    """The work of one question: its own answers and another's, read after it."""

    engine: Engine
    question: SurveyPrompt
    own: Sequence[AnswerTokens]
    others: Sequence[AnswerTokens]
    layers: tuple[int, ...]

    def __call__(self) -> Tensors:
        nodes = read(self.engine, self.question.turns, [*self.own, *self.others], self.layers)
        at = [looks_at(node, STEP) for node in nodes]
        states = [prefix_states(node, self.layers, ends)[:, :, 0] for node, ends in zip(nodes, at, strict=True)]
        matched = [index < len(self.own) for index, ends in enumerate(at) for _ in ends]
        return {
            "states": np.concatenate(states).astype(np.float32),
            "at": np.array([position for ends in at for position in ends], dtype=np.int64),
            "matched": np.array(matched, dtype=np.uint8),
        }


def _partners(asked: Survey) -> list[tuple[SurveyPrompt, SurveyPrompt]]:
    """Each question and the next of its split; the last goes with the first."""
    pairs = []
    for split in SPLITS:
        mine = asked.of(split)
        pairs += list(zip(mine, [*mine[1:], *mine[:1]], strict=True))
    return pairs


def _demand_pairs(asked: Survey) -> None:
    for split in SPLITS:
        if len(asked.of(split)) < 2:
            raise GuardrailError(
                f"there are not two questions in the split '{split}'",
                where="train reward",
                why="a question is held against the answers to another of its split",
                fix="raise --prompts, or add --data with prompts of that split",
            )
