"""The swaps that a lexicon names: a JSON file of word pairs, one group of people against another."""

from __future__ import annotations

import json
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from ig_guardrail.errors import brief
from ig_guardrail.swap import Swap, paired, unfit

MOST_BYTES = 256 * 1024
PAIRS = ("words", "nouns")


def read_swaps(file: Traversable | None = None) -> dict[str, Swap]:
    """The swaps of a lexicon by name: that of a JSON file, or the packaged English one.

    A lexicon is {name: {"words": [[one, other], ...], "nouns": [[one, other], ...]}}. Raises ModelError if it is none:
    also for a name or word twice, a swap without words, a key that is not known, or more than 256 KiB.
    """
    file = file or files("ig_guardrail.artifacts") / "swaps.json"
    try:
        lexicon = json.loads(_content(file), object_pairs_hook=_distinct)
        if not isinstance(lexicon, dict) or not lexicon:
            raise ValueError("it names no swaps")
        return {name: paired(*_pairs(name, groups)) for name, groups in lexicon.items()}
    except (OSError, ValueError, RecursionError) as error:
        raise unfit(f"{file} cannot be read: {_reason(error)}") from error


def _content(file: Traversable) -> str:
    if not file.is_file():
        raise ValueError("there is no such file")
    with file.open("rb") as opened:
        data = opened.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES} bytes")
    return data.decode("utf-8")


def _distinct(entries: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(entries)
    if len(found) < len(entries):
        raise ValueError("a key stands twice")
    return found


def _pairs(name: str, groups: Any) -> list[list[tuple[str, str]]]:
    """The pairs of words, and those of nouns."""
    if not isinstance(groups, dict) or groups.keys() - set(PAIRS):
        raise ValueError(f"'{brief(name, 40)}' must have {' and '.join(PAIRS)}, and nothing else")
    lists = [groups.get(kind, []) for kind in PAIRS]
    if not any(lists) or not all(isinstance(one, list) and all(map(_is_pair, one)) for one in lists):
        raise ValueError(f"'{brief(name, 40)}' must have a list of pairs of words")
    return [[(one, other) for one, other in pairs] for pairs in lists]


def _is_pair(found: Any) -> bool:
    return isinstance(found, list) and len(found) == 2 and all(isinstance(word, str) for word in found)


def _reason(error: Exception) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else brief(error)
