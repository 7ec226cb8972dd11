"""The hazards a policy can name: AILuminate 1.0, Llama Guard's codes as aliases, and extensions under `x.`"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

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

TOOLS = "x.tools"  # that a rule for tools was broken, or too many calls were made

SEVERITY = ("ssh", "cse", "vcr", "src", "iwp", "hte", "spc", "ncr", "prv", "sxc", "dfm", "ipv")
"""Hazards, the most severe first: lives in danger, where a text may name help; harm to people; harm to their rights."""

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


def broader(hazard: str) -> tuple[str, ...]:
    """A hazard and those that it is a part of, the hazard itself first: `spc.hlt`, `spc`."""
    parts = hazard.split(".")
    return tuple(".".join(parts[:length]) for length in range(len(parts), 0, -1))


def severest_first(hazards: Iterable[str], order: Sequence[str] = ()) -> tuple[str, ...]:
    """Hazards, the most severe first; each once.

    order: of a policy, parts included. What it does not name follows in the order of `SEVERITY`, extensions last.
    """
    ranks = {hazard: rank for rank, hazard in enumerate(dict.fromkeys((*order, *SEVERITY)))}

    def rank(hazard: str) -> tuple[int, int, str]:
        own = next((ranks[name] for name in broader(hazard) if name in ranks), len(ranks))
        return own, int(hazard == TOOLS), hazard

    return tuple(sorted(set(hazards), key=rank))
