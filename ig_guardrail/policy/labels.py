"""Whether every hazard of a classifier has labels that stand for it, and no label stands for another."""

from __future__ import annotations

from collections.abc import Iterator

from ig_guardrail.policy.draft import Draft
from ig_guardrail.policy.faults import Fault, quoted


def labels(draft: Draft) -> Iterator[Fault]:
    """Every hazard of a `classifier` cost model has labels, and labels are of its hazards only."""
    for name, model in (draft.value("cost_models") or {}).items():
        if model is None or model.get("kind") != "classifier" or None in (model.get("hazards") or [None]):
            continue
        written = model.get("labels")
        if not written or draft.faulty("cost_models", name, "labels"):
            continue
        for index, hazard in enumerate(model["hazards"]):
            if hazard not in written:
                spot = draft.spot("cost_models", name, "hazards", index)
                message = f"no label of the classifier stands for {quoted(hazard)}"
                advice = f"add it to `labels`, as `{hazard}: [...]`, or leave the hazard to another cost model"
                yield spot.fault("P038", message, label="not in `labels`", help=advice)
        for hazard in written:
            if hazard not in model["hazards"]:
                spot = draft.key_spot("cost_models", name, "labels", hazard)
                message = f"labels are written for {quoted(hazard)}, which this cost model does not score"
                yield spot.fault("P038", message, label="not in `hazards`", help="add it to `hazards`, or delete it")
