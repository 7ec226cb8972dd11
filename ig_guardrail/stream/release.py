"""How much of a committed answer may be shown now: the hold-back, as pure arithmetic over one node.

Text waits for five reasons: it lies after the last charge point that was passed; it is among the last `hold` tokens, so
that the search can still back up; a longer pattern match may begin in it; it may be the start of a stop string; it
belongs to a unit, such as a tool call, which is shown whole or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass

from ig_guardrail.normalisation import start_of_last
from ig_guardrail.types import Node


@dataclass(frozen=True, slots=True)
class Hold:
    """tokens: kept back for backing up. match: characters of the longest pattern match, those apart that some reading
    of the text leaves out. stops: the stop strings.

    unit: what the answer's last part begins with that must be whole; None where answers have no such part.
    """

    tokens: int = 0
    match: int = 0
    stops: tuple[str, ...] = ()
    unit: str | None = None


def releasable(node: Node, passed: int, hold: Hold) -> int:
    """Characters of `node.text` that may be shown when charge points up to position `passed` are behind it."""
    before_unit = _before_unit(node, hold.unit)
    if node.finish is not None:
        return node.visible if node.finish == "stop" and node.visible == len(node.text) else before_unit
    charged = node.characters_at(passed)
    waiting = (
        node.characters_at(min(passed, max(0, node.position - hold.tokens))),
        start_of_last(node.text, charged, max(0, hold.match - 1)),
        node.visible - stop_prefix(node.text[: node.visible], hold.stops),
        before_unit,
    )
    return max(0, min(waiting))


def _before_unit(node: Node, unit: str | None) -> int:
    """Characters before the unit, or before what may become its beginning."""
    if unit is None:
        return node.visible
    start = node.text.find(unit, 0, node.visible)
    return start if start >= 0 else node.visible - stop_prefix(node.text[: node.visible], (unit,))


def stop_prefix(text: str, stops: tuple[str, ...]) -> int:
    """Length of the longest end of `text` that a stop string may still grow out of."""
    return max((_overlap(text, stop) for stop in stops), default=0)


def tokens_behind(node: Node, characters: int) -> int:
    """The fewest answer tokens whose text covers the first `characters` characters."""
    low, high = 0, node.position
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if node.characters_at(middle) >= characters else (middle + 1, high)
    return low


def _overlap(text: str, stop: str) -> int:
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
