"""The yardstick: `model.generate`, sampled alike, its text read from a streamer."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Thread
from typing import Any

import torch
from torch import Tensor
from transformers import TextIteratorStreamer

from ig_guardrail.engine.loading.weights import Weights
from ig_guardrail.types import Message, Sampling
from speed.stage import BLOCK, Stage, expect
from speed.timing import Watch


class Streamer(TextIteratorStreamer):
    """Counts tokens, and tells a watch when the first block is there."""

    def __init__(self, tokenizer: Any, watch: Watch) -> None:
        super().__init__(tokenizer, skip_prompt=True)
        self.tokens = -1  # the prompt is put first
        self._watch = watch

    def put(self, value: Tensor) -> None:
        self.tokens += 1
        if self.tokens == BLOCK:
            self._watch.mark()
        super().put(value)  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class Generate:
    """`model.generate` over the weights of a stage."""

    stage: Stage

    def stream(self, turns: tuple[Message, ...], sampling: Sampling) -> Watch:
        """Generate on a thread and read here; the end token is ignored, so that all tokens come."""
        watch = Watch()
        streamer = Streamer(self.stage.weights.tokenizer, watch)
        keys = {**options(sampling), "eos_token_id": None, "streamer": streamer}
        worker = Thread(target=self.tokens, args=(self.ids(turns),), kwargs=keys)
        worker.start()
        for _ in streamer:
            pass
        worker.join()
        expect(streamer.tokens, sampling.max_tokens)
        return watch.stop()

    def text(self, turns: tuple[Message, ...], sampling: Sampling) -> str:
        """The answer on the engine's own layers, without special tokens; it may end early."""
        ids = self.ids(turns)
        output = _generated(self.stage.packed, ids, **options(sampling))
        return str(self.stage.weights.tokenizer.decode(output[0, ids.shape[1] :], skip_special_tokens=True))

    def ids(self, turns: tuple[Message, ...]) -> Tensor:
        """The prompt, (1, tokens)."""
        return torch.tensor([self.stage.engine.encode(turns).ids])

    def tokens(self, ids: Tensor, **keys: Any) -> Tensor:
        """What `generate` returns for a prompt (1, tokens)."""
        return _generated(self.stage.weights, ids, **keys)


def _generated(weights: Weights, ids: Tensor, **keys: Any) -> Tensor:
    pad = weights.tokenizer.pad_token_id
    output: Tensor = weights.model.generate(ids, attention_mask=torch.ones_like(ids), pad_token_id=pad, **keys)
    return output


def options(sampling: Sampling) -> dict[str, Any]:
    """The sampling settings, as `generate` calls them; nothing is left to a model's own defaults."""
    length = {"max_new_tokens": sampling.max_tokens}
    if sampling.temperature == 0:
        return {**length, "do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    return {**length, "do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
