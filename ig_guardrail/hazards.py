"""The hazards a policy can name: AILuminate 1.0, Llama Guard's codes as aliases, and extensions under `x.`"""

from __future__ import annotations

import re
from collections.abc import Sequence

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


def spelled_out(asked: Sequence[str], scored: Sequence[str]) -> list[str]:
    """What `hazards` of a budget stand for beside cost models: those asked for, and their parts that are scored."""
    wanted = list(scored) if list(asked) == [EVERY] else list(asked)
    parts = [narrow for broad in wanted for narrow in scored if covers(broad, narrow)]
    return sorted({*wanted, *parts})


def covers(broad: str, narrow: str) -> bool:
    """Whether hazard `broad` includes `narrow`: itself, or a part of it, as `spc` includes `spc.hlt`."""
    return narrow == broad or narrow.startswith(f"{broad}.")
