"""Tries, when a model is opened, that vLLM computes what this engine leans on, and that we read it where it stands.

Of any model: tokens that are drawn one by one have the log-probabilities and states that they have when they are read
at once, each of them that of its own place. Of a model whose values are stored (`known_values.json`, made with
`transformers` by tests/vllm/known_values.py): they are also those values.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from torch import Tensor
from torch.nn.functional import cosine_similarity

from ig_guardrail.engine.base import EngineInfo
from ig_guardrail.engine.decoding.contexts import ContextRequest
from ig_guardrail.engine.vllm.operations import Operations
from ig_guardrail.errors import EngineError
from ig_guardrail.types import Draw, Message, Node, Prompt, Sampling

ASKED = (Message("user", "Where do rivers begin?"),)
TOKENS = 12
NEAR: Mapping[str, tuple[float, float]] = {  # numerics: nats between two log-probabilities, cosine of two states
    "float32": (0.01, 0.9999),
    "bfloat16": (0.35, 0.995),
    "float16": (0.35, 0.995),
}
ROUGH = (1.0, 0.98)  # of quantised weights
STORED = NEAR["bfloat16"]  # whatever the model runs in


@dataclass(frozen=True, slots=True)
class KnownValues:
    """What `transformers` gives for an answer: its tokens, log-probabilities, and the beginnings of its states."""

    prompt: tuple[int, ...]
    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    hidden: Mapping[int, Sequence[Sequence[float]]]


def known_values(info: EngineInfo) -> KnownValues | None:
    """Those stored for a model; None if there are none."""
    stored = json.loads((files(__package__) / "known_values.json").read_text(encoding="utf-8"))
    found: dict[str, Any] | None = stored.get(info.model_sha256)
    if found is None:
        return None
    hidden = {int(layer): rows for layer, rows in found["hidden"].items()}
    return KnownValues(tuple(found["prompt"]), tuple(found["ids"]), tuple(found["logprobs"]), hidden)


async def self_test(operations: Operations, layers: Sequence[int] | None) -> None:
    """Raises EngineError unless a model gives what it should.

    layers: whose states are looked at; () chooses some, and None looks at none
    """
    info = operations.info
    known = known_values(info)
    chosen = tuple(known.hidden) if known else (max(1, info.layers // 2),)
    wanted = () if layers is None else tuple(layers) or chosen
    prompt = operations.chat.encode(ASKED) if known is None else Prompt(ASKED, known.prompt)
    sampling = Sampling(temperature=0.0, max_tokens=TOKENS)
    root = await operations.open(ContextRequest(prompt, sampling, wanted, None))
    try:
        (first,) = await operations.extend([Draw(root)], TOKENS // 2, 0, (), 0)
        drawn = first if first.finish else (await operations.extend([Draw(first)], TOKENS // 2, 0, (), 0))[0]
        (read,) = await operations.append([(root, drawn)])
        near = NEAR.get(info.numerics, ROUGH)
        _compare(info, "drawn one by one", _values(drawn, wanted), _values(read, wanted), near)
        if known is not None:
            (forced,) = await operations.append([(root, known.ids)])
            stored = {layer: rows for layer, rows in known.hidden.items() if layer in wanted}
            _compare(info, "stored", (known.logprobs, stored), _values(forced, tuple(stored)), max(near, STORED))
    finally:
        operations.tree.close(root)
        operations.drop_sessions()


Values = tuple[Sequence[float], Mapping[int, Any]]


def _values(node: Node, layers: Sequence[int]) -> Values:
    steps = [step for step in node.path() if step.ids]
    logprobs = [value for step in steps for value in step.logprobs]
    return logprobs, {layer: [row for step in steps for row in step.hidden[layer]] for layer in layers}


def _compare(info: EngineInfo, what: str, one: Values, other: Values, near: tuple[float, float]) -> None:
    apart, alike = near
    far = [abs(a - b) for a, b in zip(one[0], other[0], strict=True)]
    if not all(math.isfinite(value) and value <= apart for value in far):
        raise _differs(info, f"log-probabilities that are {what} are up to {max(far):.3g} nats from those read")
    for layer, rows in one[1].items():
        for place, (a, b) in enumerate(zip(rows, other[1][layer], strict=True)):
            cosine = _cosine(a, b)
            if not cosine >= alike:
                raise _differs(
                    info, f"the state of layer {layer} at token {place} has cosine {cosine:.4f} to that {what}"
                )


def _cosine(one: Any, other: Tensor) -> float:
    first = other.new_tensor(one).float() if not isinstance(one, Tensor) else one.float()
    return float(cosine_similarity(first, other[: len(first)].float(), dim=0))


def _differs(info: EngineInfo, what: str) -> EngineError:
    return EngineError(
        f"vLLM does not compute what is leaned on: {what}",
        where=f"model '{info.model}', {info.mode}, {info.numerics}",
        why="values would be read off something else than the answer",
        fix="use the engine 'transformers' for this model, and report this",
    )
