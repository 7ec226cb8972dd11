"""Which categories of a moderations endpoint stand for which hazard, where a policy does not say it itself.

The categories are those of OpenAI's `omni-moderation` models. `src`, `dfm`, `spc`, `prv` and `ipv` have none there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
