"""How much of a committed answer may be shown now: the hold-back, as pure arithmetic over one node.

Text waits for five reasons: it lies after the last charge point that was passed; it is among the last `hold` tokens, so
that the search can still back up; a longer pattern match may begin in it; it may be the start of a stop string; it
belongs to a unit, such as a tool call, which is shown whole or not at all.

Where an answer is JSON, a match is of decoded characters, of which each may take up to twelve characters of the source.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from ig_guardrail.text.call_notation import overlap
from ig_guardrail.text.json_strings import like_json
from ig_guardrail.text.normalisation import start_of_last
from ig_guardrail.types import Node

Unit: TypeAlias = Callable[[str, bool, int | None], int]


@dataclass(frozen=True, slots=True)
class Hold:
    """tokens: kept back for backing up. match: characters of the longest pattern match, those apart that some reading
    of the text leaves out. stops: the stop strings.

    unit: for answers whose last part is shown whole or not at all, how many characters of a text lie before that part
    or what may become it; told whether the answer was cut off there, and how many characters are words, where that is
    known. None where answers have no such part.
    json: whether the answer is JSON for certain; it is read as such, too, where it looks like it.
    hidden: whether thoughts are not shown. Stop strings, units and JSON are of the answer behind a thought.
    """

    tokens: int = 0
    match: int = 0
    stops: tuple[str, ...] = ()
    unit: Unit | None = None
    json: bool = False
    hidden: bool = False


def releasable(node: Node, passed: int, hold: Hold) -> int:
    """Characters of `node.text` that may be shown when charge points up to position `passed` are behind it.

    A thought that is hidden counts as shown with the first character behind it.
    """
    end = _end(node, passed, hold)
    return 0 if hold.hidden and end <= node.thought.characters else end


def _end(node: Node, passed: int, hold: Hold) -> int:
    text = node.text[: node.visible]
    if node.finish is not None:
        if hold.unit is None:
            return node.visible
        whole = node.finish == "stop" and node.visible == len(node.text)
        if node.hurried is not None:  # the call that is written there may say less than was meant
            return _unit_end(node, text[: node.hurried], True, hold.unit)
        return node.visible if whole else _unit_end(node, text, True, hold.unit)
    charged, thought, answer = node.characters_at(passed), *_divided(node, text)
    json = hold.json or bool(like_json(answer) or like_json(thought))
    waiting = (
        node.characters_at(min(passed, max(0, node.position - hold.tokens))),
        start_of_last(node.text, charged, max(0, hold.match - 1), json),
        node.visible - stop_prefix(answer, hold.stops),
        node.visible if hold.unit is None else _unit_end(node, text, False, hold.unit),
    )
    return max(0, min(waiting))


def _unit_end(node: Node, text: str, ended: bool, unit: Unit) -> int:
    """Characters of a node's text before the part that is shown whole or not at all; a thought has none."""
    thought, answer = _divided(node, text)
    return len(thought) + unit(answer, ended, None if node.words is None else node.words - len(thought))


def _divided(node: Node, text: str) -> tuple[str, str]:
    return text[: node.thought.characters], text[node.thought.characters :]


def stop_prefix(text: str, stops: tuple[str, ...]) -> int:
    """Length of the longest end of `text` that a stop string may still grow out of."""
    return max((overlap(text, stop) for stop in stops), default=0)


def tokens_behind(node: Node, characters: int) -> int:
    """The fewest answer tokens whose text covers the first `characters` characters."""
    if characters <= 0:
        return 0
    for step in node.ancestors():
        before = step.position - len(step.ids)
        if step.ids and step.characters_at(before) < characters:
            return before + min(bisect_left(step.offsets, characters) + 1, len(step.ids))
    return 0
