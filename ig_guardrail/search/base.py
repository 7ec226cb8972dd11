"""What a strategy is, what it is told, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from ig_guardrail.search.needs import Need, Surroundings
from ig_guardrail.text.counterfactual import Swap
from ig_guardrail.types import Node, SearchOp, SearchSettings, StateEdit

Search: TypeAlias = Generator[SearchOp, Any, None]


@dataclass(frozen=True, slots=True)
class SearchContext:
    """What a strategy may know of the request it serves.

    use_margin   take the acceptance margin from the first token on (a prompt that was checked as risky)
    strict       a restart: draw every block under `steer`, which is then the policy's stricter text
    steer        system text for steered proposals, or None
    protected    tokens no penalty may touch
    early_score  whether `Score(kind="early_score")` says something: risk can be seen between charge points for free
    critic       whether `Score(kind="critic")` is answered: P(the finished answer stays within budget)
    reward       whether `Score(kind="reward")` is answered: task value, higher is better
    descent      makes `ascent`; None where no cost head of the policy reads hidden states
    seed         of the request's sampling, for what a strategy draws itself
    swaps        the policy's words for groups of people, for a verifier to exchange
    apart        whether twins by the verifier are contexts of a second model, which are given texts and no tokens
    """

    settings: SearchSettings
    use_margin: bool = False
    strict: bool = False
    steer: str | None = None
    protected: frozenset[int] = frozenset()
    early_score: bool = False
    critic: bool = False
    reward: bool = False
    descent: Callable[[], StateEdit] | None = None
    seed: int = 0
    swaps: tuple[Swap, ...] = ()
    apart: bool = False

    @property
    def ascent(self) -> StateEdit | None:
        """Steps away from the policy's first latent cost head, for `Steer`; None where it has none."""
        return None if self.descent is None else self.descent()


class Strategy(Protocol):
    """`search(root, ctx)` ends after a finished node was committed, or when it knows no further continuation.

    It is closed earlier when it is denied too often (see `Commit`), or goes past a bound of the host (`Limits`).
    """

    def __call__(self, root: Node, ctx: SearchContext) -> Search: ...


@dataclass(frozen=True, slots=True)
class SearchMethod:
    """A strategy by its name, and what is said of it. Each stands at the end of its module.

    title     what it does, in a line
    paper     where it comes from
    needs     what it cannot work without
    uses      what it works better with; without it, it falls back on likelihood, or leaves out what it is for
    plain     whether it decodes one stream, and ends it at the first denial
    streams   whether text may be shown before the answer has ended
    baseline  whether it is there to be compared with: policies cannot name it
    """

    name: str
    search: Strategy
    title: str
    paper: str = ""
    needs: tuple[Need, ...] = ()
    uses: tuple[Need, ...] = ()
    plain: bool = False
    streams: bool = True
    baseline: bool = False

    def check(self, surroundings: Surroundings) -> None:
        """Raises RequestError for the first need that is not met."""
        for need in self.needs:
            need.check(self.name, surroundings)
