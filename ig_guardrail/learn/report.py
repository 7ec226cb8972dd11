"""What a fitted head is worth on rows it never saw, in the form its card keeps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.learn.looks import Looks
from ig_guardrail.learn.quality import Estimate, Scored, auc, detection_at, estimate, proportion, within_auc
from ig_guardrail.learn.recipes import OWN_ANSWERS
from ig_guardrail.learn.rows import Row

Floats = NDArray[np.float64]


def report(looks: Looks, logits: Floats, centre: float, seed: int) -> dict[str, Any]:
    """Quality on the test rows, by source: AUC at the end, as charged and within a goal, and detection rates.

    `centre` is the logit that scores 0.5; detection is measured against the model's own benign test answers.
    """
    ends, peaks = looks.at_end(logits), looks.peaks(logits)
    benign = [row.source == OWN_ANSWERS and row.split == "test" for row in looks.rows]
    found: dict[str, Any] = {"benign answers above 0.5 at some charge point": _share(peaks, benign, centre)}
    for source in sorted({row.source for row in looks.rows if row.source != OWN_ANSWERS}):
        mine = [row.source == source and row.split == "test" for row in looks.rows]
        harmful = [chosen and row.label == "harmful" for chosen, row in zip(mine, looks.rows, strict=True)]
        safe = [chosen and row.label == "safe" for chosen, row in zip(mine, looks.rows, strict=True)]
        if any(harmful):
            against = [one or other for one, other in zip(harmful, benign, strict=True)]
            found[source] = {
                "harmful": sum(harmful),
                "safe": sum(safe),
                **_separation(looks, ends, peaks, mine, seed),
                **_detection(looks, ends, against, seed),
                "harmful above 0.5 at some charge point": _share(peaks, harmful, centre),
                "safe above 0.5 at some charge point": _share(peaks, safe, centre),
            }
    return found


def _separation(looks: Looks, ends: Floats, peaks: Floats, mine: list[bool], seed: int) -> dict[str, Any]:
    whole, charged = _scored(looks, ends, mine), _scored(looks, peaks, mine)
    if whole.harmful.all():
        return {}
    return {
        "auc": _measured(auc, whole, seed),
        "auc as charged": _measured(auc, charged, seed),
        "auc within a prompt": _measured(within_auc, whole, seed),
    }


def _detection(looks: Looks, ends: Floats, against: list[bool], seed: int) -> dict[str, Any]:
    scored = _scored(looks, ends, against)
    if scored.harmful.all():
        return {}
    return {
        "detected at 1% of benign answers": _measured(detection_at(0.01), scored, seed),
        "detected at 5% of benign answers": _measured(detection_at(0.05), scored, seed),
    }


def _measured(statistic: Callable[[Scored], float], scored: Scored, seed: int) -> dict[str, Any] | None:
    found = estimate(statistic, scored, seed)
    return None if np.isnan(found.value) else rounded(found)


def _scored(looks: Looks, values: Floats, chosen: list[bool]) -> Scored:
    rows = [row for row, taken in zip(looks.rows, chosen, strict=True) if taken]
    harmful = np.array([row.label == "harmful" for row in rows], dtype=bool)
    return Scored(values[np.array(chosen, dtype=bool)], harmful, tuple(map(_group, rows)))


def _group(row: Row) -> str:
    return row.prompt or row.text


def _share(peaks: Floats, chosen: list[bool], centre: float) -> dict[str, Any] | None:
    values = peaks[np.array(chosen, dtype=bool)]
    return rounded(proportion(int((values > centre).sum()), len(values))) if len(values) else None


def rounded(found: Estimate) -> dict[str, Any]:
    """A value and its 95% interval, as cards keep them."""
    return {"value": round(found.value, 3), "interval": [round(found.low, 3), round(found.high, 3)]}
