"""Writes the receipt of one request from what its parts remember."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ig_guardrail.drive.cost_registry import CostRegistry
from ig_guardrail.drive.prompt_check import PromptCheck
from ig_guardrail.drive.server import Server
from ig_guardrail.engine.base import Engine
from ig_guardrail.stream.receipt import prompt_sha256, text_sha256
from ig_guardrail.types import CompiledPolicy, Prompt, Receipt, Sampling, SearchSettings, Verdict


@dataclass(frozen=True, slots=True)
class Terms:
    """What a request was served under, fixed before the first token."""

    policy: CompiledPolicy
    engine: Engine
    panel: CostRegistry
    sampling: Sampling
    settings: SearchSettings
    strategy: str
    prompt: Prompt
    began: float
    screening: PromptCheck = field(default_factory=PromptCheck)

    @property
    def guarded(self) -> bool:
        return bool(self.panel.rules)


def receipt(
    terms: Terms, verdict: Verdict, text: str, rungs: tuple[str, ...], server: Server | None, message: str = ""
) -> Receipt:
    """The record. `server` is None where the request ended before anything was decoded."""
    sampling = asdict(terms.sampling)
    return Receipt(
        verdict=verdict,
        text=text,
        message=message,
        turn=server.case.books.turn if server and server.case.books else None,
        policy={"name": terms.policy.name, "version": terms.policy.version, "sha256": terms.policy.sha256},
        model=_model(terms.engine),
        cost_models=dict(terms.panel.hashes),
        sampling={
            **sampling,
            "logit_bias": dict(terms.sampling.logit_bias),
            "grammar": None if terms.sampling.grammar is None else text_sha256(terms.sampling.grammar),
        },
        search={**asdict(terms.settings), "strategy": terms.strategy},
        prompt_sha256=prompt_sha256(terms.prompt),
        prompt_check=asdict(terms.screening),
        charges=server.case.gate.charges if server else (),
        blocks=tuple(server.tally.blocks) if server else (),
        spend=_spend(terms, server),
        tokens=_tokens(terms, server),
        forwards=terms.engine.forwards(server.case.root) if server else 0,
        cost_calls=server.case.scorer.calls if server else 0,
        value_calls=server.tally.value_calls if server else 0,
        fail_open=tuple(server.case.scorer.fail_open) if server else (),
        sources=tuple(server.case.scorer.sources.values()) if server else (),
        fired=_fired(terms.screening, server),
        ladder=rungs,
        seconds=_seconds(terms, server),
    )


def _model(engine: Engine) -> dict[str, Any]:
    info = engine.info
    return {
        "name": info.model,
        "sha256": info.model_sha256,
        "engine": info.mode,
        "numerics": info.numerics,
        "device": info.device,
    }


def _spend(terms: Terms, server: Server | None) -> dict[str, Mapping[str, Any]]:
    """What is spent of every budget; of one that answers share, what the ledger says of it."""
    spent = server.case.gate.spend() if server else {}
    if server and server.case.books:
        spent |= server.case.books.said
    return {
        rule.budget.id: {"spent": spent.get(rule.budget.id, 0.0), "of": rule.budget.budget, "mode": rule.budget.mode}
        for rule in terms.panel.rules
    }


def _fired(screening: PromptCheck, server: Server | None) -> dict[str, tuple[str | int, ...]]:
    """Each pattern once, the prompt's first."""
    of_prompt = screening.fired if screening.exceeded else {}
    of_answer = server.case.scorer.fired if server else {}
    names = dict.fromkeys([*of_prompt, *of_answer])
    return {name: tuple(dict.fromkeys([*of_prompt.get(name, ()), *of_answer.get(name, ())])) for name in names}


def _tokens(terms: Terms, server: Server | None) -> dict[str, int]:
    """prompt, with a given beginning of the answer; released; generated; held: committed but never shown;
    discarded: generated and not committed; read: by the model, in all rows and contexts.
    """
    if server is None:
        return {
            "prompt": len(terms.prompt.ids),
            **dict.fromkeys(("released", "generated", "held", "discarded", "read"), 0),
        }
    gate, generated, given = server.case.gate, server.tally.generated, server.start.position
    return {
        "prompt": len(terms.prompt.ids) + given,
        "released": max(0, gate.released - given),
        "generated": generated,
        "held": gate.tip.position - max(gate.released, given),
        "discarded": max(0, generated - (gate.tip.position - given)),
        "read": terms.engine.tokens_read(server.case.root),
    }


def _seconds(terms: Terms, server: Server | None) -> dict[str, float | None]:
    tally = server.tally if server else None
    return {
        "total": time.monotonic() - terms.began,
        "first_generated": _since(terms.began, tally.first_generated if tally else None),
        "first_released": _since(terms.began, tally.first_released if tally else None),
    }


def _since(began: float, moment: float | None) -> float | None:
    return None if moment is None else moment - began
