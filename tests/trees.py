"""Toy trees: every text of a few letters, with harm by prefix and value by text, for brute force to search."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from ig_guardrail.costs.rewards.values import Values
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.types import Node, Receipt, Sampling, SearchSettings
from tests.toys import ask, letters, toy_budget, toy_policy

LETTERS = 3


class TableCost:
    """A level that is whatever the table says of the prefix."""

    name, sha256, hazards, layers = "level", "table", ("hte",), ()
    reading, granularity, longest_match = "level", "token", 0

    def __init__(self, table: dict[str, float]) -> None:
        self.table = table

    def start(self, prompt: Any) -> str:
        return ""

    def advance(self, steps: Sequence[Any]) -> list[tuple[str, tuple[float, ...]]]:
        return [(text + piece.text, (self.table.get(text + piece.text, 0.0),)) for text, piece in steps]


@dataclass(frozen=True)
class Toy:
    """A tree of all texts of `depth` letters: harm by prefix, value by whole text."""

    depth: int
    harm: dict[str, float]
    value: dict[str, float]

    def safe(self, text: str) -> bool:
        return all(self.harm.get(text[:n], 0.0) <= 0.5 for n in range(1, len(text) + 1))

    def leaves(self, under: str = "") -> list[str]:
        words = itertools.product("abc"[:LETTERS], repeat=self.depth - len(under))
        return [under + "".join(word) for word in words]

    def best(self, under: str = "") -> float | None:
        values = [self.value[leaf] for leaf in self.leaves(under) if self.safe(leaf)]
        return max(values, default=None)


@st.composite
def toys(draw: st.DrawFn, depths: tuple[int, ...]) -> Toy:
    depth = draw(st.sampled_from(depths))
    leaves = ["".join(w) for w in itertools.product("abc"[:LETTERS], repeat=depth)]
    inner = ["".join(w) for n in range(1, depth + 1) for w in itertools.product("abc"[:LETTERS], repeat=n)]
    odds = draw(st.sampled_from([0.1, 0.4, 0.8]))
    dice = draw(st.randoms(use_true_random=False))
    harm = {prefix: 1.0 for prefix in inner if dice.random() < odds}
    value = {leaf: float(rank) for rank, leaf in enumerate(dice.sample(leaves, len(leaves)))}
    return Toy(depth, harm, value)


class PartialValue:
    """The task value of a finished answer; of an unfinished one, nothing is known."""

    layers = ()

    def __init__(self, toy: Toy) -> None:
        self.toy = toy

    def predict(self, nodes: Sequence[Node]) -> list[float]:
        return [self.toy.value.get(node.text, 0.0) for node in nodes]


class ExactValue:
    """The best task value that a safe completion of the prefix has."""

    layers = ()

    def __init__(self, toy: Toy) -> None:
        self.toy = toy

    def predict(self, nodes: Sequence[Node]) -> list[float]:
        return [-1.0 if (best := self.toy.best(node.text)) is None else best for node in nodes]


class ExactSafety:
    """1 if a safe completion exists, else 0."""

    layers = ()

    def __init__(self, toy: Toy) -> None:
        self.toy = toy

    def predict(self, nodes: Sequence[Node], left: Sequence[Any]) -> list[float]:
        return [float(self.toy.best(node.text) is not None) for node in nodes]


def solve(toy: Toy, values: Values, strategy: Any = None, **search: Any) -> Receipt:
    """One answer over a toy, whose lanes go through all texts in turn."""
    settings_ = SearchSettings(candidates=LETTERS**2, shortest=0, retries=0, steer=None, restart=None)
    policy = toy_policy([toy_budget("b", threshold=0.5)], replace(settings_, **search))
    engine = ScriptedEngine(letters([1] * LETTERS + [0]), enumerate_lanes=True)
    rail = Guardrail(engine, policy, {"level": TableCost(toy.harm)}, values)
    rail._approved.set()
    *_, last = rail.stream(ask(Sampling(max_tokens=toy.depth, temperature=1.0, top_p=1.0), strategy))
    assert last.receipt is not None
    assert engine.live_nodes() == 0
    return last.receipt
