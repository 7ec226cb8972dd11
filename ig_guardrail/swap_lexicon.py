"""The swaps that a lexicon names: a JSON file of word pairs, one group of people against another."""

from __future__ import annotations

import json
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from ig_guardrail.swap import Swap, paired, unfit


def read_swaps(file: Traversable | None = None) -> dict[str, Swap]:
    """The swaps of a lexicon by name: that of a JSON file, or the packaged English one.

    A lexicon is {name: {"words": [[one, other], ...], "nouns": [[one, other], ...]}}. Raises ModelError if it is none.
    """
    file = file or files("ig_guardrail.artifacts") / "swaps.json"
    try:
        lexicon = json.loads(file.read_text(encoding="utf-8"))
        return {name: paired(_pairs(groups, "words"), _pairs(groups, "nouns")) for name, groups in lexicon.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise unfit(f"{file} cannot be read: {error}") from error


def _pairs(groups: dict[str, Any], kind: str) -> list[tuple[str, str]]:
    return [(str(one), str(other)) for one, other in groups.get(kind, ())]
