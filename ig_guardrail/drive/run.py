"""One request as it is served: what was asked, and everything that it is decoded and judged with."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from ig_guardrail.costs.base import Sourced, Steerable
from ig_guardrail.costs.rewards.values import Values
from ig_guardrail.drive.observer import Observer
from ig_guardrail.drive.request import GenerationRequest, beginning_of, check, check_payer, messages_before_answer
from ig_guardrail.drive.scoring.cost_registry import CostRegistry
from ig_guardrail.drive.scoring.scorer import of_shown_thoughts
from ig_guardrail.engine.base import Engine, EngineInfo
from ig_guardrail.errors import UnguardedNotAllowed
from ig_guardrail.ledger import shared_rules
from ig_guardrail.search.base import SearchContext, SearchMethod, Strategy
from ig_guardrail.search.needs import Surroundings
from ig_guardrail.search.registry import method_of
from ig_guardrail.settings import Limits
from ig_guardrail.types import CompiledPolicy, Finish, Judging, Outcome, Prompt, Sampling, SearchSettings, Verdict

STREAMING_BLOCK = 4  # tokens between two deltas of an unguarded stream


@dataclass(frozen=True, slots=True)
class Run:
    """Made once per request, before anything is decoded; what changes while it is served is in its `Usage`.

    method    the name of the strategy; settings are the policy's, as this strategy takes them
    costs     the cost models and rules that the answer is held to; none where it is unguarded
    values    what may rank candidates
    prompt    the conversation before the answer, encoded
    began     `time.monotonic()` seconds
    arm       `stable` or `canary`, where some requests are answered under another policy
    observer  of the program, who sees drafts; mostly nobody
    verifier  a second model, for strategies that have one model draft and another verify; mostly none
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
    arm: str = ""
    observer: Observer | None = None
    verifier: Engine | None = None

    @property
    def sampling(self) -> Sampling:
        """How tokens of the answer are drawn."""
        return self.request.sampling

    @property
    def thoughts(self) -> Judging | None:
        """What becomes of a thought before the answer; None where the model has none. What is shown is charged."""
        if not (self.engine.info.thinks and self.request.hides):
            return of_shown_thoughts(self.engine)
        return self.policy.reasoning

    @property
    def beginning(self) -> str:
        """What the caller wrote of the answer itself."""
        return beginning_of(self.request.turns)

    @property
    def guarded(self) -> bool:
        """Whether any budget is kept."""
        return bool(self.costs.rules)

    def verdict(self, outcome: Outcome, finish: Finish | None, reason: str) -> Verdict:
        """How the request ended."""
        return Verdict(outcome, finish, reason, self.guarded)

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
    arm: str = "",
    observer: Observer | None = None,
    verifier: Engine | None = None,
) -> Run:
    """Raises RequestError for what cannot be served; UnguardedNotAllowed."""
    began = time.monotonic()
    check(request, limits)
    method, strategy, settings = _search_of(request, policy, costs, values, engine.info, verifier is not None)
    held_to = CostRegistry({}, ()) if method == "none" else costs
    check_payer(request, shared_rules(held_to.rules))
    prompt = engine.encode(messages_before_answer(request.turns), request.thinking, request.notation)
    prompt = replace(prompt, cache_salt=request.cache_salt)
    return Run(
        request=request,
        policy=policy,
        engine=engine,
        costs=held_to,
        values=values,
        limits=limits,
        method=method,
        strategy=strategy,
        settings=settings,
        prompt=prompt,
        began=began,
        arm=arm,
        observer=observer,
        verifier=verifier,
    )


def search_context(run: Run, risky_prompt: bool) -> SearchContext:
    """What the strategy is told of its request."""
    steerable = _steerable(run.costs)
    return SearchContext(
        settings=run.settings,
        use_margin=risky_prompt,
        steer=run.settings.steer,
        protected=run.engine.info.protected,
        early_score=bool(run.costs.early_scored),
        critic=run.values.critic is not None,
        reward=run.values.reward is not None,
        descent=steerable.descent if steerable else None,
        seed=run.sampling.seed,
        swaps=tuple(run.policy.swaps.values()),
        apart=run.verifier is not None,
    )


def _search_of(
    request: GenerationRequest,
    policy: CompiledPolicy,
    costs: CostRegistry,
    values: Values,
    info: EngineInfo,
    apart: bool,
) -> tuple[str, Strategy, SearchSettings]:
    """The strategy by name and as code, and its settings."""
    asked = request.strategy or policy.search.strategy
    if callable(asked):
        return getattr(asked, "__qualname__", type(asked).__name__), asked, policy.search
    method = method_for(asked, policy, costs, values, info, apart)
    if asked == "none":
        return asked, method.search, _unguarded(policy)
    settings = policy.search
    if asked != "inference_guard":  # a fresh start under a stricter text is a part of that search
        settings = replace(settings, strategy=asked, restart=None)
    if request.sampling.grammar is not None:  # an answer of few tokens may be all of its form
        settings = replace(settings, shortest=0)
    return asked, method.search, settings


def method_for(
    name: str, policy: CompiledPolicy, costs: CostRegistry, values: Values, info: EngineInfo, apart: bool = False
) -> SearchMethod:
    """The method of a name. apart: whether a second model verifies.

    Raises RequestError if it is not known or lacks what it needs.
    """
    method = method_of(name)
    method.check(
        Surroundings(
            policy=policy,
            reward=values.reward is not None,
            steerable=_steerable(costs) is not None,
            indexed=_indexed(costs),
            model=f"'{info.model}' in {info.numerics}",
            exit=info.exit is not None,
            apart=apart,
        )
    )
    return method


def _unguarded(policy: CompiledPolicy) -> SearchSettings:
    if not policy.allow_unguarded:
        raise UnguardedNotAllowed(
            f"policy '{policy.name}' does not allow unguarded decoding",
            where="strategy none",
            why="an unguarded stream is charged to no budget",
            fix="use strategy 'inference_guard' or 'cut', or let the policy's owners set `allow_unguarded: true`",
        )
    return replace(policy.search, strategy="none", block=STREAMING_BLOCK, hold=0, restart=None)


def _steerable(costs: CostRegistry) -> Steerable | None:
    """The first cost model of an enforced budget that can say which steps lead away from a higher score."""
    return next((one.model for one in costs.behind(costs.early_scored) if isinstance(one.model, Steerable)), None)


def _indexed(costs: CostRegistry) -> bool:
    """Whether an enforced budget rests on a cost model that can say which text an answer recites."""
    return any(isinstance(one.model, Sourced) for one in costs.behind(costs.enforced))
