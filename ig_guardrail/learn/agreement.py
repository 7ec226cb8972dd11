"""How far a judge's mistakes are those of cost models that guide: a judge that shares them cannot see them.

On answers that neither has learned. A judge that knows nothing of what misleads a cost model parts the answers that
the cost model takes wrongly no worse than chance; one that makes the same mistakes parts them the wrong way round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.costs.base import CostModel
from ig_guardrail.costs.catalog import build_cost_model
from ig_guardrail.judge import HARMFUL, Judge
from ig_guardrail.learn.data.rows import LabelledRow
from ig_guardrail.learn.fitting.card import rounded
from ig_guardrail.learn.fitting.quality import ScoredSet, auc, estimate
from ig_guardrail.types import CostModelSpec, Piece, Prompt

Floats = NDArray[np.float64]

SEED = 0
GUIDES: Mapping[str, Sequence[tuple[str, str, str]]] = {  # by topic: kind, option and name of packaged text costs
    "help": (("encoder", "head", "harmful-help"), ("lexical", "model", "words")),
    "tone": (("encoder", "head", "toxic-tone"), ("lexical", "model", "words")),
}


def packaged_guides() -> dict[str, dict[str, CostModel]]:
    """By topic, the packaged cost models that read texts and score what a judge's topic is about."""
    return {
        topic: {f"{kind} {name}": _built(kind, option, name) for kind, option, name in named}
        for topic, named in GUIDES.items()
    }


def agreement_of(
    opinions: Mapping[str, Judge],
    guides: Mapping[str, Mapping[str, CostModel]],
    rows: Mapping[str, Mapping[str, Sequence[LabelledRow]]],
) -> dict[str, Any]:
    """For each topic, cost model and source: how alike the opinions are to it, and what they make of its mistakes.

    rows  by topic and source, answers that neither the judge nor the cost models have learned
    """
    return {
        topic: {
            name: {
                source: _compared(opinions, topic, cost, mine)
                for source, mine in rows[topic].items()
                if {row.label for row in mine} == {"harmful", "safe"}
            }
            for name, cost in costs.items()
        }
        for topic, costs in guides.items()
    }


def _compared(
    opinions: Mapping[str, Judge], topic: str, cost: CostModel, rows: Sequence[LabelledRow]
) -> dict[str, Any]:
    scores = np.array([_score(cost, row.text) for row in rows])
    harmful = np.array([row.label == "harmful" for row in rows])
    wrong = (scores > HARMFUL) != harmful
    found: dict[str, Any] = {"answers": len(rows), "mistakes of the cost model": int(wrong.sum())}
    for name, judge in opinions.items():
        own = np.array([judge.topics[topic].view.logit(row.text) for row in rows])
        alike = np.mean([_rank_correlation(own[side], scores[side]) for side in (harmful, ~harmful)])
        found[name] = {"rank correlation among answers of one label": round(float(alike), 3)}
        if 0 < int((wrong & harmful).sum()) < int(wrong.sum()):
            groups = tuple(row.prompt or row.text for row, chosen in zip(rows, wrong, strict=True) if chosen)
            seen = ScoredSet(own[wrong], harmful[wrong], groups)
            found[name]["auc on its mistakes"] = rounded(estimate(auc, seen, SEED))
    return found


def _rank_correlation(one: Floats, other: Floats) -> float:
    """Spearman's, without regard to ties."""
    first, second = (np.argsort(np.argsort(values, kind="stable"), kind="stable") for values in (one, other))
    return float(np.asarray(np.corrcoef(first, second))[0, 1]) if len(one) > 1 else 0.0


def _score(cost: CostModel, text: str) -> float:
    """Of a whole answer, at its end."""
    ((_, scores),) = cost.advance([(cost.start(Prompt((), ())), Piece(text, ended=True))])
    return max(scores)


def _built(kind: str, option: str, name: str) -> CostModel:
    spec = CostModelSpec(name, kind, (name,), {option: name}, timeout_s=60.0)
    return build_cost_model(spec, engine=None, base_dir=None)
