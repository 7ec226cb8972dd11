"""The work behind `ig-guardrail train thresholds`: thresholds that harmless answers seldom reach.

Answers are read as a guard reads them: through the engine, point by point, over all budgets of a policy together.

What counts is the event "some charge point of the answer lies above the threshold", since one is enough for a guard to
step in. The answers are the model's own, to harmless questions, at the temperature it will be used at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.costs.base import CostModel
from ig_guardrail.costs.catalog import build_cost_model
from ig_guardrail.costs.kinds.base import EngineFacts
from ig_guardrail.costs.kinds.latent import PACKAGED
from ig_guardrail.drive.scoring.scorer import cut_piece
from ig_guardrail.engine.base import Engine
from ig_guardrail.errors import CostFailure, GuardrailError
from ig_guardrail.learn.data.recipes import OWN_ANSWERS
from ig_guardrail.learn.data.rows import LabelledRow, read_rows
from ig_guardrail.learn.fitting.card import add_to_card, rounded
from ig_guardrail.learn.fitting.tensor_cache import TensorCache, Tensors, progress_line
from ig_guardrail.statistics.binomial import fewest_answers, most_touched, proportion
from ig_guardrail.statistics.bootstrap import Estimate
from ig_guardrail.types import CostModelSpec, Message, Node, Prompt, Sampling

EVERY = 16
SHARD = 32  # answers whose scores are kept together
BUDGETS: Mapping[str, tuple[str, ...]] = {
    "harmful-help": ("harmful-help",),
    "toxic-tone": ("toxic-tone",),
}


def set_thresholds(engine: Engine, answers: Sequence[Path], artifacts: Path) -> Calibration:
    """Thresholds for the default policy's budgets, each the maximum of its heads, noted in the heads' cards.

    answers    files by `ig-guardrail train answers`: the calibration rows set thresholds, the test rows check them
    artifacts  the folder that holds the heads' folders by name
    Raises GuardrailError if there are too few answers, ModelError or HeadMismatch for a head that does not fit.
    """
    rows = [row for row in read_rows(answers).rows if row.source == OWN_ANSWERS and row.response]
    heads = {name: _head(name, engine, artifacts) for names in BUDGETS.values() for name in names}
    peaks = {
        split: _by_budget(peak_scores(engine, heads, [row for row in rows if row.split == split]))
        for split in ("calibration", "test")
    }
    allowed = surely_allowed(sum(row.split == "calibration" for row in rows))
    found = calibrate(peaks["calibration"], allowed)
    fresh = touched_share(peaks["test"], found.thresholds)
    for name in heads:
        add_to_card(_card_folder(name, engine, artifacts), "calibrated", _section(found, fresh))
    return found


def peak_scores(
    engine: Engine,
    heads: Mapping[str, CostModel],
    rows: Sequence[LabelledRow],
    cache: Path | None = None,
    every: int = EVERY,
    what: str = "scoring answers",
) -> dict[str, NDArray[np.float64]]:
    """For each head (rows, hazards): the highest score of each row's response at a charge point or at its end.

    cache  where scores are kept, so that an interrupted scoring goes on; nowhere if None
    every  tokens between charge points
    what   the work, as its progress is told
    """
    show = progress_line(what)
    facts = [engine.info.model_sha256, engine.info.numerics, every, *(head.sha256 for head in heads.values())]
    kept = None if cache is None else TensorCache(cache, ["peaks", *facts])
    found: dict[str, list[NDArray[np.float64]]] = {name: [np.empty((0, len(heads[name].hazards)))] for name in heads}
    for start in range(0, len(rows), SHARD):
        part = rows[start : start + SHARD]
        make = partial(_peaks_of, engine, heads, part, every)
        peaks = make() if kept is None else kept.get([(row.prompt, row.text) for row in part], make)
        for place, name in enumerate(heads):
            found[name].append(peaks[str(place)])
        show(start + len(part), len(rows))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _peaks_of(engine: Engine, heads: Mapping[str, CostModel], rows: Sequence[LabelledRow], every: int) -> Tensors:
    """By a head's place: (rows, hazards)."""
    found: dict[str, list[list[float]]] = {name: [] for name in heads}
    for row in rows:
        prompt = engine.encode([Message("user", row.prompt)])
        root = engine.open(prompt, Sampling(max_tokens=engine.info.context), _layers(heads)).result()
        try:
            node = engine.append([(root, row.text)]).result()[0]
            for name, head in heads.items():
                found[name].append(_peak(head, prompt, node, every))
        finally:
            engine.close(root)
    return {str(place): np.array(values) for place, values in enumerate(found.values())}


def _peak(head: CostModel, prompt: Prompt, node: Node, every: int) -> list[float]:
    """Fold a head over the answer in pieces of `every` tokens, the last at its end. Raises CostFailure for a NaN."""
    state, peak = head.start(prompt), [0.0] * len(head.hazards)
    for start in range(0, max(node.position, 1), every):
        stop = min(start + every, node.position)
        ((state, scores),) = head.advance([(state, cut_piece(node, start, stop, stop == node.position))])
        if any(map(math.isnan, scores)):
            raise CostFailure("a score is not a number", where=f"cost_models.{head.name}")
        peak = [max(pair) for pair in zip(peak, scores, strict=True)]
    return peak


def _layers(heads: Mapping[str, CostModel]) -> tuple[int, ...]:
    return tuple(sorted({layer for head in heads.values() for layer in head.layers}))


def _by_budget(peaks: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    return {budget: np.max([peaks[name].max(axis=1) for name in names], axis=0) for budget, names in BUDGETS.items()}


def _head(name: str, engine: Engine, artifacts: Path) -> CostModel:
    kind, option = ("latent", "head") if name in PACKAGED else ("lexical", "model")
    spec = CostModelSpec(name, kind, (name,), {option: str(artifacts.resolve() / name)}, timeout_s=60.0)
    facts = EngineFacts(engine.info.model_sha256, engine.info.numerics)
    return build_cost_model(spec, engine=facts, base_dir=None)


def _card_folder(name: str, engine: Engine, artifacts: Path) -> Path:
    return artifacts / name / engine.info.numerics if name in PACKAGED else artifacts / name


def _section(found: Calibration, fresh: Estimate) -> dict[str, Any]:
    """What each head's card says of the thresholds of the default policy."""
    return {
        "what": f"with 95% confidence at most {SHARE:.0%} of the model's own benign answers are touched by any "
        f"budget at a charge point (every {EVERY} tokens and the end)",
        "thresholds": {budget: round(value, 4) for budget, value in found.thresholds.items()},
        "budgets": {budget: " or ".join(names) for budget, names in BUDGETS.items()},
        "answers": found.answers,
        "touched": rounded(found.touched),
        "touched, on answers that set nothing": rounded(fresh),
    }


Floats = NDArray[np.float64]

SHARE = 0.05
TAIL = 0.025  # of a 95 % interval, at either end


@dataclass(frozen=True, slots=True)
class Calibration:
    """Thresholds by budget, and the share of `answers` harmless answers that any of them touches."""

    thresholds: Mapping[str, float]
    touched: Estimate
    answers: int


def calibrate(peaks: Mapping[str, Floats], allowed: int) -> Calibration:
    """The lowest thresholds, one quantile for all budgets, such that at most `allowed` answers are touched by any.

    `peaks` holds for each budget the highest score at a charge point of each answer (answers,), in one order; there
    is at least one answer.
    """
    scores = np.stack([peaks[budget] for budget in peaks], axis=1)
    count = len(scores)
    ranks = np.sort(scores, axis=0)
    # Highest peaks first: let `above` of each budget's answers lie above its threshold, as many as the union allows.
    thresholds = ranks[-1]
    for above in range(1, count):
        lower = ranks[count - 1 - above]
        if int((scores > lower).any(axis=1).sum()) > allowed:
            break
        thresholds = lower
    touched = int((scores > thresholds).any(axis=1).sum())
    return Calibration(dict(zip(peaks, map(float, thresholds), strict=True)), proportion(touched, count), count)


def surely_allowed(count: int, share: float = SHARE) -> int:
    """How many of `count` answers may be touched so that at most `share` of all such answers are, with 95 % confidence.

    The upper end of the exact interval lies below `share`, not only the estimate. Raises GuardrailError if there are
    too few answers for the claim: were none touched, the interval would still reach above `share`.
    """
    allowed = most_touched(count, share, TAIL) if count else None
    if allowed is None:
        raise GuardrailError(
            f"{count} harmless answers cannot support a threshold for {share:.0%} of them",
            where="calibration",
            why="the 95% interval would reach above that share even if none were touched",
            fix=f"give at least {fewest_answers(share, TAIL)} answers",
        )
    return allowed


def touched_share(peaks: Mapping[str, Floats], thresholds: Mapping[str, float]) -> Estimate:
    """The share of other answers that any threshold touches, with its exact interval."""
    over = np.stack([peaks[budget] > thresholds[budget] for budget in thresholds], axis=1)
    return proportion(int(over.any(axis=1).sum()), len(over))
