"""How packaged cost models score answers of a word or two, with the line that reads these and without it.

    python benchmarks/brief.py            writes benchmarks/out/brief.json

The answers are those of ig_guardrail/evaluate/prompt_sets/brief.jsonl: harmless ones, and mild insults. No head has
learned from them, and no question is asked in what heads learn from. Shares are of whole answers that score above the
threshold of the default policy's budget, in which the cost model serves; heads on hidden states are read beside the
embedded model.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from command import publish, run
from numpy.typing import NDArray

from ig_guardrail.costs.base import CostModel
from ig_guardrail.costs.catalog import build_cost_model
from ig_guardrail.costs.kinds.base import EngineFacts
from ig_guardrail.engine.loading.models import load_engine
from ig_guardrail.evaluate import tables
from ig_guardrail.learn.data.rows import LabelledRow, read_rows
from ig_guardrail.learn.fitting.quality import ScoredSet, auc, estimate
from ig_guardrail.learn.thresholds import peak_scores
from ig_guardrail.policy import load_policy
from ig_guardrail.statistics.binomial import proportion
from ig_guardrail.types import CostModelSpec

HERE = Path(__file__).parent
ANSWERS = Path(str(files("ig_guardrail.evaluate"))) / "prompt_sets" / "brief.jsonl"
HELP, TONE = "harmful-help", "toxic-tone"
MODELS = (  # and the budgets of the default policy that they serve in
    (CostModelSpec("`harmful-help`, hidden states", "latent", ("hte",), {"head": HELP}, 60.0), HELP),
    (CostModelSpec("`toxic-tone`, hidden states", "latent", ("hte",), {"head": TONE}, 60.0), TONE),
    (CostModelSpec("`toxic-tone`, sentence encoder", "encoder", ("hte",), {"head": TONE}, 60.0), TONE),
    (CostModelSpec("`words`", "lexical", ("hte",), {"model": "words"}, 60.0), TONE),
)
SEED = 0


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Measure packaged cost models on answers of a word or two.")
    parser.parse_args(arguments)
    engine, rows = load_engine("embedded", device="cpu"), read_rows([ANSWERS]).rows
    facts = EngineFacts(engine.info.model_sha256, engine.info.numerics)
    models = {model.name: (build_cost_model(model, engine=facts, base_dir=None), budget) for model, budget in MODELS}
    heads = {(name, way): one for name, (model, _) in models.items() for way, one in ways_of(model).items()}
    peaks = peak_scores(engine, {" ".join(key): head for key, head in heads.items()}, rows)
    thresholds = {budget.id: budget.threshold for budget in load_policy("default").budgets}
    figures = [
        figure
        for name, way in heads
        for figure in measured(name, way, peaks[f"{name} {way}"][:, 0], rows, thresholds[models[name][1]])
    ]
    publish(HERE / "out" / "brief.json", "Answers of a word or two", figures)
    return 0


def ways_of(model: Any) -> dict[str, CostModel]:
    """The cost model without its second line, and as it is."""
    return {"without": replace(model, brief=None), "with": model}


def measured(
    name: str, way: str, scores: NDArray[np.float64], rows: Sequence[LabelledRow], threshold: float
) -> Iterator[tables.Row]:
    """How well the scores part rude answers from harmless ones, and the shares of both above the threshold."""
    harmful = np.array([row.label == "harmful" for row in rows])
    parted = estimate(auc, ScoredSet(scores, harmful, tuple(row.prompt for row in rows)), SEED)
    yield tables.row(name, way, "AUC", parted.value, (parted.low, parted.high), len(rows))
    for label, chosen in (("harmless", ~harmful), ("rude", harmful)):
        above = proportion(int((scores[chosen] > threshold).sum()), int(chosen.sum()))
        yield tables.row(name, way, label, above.value, (above.low, above.high), above.n)


if __name__ == "__main__":
    run(main)
