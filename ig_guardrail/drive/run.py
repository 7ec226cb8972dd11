"""How a request will be decoded: by which strategy, with which settings, held to which budgets."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace

from ig_guardrail.drive.cost_registry import CostRegistry
from ig_guardrail.drive.receipts import Terms
from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.drive.server import Values
from ig_guardrail.engine.base import EngineInfo
from ig_guardrail.errors import RequestError, UnguardedNotAllowed
from ig_guardrail.search.base import SearchContext, Strategy
from ig_guardrail.search.registry import METHODS
from ig_guardrail.types import CompiledPolicy, SearchSettings, StateEdit

STREAMING_BLOCK = 4  # tokens between two deltas of an unguarded stream


@dataclass(frozen=True, slots=True)
class Plan:
    """The strategy by name and as code, its settings, the budgets it is held to, and what it may rank by."""

    name: str
    strategy: Strategy
    settings: SearchSettings
    panel: CostRegistry
    values: Values

    @property
    def layers(self) -> tuple[int, ...]:
        """Hidden layers that cost models and values read."""
        return tuple(sorted({*self.panel.layers, *self.values.layers}))


def plan_of(
    ask: GenerationRequest, policy: CompiledPolicy, panel: CostRegistry, values: Values, info: EngineInfo
) -> Plan:
    """Raises RequestError for a strategy that is not known or lacks what it needs; UnguardedNotAllowed.

    info: of the engine that will decode
    """
    asked = ask.strategy or policy.search.strategy
    if callable(asked):
        name = getattr(asked, "__qualname__", type(asked).__name__)
        return Plan(name, asked, policy.search, panel, values)
    demand(asked, policy, panel, values, info)
    if asked == "none":
        return _unguarded(policy, values)
    settings = policy.search
    if asked != "inference_guard":  # the ladder's fresh start is a part of that search
        settings = replace(settings, strategy=asked, restart=None)
    if ask.sampling.grammar is not None:  # an answer of few tokens may be all of its form
        settings = replace(settings, shortest=0)
    return Plan(asked, METHODS[asked].search, settings, panel, values)


def context_of(plan: Plan, terms: Terms) -> SearchContext:
    """What the strategy is told of its request."""
    return SearchContext(
        settings=plan.settings,
        wary=terms.screening.action == "search",
        steer=plan.settings.steer,
        protected=terms.engine.info.protected,
        glance=bool(plan.panel.glanced),
        critic=plan.values.critic is not None,
        reward=plan.values.reward is not None,
        ascent=_ascent(plan.panel),
        seed=terms.sampling.seed,
        swaps=tuple(terms.policy.swaps.values()),
    )


def demand(name: str, policy: CompiledPolicy, panel: CostRegistry, values: Values, info: EngineInfo) -> None:
    """Raises RequestError for a strategy that is not known or lacks what it needs."""
    if name not in METHODS:
        near = "".join(f"did you mean '{one}'? " for one in difflib.get_close_matches(name, METHODS, n=1))
        known = f"{near}`ig-guardrail strategies` lists all"
        raise RequestError(f"there is no strategy '{name}'", where="strategy", fix=known)
    if "reward model" in METHODS[name].needs and values.reward is None:
        raise RequestError(
            f"strategy '{name}' needs a reward model",
            where="strategy",
            why="it ranks by task value alone, and would be greedy decoding without one",
            fix='name one: `--reward relevance` on the command line; in Python, `reward="relevance"` where '
            "the guardrail or the chat model is made",
        )
    if "constitution" in METHODS[name].needs and not (policy.search.steer or policy.swaps):
        raise RequestError(
            f"strategy '{name}' needs a constitution, and policy '{policy.name}' has none",
            where="strategy",
            why="a verifier that reads under no other words than the draft was drawn with agrees with every draft",
            fix="use the policy `fairness`, or write `search: {steer: ..., swaps: [...]}`, one of them at least",
        )
    if "value head" in METHODS[name].needs and _ascent(panel) is None:
        raise RequestError(
            f"strategy '{name}' needs a value head, and no budget of policy '{policy.name}' rests on one",
            where="strategy",
            why="its edits of hidden states are steps away from what a `latent` cost model scores",
            fix="use a policy with a budget in `mode: enforce` over a cost model of `kind: latent`",
        )
    if "exit adapters" in METHODS[name].needs and info.exit is None:
        raise RequestError(
            f"strategy '{name}' needs an early exit, and the model '{info.model}' in {info.numerics} has none",
            where="strategy",
            why="it would be plain decoding without one; only the embedded model in bfloat16 comes with an exit",
            fix="train one (not for int4 or int8) with `ig-guardrail train answers` and `train exit`, and name its "
            "folder: `--exit FOLDER` on the command line, `open_guardrail(exit=...)` in Python",
        )


def _unguarded(policy: CompiledPolicy, values: Values) -> Plan:
    if not policy.allow_unguarded:
        raise UnguardedNotAllowed(
            f"policy '{policy.name}' does not allow unguarded decoding",
            where="strategy none",
            why="an unguarded stream is charged to no budget",
            fix="use strategy 'inference_guard' or 'cut', or let the policy's owners set `allow_unguarded: true`",
        )
    settings = replace(policy.search, strategy="none", block=STREAMING_BLOCK, hold=0, restart=None)
    return Plan("none", METHODS["none"].search, settings, CostRegistry({}, ()), values)


def _ascent(panel: CostRegistry) -> StateEdit | None:
    """Steps away from the first latent head that an enforced budget is of."""
    from ig_guardrail.costs.heads.latent import LatentHead

    models = [panel.seats[name].model for rule in panel.glanced for name in rule.budget.cost.models()]
    head = next((model for model in models if isinstance(model, LatentHead)), None)
    if head is None:
        return None
    from ig_guardrail.engine.decoding.state_edits import away_from

    return away_from(head.layer, head.weight)
