"""One request as it is served: what was asked, and everything that it is decoded and judged with."""

from __future__ import annotations

import difflib
import time
from dataclasses import dataclass, replace

from ig_guardrail.costs.base import Steerable
from ig_guardrail.costs.rewards.values import Values
from ig_guardrail.drive.cost_registry import CostRegistry
from ig_guardrail.drive.request import GenerationRequest, beginning_of, check, check_payer, earlier
from ig_guardrail.engine.base import Engine, EngineInfo
from ig_guardrail.errors import RequestError, UnguardedNotAllowed
from ig_guardrail.ledger import shared
from ig_guardrail.search.base import SearchContext, Strategy
from ig_guardrail.search.registry import METHODS
from ig_guardrail.settings import Limits
from ig_guardrail.types import CompiledPolicy, Prompt, Sampling, SearchSettings, StateEdit

STREAMING_BLOCK = 4  # tokens between two deltas of an unguarded stream


@dataclass(frozen=True, slots=True)
class Run:
    """Made once per request, before anything is decoded; what changes while it is served is in its `Usage`.

    method    the name of the strategy; settings are the policy's, as this strategy takes them
    costs     the cost models and rules that the answer is held to; none where it is unguarded
    values    what may rank candidates
    prompt    the conversation before the answer, encoded
    began     `time.monotonic()` seconds
    """

    request: GenerationRequest
    policy: CompiledPolicy
    engine: Engine
    costs: CostRegistry
    values: Values
    limits: Limits
    method: str
    strategy: Strategy
    settings: SearchSettings
    prompt: Prompt
    began: float

    @property
    def sampling(self) -> Sampling:
        """How tokens of the answer are drawn."""
        return self.request.sampling

    @property
    def beginning(self) -> str:
        """What the caller wrote of the answer itself."""
        return beginning_of(self.request.turns)

    @property
    def guarded(self) -> bool:
        """Whether any budget is kept."""
        return bool(self.costs.rules)

    @property
    def layers(self) -> tuple[int, ...]:
        """Hidden layers that cost models and values read."""
        return tuple(sorted({*self.costs.layers, *self.values.layers}))


def make_run(
    request: GenerationRequest,
    policy: CompiledPolicy,
    engine: Engine,
    costs: CostRegistry,
    values: Values,
    limits: Limits,
) -> Run:
    """Raises RequestError for what cannot be served; UnguardedNotAllowed."""
    began = time.monotonic()
    check(request, limits)
    method, strategy, settings = _search_of(request, policy, costs, values, engine.info)
    held_to = CostRegistry({}, ()) if method == "none" else costs
    check_payer(request, shared(held_to.rules))
    prompt = engine.encode(earlier(request.turns))
    return Run(request, policy, engine, held_to, values, limits, method, strategy, settings, prompt, began)


def search_context(run: Run, risky_prompt: bool) -> SearchContext:
    """What the strategy is told of its request."""
    return SearchContext(
        settings=run.settings,
        wary=risky_prompt,
        steer=run.settings.steer,
        protected=run.engine.info.protected,
        glance=bool(run.costs.glanced),
        critic=run.values.critic is not None,
        reward=run.values.reward is not None,
        ascent=_ascent(run.costs),
        seed=run.sampling.seed,
        swaps=tuple(run.policy.swaps.values()),
    )


def _search_of(
    request: GenerationRequest, policy: CompiledPolicy, costs: CostRegistry, values: Values, info: EngineInfo
) -> tuple[str, Strategy, SearchSettings]:
    """The strategy by name and as code, and its settings."""
    asked = request.strategy or policy.search.strategy
    if callable(asked):
        return getattr(asked, "__qualname__", type(asked).__name__), asked, policy.search
    demand(asked, policy, costs, values, info)
    if asked == "none":
        return "none", METHODS["none"].search, _unguarded(policy)
    settings = policy.search
    if asked != "inference_guard":  # a fresh start under a stricter text is a part of that search
        settings = replace(settings, strategy=asked, restart=None)
    if request.sampling.grammar is not None:  # an answer of few tokens may be all of its form
        settings = replace(settings, shortest=0)
    return asked, METHODS[asked].search, settings


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
            fix="train one (not for int4) with `ig-guardrail train answers` and `train exit`, and name its "
            "folder: `--exit FOLDER` on the command line, `open_guardrail(exit=...)` in Python",
        )


def _unguarded(policy: CompiledPolicy) -> SearchSettings:
    if not policy.allow_unguarded:
        raise UnguardedNotAllowed(
            f"policy '{policy.name}' does not allow unguarded decoding",
            where="strategy none",
            why="an unguarded stream is charged to no budget",
            fix="use strategy 'inference_guard' or 'cut', or let the policy's owners set `allow_unguarded: true`",
        )
    return replace(policy.search, strategy="none", block=STREAMING_BLOCK, hold=0, restart=None)


def _ascent(costs: CostRegistry) -> StateEdit | None:
    """Steps away from the first cost model of an enforced budget that can say where they lead."""
    models = [costs.seats[name].model for rule in costs.glanced for name in rule.budget.cost.models()]
    return next((model.descent() for model in models if isinstance(model, Steerable)), None)
