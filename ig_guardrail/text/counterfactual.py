"""Words exchanged for one another in a text, such as "sister" and "brother": what a counterfactual reading reads.

A swap maps words in lower case, each way. A word of a text is a longest run of letters; it is exchanged where it is
written all small, all large or with a large first letter, and keeps that form. Whatever is not in the swap stays, so
that swapping twice gives the text back.

A lexicon names swaps: a JSON file of word pairs, one group of people against another.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, TypeAlias

from ig_guardrail.errors import ModelError, brief
from ig_guardrail.types import AssistantMessage, Edit, Message, with_system_text

Swap: TypeAlias = Mapping[str, str]

_WORD = re.compile(r"[^\W\d_]+")
_SPELLED = re.compile(r"[a-z]{2,}")


def swap_words(text: str, swap: Swap) -> str:
    """The text with every word of the swap exchanged for its other, in the same case."""
    return _WORD.sub(lambda found: _other(found.group(), swap), text) if swap else text


def edit_messages(turns: tuple[Message, ...], edit: Edit) -> tuple[Message, ...]:
    """The conversation with its words swapped, and then the edit's own added to its system text."""
    said = tuple(_swap_turn(turn, edit.swap) for turn in turns) if edit.swap else turns
    return with_system_text(said, edit.system)


def _swap_turn(turn: Message, swap: Swap) -> Message:
    said = tuple(_swap_message(message, swap) for message in turn.said)
    return replace(turn, text=swap_words(turn.text, swap), said=said)


def _swap_message(said: AssistantMessage, swap: Swap) -> AssistantMessage:
    calls = tuple(replace(call, arguments=_swap_value(call.arguments, swap)) for call in said.calls)
    return AssistantMessage(swap_words(said.words, swap), calls)


def _swap_value(value: Any, swap: Swap) -> Any:
    """A value of JSON with the words of its texts swapped."""
    if isinstance(value, str):
        return swap_words(value, swap)
    if isinstance(value, Mapping):
        return {swap_words(key, swap): _swap_value(one, swap) for key, one in value.items()}
    return [_swap_value(one, swap) for one in value] if isinstance(value, list | tuple) else value


def paired(pairs: Iterable[tuple[str, str]], nouns: Iterable[tuple[str, str]] = ()) -> Swap:
    """The swap of pairs of words, and of pairs of nouns together with their regular plurals.

    Words are of two or more of the letters a to z. Raises ModelError for any other, and for a word in two pairs: with
    one of them, swapping twice would not give the text back.
    """
    regular = list(nouns)
    swap: dict[str, str] = {}
    for one, other in (*pairs, *regular, *((plural(one), plural(other)) for one, other in regular)):
        for word in (one, other):
            if not _SPELLED.fullmatch(word):
                raise unfit(f"'{brief(word, 40)}' is not a word of two or more small letters a to z")
            if word in swap or one == other:
                raise unfit(f"'{word}' stands twice")
        swap |= {one: other, other: one}
    return swap


def plural(noun: str) -> str:
    """The regular plural: churches, ladies, boys."""
    if re.search(r"(s|x|z|ch|sh)$", noun):
        return f"{noun}es"
    return f"{noun[:-1]}ies" if re.search(r"[^aeiou]y$", noun) else f"{noun}s"


def _other(word: str, swap: Swap) -> str:
    found = swap.get(word.lower()) if word.isascii() else None
    if found is None:
        return word
    if word.islower():
        return found
    if word.isupper():
        return found.upper()
    return found.capitalize() if word == word.capitalize() else word


def unfit(what: str) -> ModelError:
    """The error of words that cannot be swapped."""
    return ModelError(
        f"the swap lexicon is unfit: {what}",
        where="swap lexicon",
        why="a comparison with wrongly swapped words would say nothing of fairness",
        fix='write pairs such as {"kin": {"words": [["she", "he"]], "nouns": [["sister", "brother"]]}}',
    )


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
