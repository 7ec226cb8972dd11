"""A compiled policy: what may be spent on which hazard, who measures it, and how the search goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ig_guardrail.types.messages import Messages

Accumulate: TypeAlias = Literal["max", "sum"]

Mode: TypeAlias = Literal["enforce", "shadow"]

Judging: TypeAlias = Literal["charge", "ignore"]

Scope: TypeAlias = Literal["response", "conversation", "tool", "tenant"]


@dataclass(frozen=True, slots=True)
class Expression:
    """A cost expression: a cost model's name, a number, or `max`, `min`, `mean`, `add`, `multiply` of expressions."""

    op: Literal["model", "number", "max", "min", "mean", "add", "multiply"]
    args: tuple[Expression, ...] = ()
    model: str = ""
    number: float = 0.0

    def models(self) -> tuple[str, ...]:
        """Names of the cost models in it, in order of appearance, once each."""
        if self.op == "model":
            return (self.model,)
        return tuple(dict.fromkeys(name for arg in self.args for name in arg.models()))


@dataclass(frozen=True, slots=True)
class CostModelSpec:
    """What a policy says of one cost model. `options` are the keys of its kind; `on_error: open` is a fail-open.

    scale      a score of the cost model, and what it counts as; see `counted`
    otherwise  the name of the entry that serves where this one does not fit the engine or the installation
    """

    name: str
    kind: str
    hazards: tuple[str, ...]
    options: Mapping[str, Any]
    timeout_s: float
    on_error: Literal["closed", "open"] = "closed"
    scale: tuple[float, float] | None = None
    otherwise: str | None = None

    def counted(self, score: float) -> float:
        """What a score in [0, 1] counts as: 0 and 1 stay, and the scale's own score becomes what it counts as."""
        if self.scale is None:
            return score
        own, counts = self.scale
        if score in (own, 1):
            return counts if score == own else 1.0
        if score < own:
            return min(counts, score * counts / own)  # what is rounded stays on its side
        return min(1.0, counts + (score - own) * (1 - counts) / (1 - own))


@dataclass(frozen=True, slots=True)
class Budget:
    """How much of which cost one answer may spend.

    excess e = max(0, score - threshold); cost c = weight * e, for levels of the rise of e above its highest so far
    (`max`) or of e at every charge point (`sum`); over budget when the discounted sum of c exceeds `budget`.
    `every` is the distance between charge points in tokens. With scope `conversation` it is shared by all answers of
    one, with `tenant` by all of a tenant's conversations; a cost counts `decay` times as much one turn later, and
    nothing after `window` turns (0: always). Scope `tool` is `conversation`, charged where a call of `tool` ends.
    """

    id: str
    hazards: tuple[str, ...]
    cost: Expression
    threshold: float
    weight: float = 1.0
    budget: float = 0.0
    discount: float = 1.0
    accumulate: Accumulate = "max"
    every: int = 16
    mode: Mode = "enforce"
    scope: Scope = "response"
    tool: str = "*"
    decay: float = 1.0
    window: int = 0


@dataclass(frozen=True, slots=True)
class PromptRule:
    """What is done when an input turn scores above `threshold`: refuse, keep a margin from the start, or note it."""

    cost: Expression
    threshold: float
    on_exceed: Literal["refuse", "search", "observe"]


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """The search section of a policy. Lengths in tokens; `trigger` and `accept` are shares of a budget's threshold.

    on_risk widens a block when its draft is charged or its score passes `trigger` * threshold; from then on, to the
    end of the answer, a block must stay under `accept` * threshold, drafts and replacements alike.
    """

    strategy: str = "inference_guard"
    mode: Literal["on_risk", "always"] = "on_risk"
    candidates: int = 4
    beams: int = 1
    block: int = 16
    retries: int = 2
    hold: int = 16
    trigger: float = 1.0
    accept: float = 0.7
    penalty: float = 3.0
    shortest: int = 8
    steer: str | None = None
    restart: str | None = None


@dataclass(frozen=True, slots=True)
class CompiledPolicy:
    """A checked policy in its one normal form; `sha256` names that form.

    swaps: words that a verifier exchanges, each way, by the swap's name
    reasoning: whether a thought that is not shown is charged; one that is shown always is
    parents: the files of the policies that it extends, the nearest first
    loosenable: the places that policies which extend it may loosen
    """

    name: str
    version: str
    owners: tuple[str, ...]
    taxonomy: str
    cost_models: tuple[CostModelSpec, ...]
    budgets: tuple[Budget, ...]
    prompt: PromptRule | None
    search: SearchSettings
    messages: Messages
    allow_unguarded: bool
    normal_form: str
    sha256: str
    swaps: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    reasoning: Judging = "charge"
    parents: tuple[str, ...] = field(default=(), compare=False)
    loosenable: tuple[str, ...] = field(default=(), compare=False)

    @property
    def asked(self) -> tuple[str, ...]:
        """The cost models to make, by name: all but those that only serve instead of others."""
        substitutes = {spec.otherwise for spec in self.cost_models}
        named = {name for budget in self.budgets for name in budget.cost.models()}
        named |= set(self.prompt.cost.models()) if self.prompt else set()
        named |= {spec.options["by"] for spec in self.cost_models if spec.kind == "calls" and "by" in spec.options}
        return tuple(spec.name for spec in self.cost_models if spec.name in named or spec.name not in substitutes)
