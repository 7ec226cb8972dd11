"""The hazards a policy can name: AILuminate 1.0, Llama Guard's codes as aliases, and extensions under `x.`

Which categories of a moderations endpoint stand for which hazard, where a policy does not say it itself.

The categories are those of OpenAI's `omni-moderation` models. `src`, `dfm`, `spc`, `prv` and `ipv` have none there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ig_guardrail.policy.diagnostics.suggest import suggest

TAXONOMY = "ailuminate-1.0"

HAZARDS = {
    "vcr": "violent crimes",
    "ncr": "non-violent crimes",
    "src": "sex-related crimes",
    "cse": "child sexual exploitation",
    "dfm": "defamation",
    "spc": "specialised advice",
    "prv": "privacy",
    "ipv": "intellectual property",
    "iwp": "indiscriminate weapons",
    "hte": "hate",
    "ssh": "suicide and self-harm",
    "sxc": "sexual content",
}

ALIASES = {
    "S1": "vcr",
    "S2": "ncr",
    "S3": "src",
    "S4": "cse",
    "S5": "dfm",
    "S6": "spc",
    "S7": "prv",
    "S8": "ipv",
    "S9": "iwp",
    "S10": "hte",
    "S11": "ssh",
    "S12": "sxc",
    "S13": "spc.ele",
    "S14": "x.code",
}

EVERY = "all"  # in a budget: every hazard that its cost models name

FORM = re.compile(rf"(?:{'|'.join(HAZARDS)})(?:\.[a-z0-9_]{{1,32}}){{0,3}}|x(?:\.[a-z0-9_]{{1,32}}){{1,4}}")


def canonical(word: str) -> str | None:
    """The id of a hazard, aliases resolved; None if the word names none."""
    name = ALIASES.get(word, word)
    return name if FORM.fullmatch(name) else None


def suggestion(word: str) -> str:
    """What to write instead of a word that names no hazard."""
    by_meaning = {meaning: name for name, meaning in HAZARDS.items()}
    close = suggest(word, (*HAZARDS, *ALIASES, *by_meaning))
    if close is not None:
        name = by_meaning.get(close, close)
        meaning = HAZARDS.get(canonical(name) or "", "")
        return f"did you mean `{name}`" + (f" ({meaning})?" if meaning else "?")
    return f"hazards are {', '.join(HAZARDS)}; one of your own is written `x.{_own(word)}`"


def covers(broad: str, narrow: str) -> bool:
    """Whether hazard `broad` includes `narrow`: itself, or a part of it, as `spc` includes `spc.hlt`."""
    return narrow == broad or narrow.startswith(f"{broad}.")


def _own(word: str) -> str:
    return re.sub("[^a-z0-9_]+", "_", word.lower())[:32].strip("_") or "insult"


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
