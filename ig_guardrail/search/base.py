"""What a strategy is, and what it is told."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from ig_guardrail.counterfactual import Swap
from ig_guardrail.types import Node, SearchOp, SearchSettings, StateEdit

Search: TypeAlias = Generator[SearchOp, Any, None]


@dataclass(frozen=True, slots=True)
class SearchContext:
    """What a strategy may know of the request it serves.

    wary       take the acceptance margin from the first token on (a prompt that was screened as risky)
    strict     a restart: draw every block under `steer`, which is then the policy's stricter text
    steer      system text for steered proposals, or None
    protected  tokens no penalty may touch
    glance     whether `Score(kind="glance")` says something: risk can be seen between charge points at no cost
    critic     whether `Score(kind="critic")` is answered: P(the finished answer stays within budget)
    reward     whether `Score(kind="reward")` is answered: task value, higher is better
    ascent     steps away from the policy's first latent cost head, for `Steer`; None where it has none
    seed       of the request's sampling, for what a strategy draws itself
    swaps      the policy's words for groups of people, for a verifier to exchange
    """

    settings: SearchSettings
    wary: bool = False
    strict: bool = False
    steer: str | None = None
    protected: frozenset[int] = frozenset()
    glance: bool = False
    critic: bool = False
    reward: bool = False
    ascent: StateEdit | None = None
    seed: int = 0
    swaps: tuple[Swap, ...] = ()


class Strategy(Protocol):
    """`search(root, ctx)` ends after a finished node was committed, or when it knows no further continuation."""

    def __call__(self, root: Node, ctx: SearchContext) -> Search: ...
