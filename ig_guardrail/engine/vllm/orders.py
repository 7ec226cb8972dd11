"""What is asked of vLLM's worker for one request, and what it tells of it. On the way these are plain values."""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from hashlib import blake2b
from typing import Any

import torch
from torch import Tensor

from ig_guardrail.errors import EngineError
from ig_guardrail.types import Finish, Sampling

PLACE = "ig_guardrail"  # where an order stands in a request's `extra_args`


@dataclass(frozen=True, slots=True)
class Order:
    """One block: tokens to be drawn behind an answer, or forced ones to be read.

    key       names it in what is told
    length    tokens that vLLM has of the request when the block begins: prompt, answer, and what the block has already
    check     the digest of these tokens
    prompt    tokens of the prompt
    start     answer tokens before the block
    tokens    of the block, to be drawn; 0 reads the forced ones that are there, and draws none
    limit     answer tokens at most
    sampling  how they are drawn
    opened    whether the prompt ends within a thought
    layers    whose hidden states are told
    begun     log-probabilities of the block's tokens that were drawn before, nats
    further   whether the token behind a block that does not end the answer is drawn too
    ranked    whether the log-probabilities of all tokens behind the block are told
    likeliest how many of the likeliest tokens are told beside each forced one; None tells none
    """

    key: str
    length: int
    check: str
    prompt: int
    start: int
    tokens: int
    limit: int
    sampling: Sampling
    opened: bool = False
    lane: int = 0
    attempt: int = 0
    bias: tuple[tuple[int, float], ...] = ()
    layers: tuple[int, ...] = ()
    begun: tuple[float, ...] = ()
    further: bool = False
    ranked: bool = False
    likeliest: int | None = None

    def plain(self) -> dict[str, Any]:
        """It in numbers, texts and lists."""
        return {field.name: getattr(self, field.name) for field in fields(self)} | {"sampling": asdict(self.sampling)}


def read_order(plain: Mapping[str, Any]) -> Order:
    """The order that `plain` wrote."""
    sampling = Sampling(**{name: _tuples(value) for name, value in plain["sampling"].items()})
    return Order(**{name: _tuples(value) for name, value in plain.items()} | {"sampling": sampling})


def digest(ids: Sequence[int]) -> str:
    """Names a sequence of tokens."""
    return blake2b(array("q", ids).tobytes(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class BlockOutcome:
    """What a block has become.

    ids       its tokens; logprobs: theirs, nats
    hidden    layer -> states (tokens, hidden size)
    further   the token behind it, and its log-probability
    ranked    log-probabilities of all tokens behind it, (vocabulary,)
    likeliest  for each token: the likeliest in its place, and their log-probabilities
    steps     passes that were made for it; read: tokens that were read in them; cached: tokens that were not
    error     why there is none
    """

    key: str
    ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    finish: Finish | None = None
    hurried: int | None = None
    further: tuple[int, float] | None = None
    steps: int = 0
    read: int = 0
    cached: int = 0
    likeliest: tuple[tuple[tuple[int, float], ...], ...] = ()
    error: str | None = None
    hidden: Mapping[int, Tensor] = field(default_factory=dict)
    ranked: Tensor | None = None

    def frames(self) -> list[bytes]:
        """It as one message in parts: a head, and the numbers of each tensor."""
        tensors = {str(layer): states for layer, states in self.hidden.items()}
        if self.ranked is not None:
            tensors["ranked"] = self.ranked
        head = {field.name: getattr(self, field.name) for field in fields(self)[:-2]}
        head["tensors"] = [
            (name, str(one.dtype).removeprefix("torch."), list(one.shape)) for name, one in tensors.items()
        ]
        return [json.dumps(head).encode(), *map(_bytes, tensors.values())]


def read_told(frames: Sequence[bytes]) -> BlockOutcome:
    """The message that `frames` wrote. Raises EngineError for one that is none."""
    try:
        head = json.loads(frames[0])
        parts = zip(head.pop("tensors"), frames[1:], strict=True)
        tensors = {name: _tensor(data, dtype, shape) for (name, dtype, shape), data in parts}
        ranked = tensors.pop("ranked", None)
        told = {name: _tuples(value) for name, value in head.items()}
        return BlockOutcome(**told, hidden={int(layer): states for layer, states in tensors.items()}, ranked=ranked)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise EngineError(f"vLLM's worker told what cannot be read: {error}", where="engine") from error


def _bytes(one: Tensor) -> bytes:
    data: bytes = one.detach().contiguous().cpu().view(torch.uint8).numpy().tobytes()
    return data


def _tensor(data: bytes, dtype: str, shape: Sequence[int]) -> Tensor:
    kind: torch.dtype = getattr(torch, dtype)
    return torch.frombuffer(bytearray(data), dtype=kind).view(*shape) if data else torch.empty(*shape, dtype=kind)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value
