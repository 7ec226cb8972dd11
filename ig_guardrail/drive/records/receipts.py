"""Writes the receipt of one request from what its parts remember."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from ig_guardrail.drive.prompt_check import PromptCheck
from ig_guardrail.drive.run import Run
from ig_guardrail.drive.server import SearchServer
from ig_guardrail.drive.usage import Usage
from ig_guardrail.engine.base import Engine
from ig_guardrail.stream.receipt import prompt_sha256, text_sha256
from ig_guardrail.types import PolicyMessage, Receipt, Verdict


def receipt(
    run: Run,
    usage: Usage,
    verdict: Verdict,
    text: str,
    fallbacks: tuple[str, ...] = (),
    server: SearchServer | None = None,
    message: PolicyMessage | None = None,
    denied: Iterable[str] = (),
) -> Receipt:
    """The record. `server` is None where the request ended before anything was decoded.

    message: of the policy, in place of the answer or behind it; denied: the hazards that led to it
    """
    sampling = asdict(run.sampling)
    return Receipt(
        verdict=verdict,
        text=text,
        message=message.text if message else "",
        turn=server.session.turn if server and server.session else None,
        policy={"name": run.policy.name, "version": run.policy.version, "sha256": run.policy.sha256},
        model=_model(run.engine),
        cost_models=dict(run.costs.hashes),
        substitutes=dict(run.costs.substitutes),
        sampling={
            **sampling,
            "logit_bias": dict(run.sampling.logit_bias),
            "reasoning": run.request.reasoning,
            **({} if run.request.reasoning_effort is None else {"reasoning_effort": run.request.reasoning_effort}),
            "grammar": None if run.sampling.grammar is None else text_sha256(run.sampling.grammar),
        },
        search={**asdict(run.settings), "strategy": run.method, **_verifier(run)},
        prompt_sha256=prompt_sha256(run.prompt),
        prompt_check=asdict(usage.prompt_check),
        charges=server.gate.charges if server else (),
        blocks=tuple(usage.blocks),
        spend=_spend(run, server),
        tokens=_tokens(run, server),
        forwards=run.engine.forwards(server.root) if server else 0,
        cost_calls=server.scorer.calls if server else 0,
        value_calls=usage.value_calls,
        fail_open=tuple(server.scorer.fail_open) if server else (),
        sources=tuple(server.scorer.sources.values()) if server else (),
        fired=_fired(usage.prompt_check, server),
        fallbacks=fallbacks,
        seconds=_seconds(run, usage),
        reasoning=server.gate.reasoning if server else "",
        unsafe=usage.unsafe,
        message_name=message.name if message else "",
        approved=asdict(message.approved) if message and message.approved else {},
        denied=run.policy.messages.ranked(denied) if message else (),
        at=now(),
        language=run.request.language,
        arm=run.arm,
        cost_times=dict(server.scorer.times) if server else {},
        bounded=run.request.bounded(text) if run.request.bounded and verdict.outcome == "completed" else (),
    )


def now() -> str:
    """The time, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _model(engine: Engine) -> dict[str, Any]:
    info = engine.info
    return {
        "name": info.model,
        "sha256": info.model_sha256,
        "revision": info.revision,
        "context": info.context,
        "engine": info.mode,
        "numerics": info.numerics,
        "device": info.device,
    }


def _verifier(run: Run) -> dict[str, Any]:
    """The second model, where drafts could be verified by one."""
    return {} if run.verifier is None else {"verifier": _model(run.verifier)}


def _spend(run: Run, server: SearchServer | None) -> dict[str, Mapping[str, Any]]:
    """What is spent of every budget; of one that answers share, what the ledger says of it."""
    spent = server.gate.spend() if server else {}
    if server and server.session:
        spent |= server.session.said
    return {
        rule.budget.id: {
            "spent": spent.get(rule.budget.id, 0.0),
            "of": rule.budget.budget,
            "mode": rule.budget.mode,
            "threshold": rule.budget.threshold,
            "hazards": rule.budget.hazards,
        }
        for rule in run.costs.rules
    }


def _fired(check: PromptCheck, server: SearchServer | None) -> dict[str, tuple[str | int, ...]]:
    """Each pattern once, the prompt's first."""
    of_prompt = check.fired if check.exceeded else {}
    of_answer = server.scorer.fired if server else {}
    names = dict.fromkeys([*of_prompt, *of_answer])
    return {name: tuple(dict.fromkeys([*of_prompt.get(name, ()), *of_answer.get(name, ())])) for name in names}


def _tokens(run: Run, server: SearchServer | None) -> dict[str, int]:
    """prompt, with a given beginning of the answer; released; generated; held: committed but never shown;
    discarded: generated and not committed; read: by the model, in all rows and contexts; cached: of the prompt, and not
    read, since one before began alike; reasoning: of the thought, as far as it was shown, or all of one that is not;
    verified: read by the second model, where there is one.
    """
    if server is None:
        return {
            "prompt": len(run.prompt.ids),
            **dict.fromkeys(("released", "generated", "held", "discarded", "read", "cached", "reasoning"), 0),
        }
    gate, generated, given = server.gate, server.usage.generated, server.start.position
    thought = max(0, gate.tip.thought.taken - given)
    second = {} if server.second is None else {"verified": server.second.read()}
    return {
        "prompt": len(run.prompt.ids) + given,
        "released": max(0, gate.released - given),
        "generated": generated,
        "held": gate.tip.position - max(gate.released, given),
        "discarded": max(0, generated - (gate.tip.position - given)),
        "read": run.engine.tokens_read(server.root),
        "cached": run.engine.tokens_cached(server.root),
        "reasoning": thought if run.request.hides else min(thought, max(0, gate.released - given)),
        **second,
    }


def _seconds(run: Run, usage: Usage) -> dict[str, float | None]:
    return {
        "total": time.monotonic() - run.began,
        "first_generated": _since(run.began, usage.first_generated),
        "first_released": _since(run.began, usage.first_released),
    }


def _since(began: float, moment: float | None) -> float | None:
    return None if moment is None else moment - began
