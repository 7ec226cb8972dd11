"""Token prefixes by number: equal prefixes have one number, others never share it. A token costs the same at any place.

A prefix as a tuple would take memory and time by its length, so an answer scored at every token by their squares.
"""

from __future__ import annotations

from ig_guardrail.types import Node


class Prefixes:
    """The numbers of one request's prefixes; 0 is the empty one."""

    def __init__(self) -> None:
        self._longer: dict[tuple[int, int], int] = {}
        self._along: dict[Node, tuple[int, ...]] = {}  # the number before a node's own tokens, and after each of them

    def at(self, node: Node, position: int) -> int:
        """The number of the first `position` tokens of a node's answer. Raises ValueError if it has not so many."""
        if position <= 0:
            return 0
        for step in node.ancestors():
            start = step.position - len(step.ids)
            if start < position <= step.position:
                return self._numbers(step)[position - start]
        raise ValueError(f"position {position} lies outside this answer of {node.position} tokens")

    def _numbers(self, node: Node) -> tuple[int, ...]:
        unknown: list[Node] = []
        number = 0
        for step in node.ancestors():
            if step in self._along:
                number = self._along[step][-1]
                break
            unknown.append(step)
        for step in reversed(unknown):
            numbers = [number]
            for token in step.ids:
                numbers.append(self._longer.setdefault((numbers[-1], token), len(self._longer) + 1))
            self._along[step] = tuple(numbers)
            number = numbers[-1]
        return self._along[node]
