"""Our engine on `transformers` beside `generate`, on random weights."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import torch
from transformers import AutoModelForCausalLM

from ig_guardrail.engine.loading.weights import Weights
from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.types import Draw, Prompt, Sampling
from speed.random_models import config_of, random_tokenizer


class TransformersBench:
    """See `gpu.Bench`."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._engine = TransformersEngine(weights)
        self._never = ((int(weights.tokenizer.eos_token_id), -1e4),)
        self.mode = self._engine.info.mode

    @torch.inference_mode()
    def plain(self, ids: tuple[int, ...], tokens: int, number: int) -> float:
        """Seconds of `generate`, less those of its first token, which reads the prompt."""
        prompt = torch.tensor([ids], device=self._weights.model.device)
        options = {"attention_mask": torch.ones_like(prompt), "pad_token_id": self._weights.tokenizer.pad_token_id}
        options |= {"do_sample": True, "temperature": 0.7, "top_p": 0.95, "top_k": 0}
        spent = []
        for count in (1, tokens):
            began = time.perf_counter()
            self._weights.model.generate(prompt, max_new_tokens=count, min_new_tokens=count, **options)
            _wait()
            spent.append(time.perf_counter() - began)
        return spent[1] - spent[0]

    def rows(self, ids: tuple[int, ...], tokens: int, width: int, number: int) -> float:
        """Seconds of a block of all rows, the first token being there already."""
        sampling = Sampling(temperature=0.7, top_p=0.95, max_tokens=tokens, logit_bias=self._never)
        root = self._engine.open(Prompt((), ids), sampling).result()
        _wait()
        began = time.perf_counter()
        self._engine.extend([Draw(root, width, lane=number * width)], tokens).result()
        _wait()
        taken = time.perf_counter() - began
        self._engine.close(root)
        return taken

    def memory(self) -> int:
        if self._weights.model.device.type != "cuda":
            return int(psutil.Process().memory_info().rss)
        most = torch.cuda.max_memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        return int(most)

    def close(self) -> None:
        """End the engine."""
        self._engine.shutdown()


@contextmanager
def transformers_bench(shape: str, device: str) -> Iterator[TransformersBench]:
    """The engine over a Llama of that shape in bfloat16."""
    tokenizer = random_tokenizer()
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config_of(shape, len(tokenizer)), dtype=torch.bfloat16).eval()
    bench = TransformersBench(Weights(f"random {shape}", "0" * 64, model, tokenizer))
    try:
        yield bench
    finally:
        bench.close()
        if device.startswith("cuda"):
            del model
            torch.cuda.empty_cache()


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
