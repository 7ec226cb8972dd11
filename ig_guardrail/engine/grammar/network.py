"""Networks of characters: what a form may still say, and how far it is to its end.

A network has rules; a rule is an automaton whose edges read one character, or a whole other rule. It allows at least
all that the grammar does, so the shortest way to its end is one to try.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Letters: TypeAlias = tuple[tuple[int, int], ...]  # ranges of code points, ascending

LAST = 0x10FFFF
ANY: Letters = ((0, LAST),)
FAR = 10**9
MOST = 400_000  # nodes


class Unread(Exception):
    """A part of a grammar that no network is made of."""


def letters(*given: str) -> Letters:
    """The set of some characters."""
    return tuple((ord(one), ord(one)) for one in sorted(set("".join(given))))


def holds(these: Letters, code: int) -> bool:
    """Whether a code point is in a set."""
    return any(low <= code <= high for low, high in these)


def common(one: Letters, other: Letters) -> Letters:
    """What is in both sets."""
    found = [(max(a, c), min(b, d)) for a, b in one for c, d in other]
    return tuple(sorted((low, high) for low, high in found if low <= high))


def without(one: Letters, other: Letters) -> Letters:
    """What is in the first set only."""
    rest = list(one)
    for low, high in other:
        rest = [
            piece for a, b in rest for piece in ((a, min(b, low - 1)), (max(a, high + 1), b)) if piece[0] <= piece[1]
        ]
    return tuple(sorted(rest))


@dataclass(slots=True)
class Net:
    """Nodes with edges: silent ones, ones that read a character, and ones that read a rule.

    check  for a rule, whether what was read by it may stand
    exact  nodes at which the network tells more than the grammar does
    prose  nodes of words, which may be cut anywhere
    """

    silent: list[list[int]] = field(default_factory=list)
    reading: list[list[tuple[Letters, int]]] = field(default_factory=list)
    calling: list[list[tuple[int, int]]] = field(default_factory=list)
    entry: list[int] = field(default_factory=list)
    exit: list[int] = field(default_factory=list)
    check: dict[int, Callable[[str], bool]] = field(default_factory=dict)
    exact: set[int] = field(default_factory=set)
    prose: set[int] = field(default_factory=set)
    distance: list[int] = field(default_factory=list)

    def node(self) -> int:
        if len(self.silent) >= MOST:
            raise Unread("the grammar is too large")
        self.silent.append([])
        self.reading.append([])
        self.calling.append([])
        return len(self.silent) - 1

    def rule(self) -> int:
        self.entry.append(self.node())
        self.exit.append(self.node())
        return len(self.entry) - 1

    def skip(self, start: int, end: int) -> int:
        self.silent[start].append(end)
        return end

    def read(self, start: int, these: Letters, end: int) -> int:
        if these:
            self.reading[start].append((these, end))
        return end

    def call(self, start: int, rule: int, end: int) -> int:
        self.calling[start].append((rule, end))
        return end

    def say(self, start: int, text: str, end: int | None = None) -> int:
        """Read a text; the node behind it."""
        for at, letter in enumerate(text):
            last = end is not None and at == len(text) - 1
            start = self.read(start, ((ord(letter), ord(letter)),), end if last and end is not None else self.node())
        return self.skip(start, end) if end is not None and not text else start

    def measured(self) -> Net:
        """Itself, with the least number of bytes from each node to the end of its rule."""
        back: list[list[tuple[int, int]]] = [[] for _ in self.silent]
        waits: dict[int, list[tuple[int, int]]] = {}  # by what must be known too: (node, the other)
        for node in range(len(self.silent)):
            for after in self.silent[node]:
                back[after].append((node, 0))
            for these, after in self.reading[node]:
                back[after].append((node, _bytes(these[0][0])))
            for rule, after in self.calling[node]:
                waits.setdefault(after, []).append((node, self.entry[rule]))
                waits.setdefault(self.entry[rule], []).append((node, after))
        self.distance = [FAR] * len(self.silent)
        heap = [(0, node) for node in self.exit]
        while heap:
            cost, node = heapq.heappop(heap)
            if self.distance[node] <= cost:
                continue
            self.distance[node] = cost
            for before, more in back[node]:
                if cost + more < self.distance[before]:
                    heapq.heappush(heap, (cost + more, before))
            for before, other in waits.get(node, ()):
                if self.distance[other] < FAR and cost + self.distance[other] < self.distance[before]:
                    heapq.heappush(heap, (cost + self.distance[other], before))
        return self


def _bytes(code: int) -> int:
    return 1 if code < 0x80 else 2 if code < 0x800 else 3 if code < 0x10000 else 4


@dataclass(frozen=True, slots=True)
class Automaton:
    """An automaton of characters by itself: node 0 starts, node 1 ends."""

    silent: tuple[tuple[int, ...], ...]
    reading: tuple[tuple[tuple[Letters, int], ...], ...]


def automaton(net: Net, start: int, end: int) -> Automaton:
    """A network without rules as an automaton."""
    order = {start: 0, end: 1}
    waiting = [start, end]
    for node in waiting:
        for after in (*net.silent[node], *(to for _, to in net.reading[node])):
            if after not in order:
                order[after] = len(order)
                waiting.append(after)
    return Automaton(
        tuple(tuple(order[to] for to in net.silent[node]) for node in waiting),
        tuple(tuple((these, order[to]) for these, to in net.reading[node]) for node in waiting),
    )


def product(one: Automaton, other: Automaton) -> Automaton:
    """What both automata read. Raises Unread if that grows too large."""
    order: dict[Any, int] = {(0, 0): 0, (1, 1): 1}
    waiting = [(0, 0), (1, 1)]
    silent: list[tuple[int, ...]] = []
    reading: list[tuple[tuple[Letters, int], ...]] = []

    def placed(pairs: Iterable[tuple[int, int]]) -> list[int]:
        found = []
        for pair in pairs:
            if pair not in order:
                if len(order) > MOST // 8:
                    raise Unread("a pattern is too large")
                order[pair] = len(order)
                waiting.append(pair)
            found.append(order[pair])
        return found

    for a, b in waiting:
        silent.append(tuple(placed([*((to, b) for to in one.silent[a]), *((a, to) for to in other.silent[b])])))
        shared = [
            (met, (to, then))
            for these, to in one.reading[a]
            for those, then in other.reading[b]
            if (met := common(these, those))
        ]
        reading.append(tuple(zip((met for met, _ in shared), placed(pair for _, pair in shared), strict=True)))
    return Automaton(tuple(silent), tuple(reading))
