"""Kind `openai`: a moderations endpoint.

The usual categories are those of OpenAI's `omni-moderation` models. `src`, `dfm`, `spc`, `prv` and `ipv` have none
there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ig_guardrail.costs.base import CostModel
from ig_guardrail.costs.kinds.base import HAZARD, BuildContext, CostKind, Declaration
from ig_guardrail.fields import addresses
from ig_guardrail.fields.field import Field, FormatKind, ListOf, MapOf
from ig_guardrail.types import CostModelSpec

ADDRESS = FormatKind(
    "an `https://` address, or an `http://` address of this machine", addresses.PATTERN, "http://127.0.0.1:8000/v1"
)


def key_hint(text: str) -> str:
    """What to write instead of a variable's value, or of how a shell writes its name."""
    name = text.strip("${}")
    if name != text and re.fullmatch(addresses.KEY_PATTERN, name):
        return f"write `{name}`, without `$`"
    return "write the name of the variable that holds the key; a key itself stands in no policy"


KEY_NAME = FormatKind(
    "the name of an environment variable that ends in `API_KEY`",
    addresses.KEY_PATTERN,
    "OPENAI_API_KEY",
    hint=key_hint,
)
HOSTED_MODEL = FormatKind("the name of a model", r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}", "omni-moderation-latest")
CATEGORY = FormatKind("a category", r"[A-Za-z][A-Za-z0-9_/.-]{0,63}", "hate/threatening")
ADDRESS_OF_OPENAI = "https://api.openai.com/v1"

CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "vcr": ("violence", "violence/graphic", "illicit/violent", "harassment/threatening", "hate/threatening"),
    "ncr": ("illicit", "illicit/violent"),
    "cse": ("sexual/minors",),
    "iwp": ("illicit/violent",),
    "hte": ("hate", "hate/threatening", "harassment", "harassment/threatening"),
    "ssh": ("self-harm", "self-harm/intent", "self-harm/instructions"),
    "sxc": ("sexual", "sexual/minors"),
}


def build(spec: CostModelSpec, context: BuildContext) -> CostModel:
    """A cost model that asks the endpoint."""
    from ig_guardrail.costs.remote.moderation import moderation_cost

    return moderation_cost(spec)


def _normal(model: Mapping[str, Any]) -> dict[str, Any]:
    """With the categories of each hazard: as written, else the usual ones."""
    written = model.get("categories") or {}
    usual = {hazard: list(written.get(hazard) or CATEGORIES[hazard]) for hazard in model["hazards"]}
    return {**model, "categories": usual}


OPENAI = CostKind(
    "openai",
    {
        "model": Field(HOSTED_MODEL, "the moderation model", "omni-moderation-latest", required=True),
        "base_url": Field(
            ADDRESS,
            "where the moderations endpoint is; answers are sent there",
            "http://127.0.0.1:8000/v1",
            default=ADDRESS_OF_OPENAI,
        ),
        "api_key_env": Field(
            KEY_NAME,
            "the environment variable that holds the key, which is sent there too; an endpoint at `http://`, on "
            "this machine, may go without",
            "OPENAI_API_KEY",
            computed="`OPENAI_API_KEY` at OpenAI's own address, and no key at another",
        ),
        "categories": Field(
            MapOf(HAZARD, ListOf(CATEGORY, 1, 64, unique=True), 1, 64),
            "which of the endpoint's categories stand for a hazard; the highest of their scores counts",
            "{hte: [hate, harassment]}",
            computed="OpenAI's categories, where one fits",
        ),
    },
    build,
    normal=_normal,
    declares=Declaration(alike=False),
)
