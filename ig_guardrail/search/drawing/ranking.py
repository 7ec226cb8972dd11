"""The order in which candidates are tried. Unsafe ones are never in it; the gate would deny them anyway."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from ig_guardrail.types import CostEstimate, Node, SearchSettings

REPETITIVE = 0.12  # share of repeated 3-grams above which a text reads as a loop


class HasNode(Protocol):
    """A candidate of whatever kind."""

    @property
    def node(self) -> Node: ...


WithNode = TypeVar("WithNode", bound=HasNode)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A scored node. chance is the critic's P(safe), 1 without a critic; value the task value, None without a model."""

    node: Node
    cost: CostEstimate
    chance: float = 1.0
    value: float | None = None


def rank(candidates: Sequence[Candidate], settings: SearchSettings) -> list[Candidate]:
    """The candidates that stay within every enforced budget, best first.

    First those past the acceptance margin. With a task value: lexicographic, P(safe) first, then the value (arXiv
    2502.01208: the reshaped cost orders safe before unsafe, then by task cost). Without: the first that does not loop,
    since ranking by likelihood makes texts repeat and hug the threshold. Then the others, by how far below the
    threshold they are. Departure: the paper has no margin, and ranking by task value alone, too, hugs the threshold;
    `accept: 1` asks for none, and the order by task value is then the paper's.
    """
    within = [c for c in distinct(candidates) if c.cost.within and not too_short(c.node, settings)]
    return sorted(within, key=lambda c: _past_margin_first(c, settings))


def acceptable(candidate: Candidate, settings: SearchSettings) -> bool:
    """Whether it keeps the acceptance margin below every threshold."""
    return candidate.cost.within and candidate.cost.pressure <= settings.accept


def too_short(node: Node, settings: SearchSettings) -> bool:
    """A replacement that stops at once is no answer."""
    return node.finish == "stop" and node.position < settings.shortest


def repeated_trigrams(ids: Sequence[int]) -> float:
    """Share of the 3-grams of a text that occurred before in it; 0 for texts of under three tokens."""
    grams = list(zip(ids, ids[1:], ids[2:], strict=False))
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def distinct(candidates: Sequence[WithNode]) -> list[WithNode]:
    """Candidates with different answers, the first of each, in order."""
    first = {(c.node.answer_ids(), c.node.finish): c for c in reversed(candidates)}
    return [c for c in candidates if first[c.node.answer_ids(), c.node.finish] is c]


def _past_margin_first(candidate: Candidate, settings: SearchSettings) -> tuple[float, ...]:
    if candidate.value is not None and (settings.accept == 1 or acceptable(candidate, settings)):
        return (0, -candidate.chance, -candidate.value)
    if not acceptable(candidate, settings):
        return (1, candidate.cost.pressure)
    loops = repeated_trigrams(candidate.node.answer_ids()) > REPETITIVE
    return (0, float(loops), -candidate.chance)
