"""What every measurement stands on: the embedded model, its engine, prompts of known length, and guardrails over it."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

from processor import processor

from ig_guardrail.assembly import guard
from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.engine.base import Engine
from ig_guardrail.engine.loading.models import load_weights
from ig_guardrail.engine.loading.weights import Weights, vocabulary_of
from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.errors import GuardrailError
from ig_guardrail.evaluate.comparison.records import code_sha256
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.policy import load_policy
from ig_guardrail.types import Chunk, CompiledPolicy, Message, Receipt, Sampling

BLOCK = 16  # tokens
SEED = 11
_OPENING = "Tell a long story about the sea"
_MORE = " and the wind"
_UNTHINKABLE = -1e4  # a bias, nats


@dataclass(frozen=True, slots=True)
class Stage:
    """One model twice, one engine over it, and the packaged default policy, with unguarded decoding allowed.

    weights  as `transformers` loads them: what `generate` runs on
    packed   the same values as an engine is given them by name (`engine.kv.laying_out`)
    """

    weights: Weights
    packed: Weights
    engine: TransformersEngine
    policy: CompiledPolicy

    def rail(self, policy: CompiledPolicy, engine: Engine | None = None) -> Guardrail:
        """A guardrail that has answered before, so that what is done once is done. By default over the one engine."""
        rail = guard(engine or self.engine, policy)
        answer(rail, self.asked(40, BLOCK))
        return rail

    def asked(self, prompt: int, tokens: int) -> GenerationRequest:
        """A harmless request of `prompt` tokens, the chat template's own included, for an answer of exactly `tokens`.

        Tokens that would end it are never drawn.
        """
        never = tuple((token, _UNTHINKABLE) for token in sorted(vocabulary_of(self.weights).end))
        sampling = Sampling(temperature=0.7, top_p=0.95, seed=SEED, max_tokens=tokens, logit_bias=never)
        return GenerationRequest(_story(self.engine, prompt), sampling)


def open_stage() -> Stage:
    """Load the embedded model in bfloat16 on the CPU."""
    from ig_guardrail.engine.kv.laying_out import lay_out  # with llvmlite, in whose presence vLLM does not start

    weights, packed = (load_weights("embedded", "cpu", "bfloat16") for _ in range(2))
    lay_out(packed.model)
    return Stage(weights, packed, TransformersEngine(packed), replace(load_policy("default"), allow_unguarded=True))


def origin_of(stage: Stage) -> dict[str, Any]:
    """What the figures depend on; figures of one origin may stand in one table."""
    info = stage.engine.info
    return {
        "machine": f"{processor()}, Python {platform.python_version()}",
        "versions": {name: version(name) for name in ("torch", "transformers")},
        "model": {"name": info.model, "numerics": info.numerics, "engine": info.mode},
        "policy": stage.policy.sha256,
        "code": code_sha256(),
    }


def unhindered(policy: CompiledPolicy, **search: Any) -> CompiledPolicy:
    """The policy with every block judged and charged as ever, but thresholds that no score can pass.

    Proposals are plain (no steering text), and nothing is held back beyond the block that is being judged. `search`
    changes further search settings.
    """
    return replace(
        policy,
        budgets=tuple(replace(budget, threshold=1.0) for budget in policy.budgets),
        prompt=replace(policy.prompt, on_exceed="observe") if policy.prompt else None,
        search=replace(policy.search, **{"steer": None, "restart": None, "hold": 0, "accept": 1.0, **search}),
    )


def answer(rail: Guardrail, asked: GenerationRequest, on_chunk: Callable[[Chunk], None] = lambda _: None) -> Receipt:
    """Stream an answer as a caller would. Raises GuardrailError unless it has as many tokens as were asked for."""
    receipt = None
    for chunk in rail.stream(asked):
        on_chunk(chunk)
        receipt = chunk.receipt
    assert receipt is not None
    expect(receipt.tokens["released"], asked.sampling.max_tokens)
    return receipt


def timed(rail: Guardrail, asked: GenerationRequest, width: int, _: int = 0) -> float:
    """CPU seconds of an answer for which `width` tokens are drawn for each shown one."""
    began = time.process_time()
    receipt = answer(rail, asked)
    taken = time.process_time() - began
    expect(receipt.tokens["generated"], width * asked.sampling.max_tokens)
    return taken


def expect(tokens: int, expected: int) -> None:
    """Raises GuardrailError if another number of tokens was shown than is paid for in a comparison."""
    if tokens != expected:
        raise GuardrailError(f"{tokens} tokens instead of {expected}", where="benchmark")


def _story(engine: Engine, tokens: int) -> tuple[Message, ...]:
    def turns(words: int) -> tuple[Message, ...]:
        more = (_MORE * (words // 3 + 1)).split(" ")[1 : words + 1]
        return (Message("user", " ".join((_OPENING, *more))),)

    made = turns(tokens - len(engine.encode(turns(0)).ids))
    expect(len(engine.encode(made).ids), tokens)
    return made
