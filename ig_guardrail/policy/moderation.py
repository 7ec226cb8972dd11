"""Which categories of a moderations endpoint stand for which hazard, where a policy does not say it itself.

The categories are those of OpenAI's `omni-moderation` models. `src`, `dfm`, `spc`, `prv` and `ipv` have none there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ig_guardrail.policy.draft import Draft
from ig_guardrail.policy.faults import Fault, quoted

CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "vcr": ("violence", "violence/graphic", "illicit/violent", "harassment/threatening", "hate/threatening"),
    "ncr": ("illicit", "illicit/violent"),
    "cse": ("sexual/minors",),
    "iwp": ("illicit/violent",),
    "hte": ("hate", "hate/threatening", "harassment", "harassment/threatening"),
    "ssh": ("self-harm", "self-harm/intent", "self-harm/instructions"),
    "sxc": ("sexual", "sexual/minors"),
}


def categories_of(model: Mapping[str, Any]) -> dict[str, list[str]]:
    """The categories of each hazard of a sound `openai` cost model: as written, else the usual ones."""
    written = model.get("categories") or {}
    return {hazard: list(written.get(hazard) or CATEGORIES[hazard]) for hazard in model["hazards"]}


def categories(draft: Draft) -> Iterator[Fault]:
    """Every hazard of an `openai` cost model has categories, and every category belongs to one of its hazards."""
    for name, model in (draft.value("cost_models") or {}).items():
        if model is None or model.get("kind") != "openai" or None in (model.get("hazards") or [None]):
            continue
        if draft.faulty("cost_models", name, "categories"):
            continue
        written = model.get("categories") or {}
        for index, hazard in enumerate(model["hazards"]):
            if hazard not in written and hazard not in CATEGORIES:
                spot = draft.spot("cost_models", name, "hazards", index)
                message = f"no category of the endpoint stands for {quoted(hazard)}"
                advice = f"add `categories: {{{hazard}: [...]}}`, or leave the hazard to another cost model"
                yield spot.fault("P037", message, label="needs `categories`", help=advice)
        for hazard in written:
            if hazard not in model["hazards"]:
                spot = draft.key_spot("cost_models", name, "categories", hazard)
                message = f"categories are written for {quoted(hazard)}, which this cost model does not score"
                yield spot.fault("P037", message, label="not in `hazards`", help="add it to `hazards`, or delete it")
