"""What a step costs on a GPU: the engine's rows beside `generate`, on random weights of a real size.

    python benchmarks/gpu.py                         1B and 8B shapes on cuda; writes benchmarks/out/gpu.json
    python benchmarks/gpu.py --device cpu --shape 135M

Random weights cost what trained ones do. Wall time, since a GPU works while its CPU waits; runs in turning order,
medians of paired ratios. The tokenizer is the embedded model's.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from command import publish, run
from speed.timing import in_turn, ratios, row
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig

from ig_guardrail.engine.loading.embedded import embedded_model
from ig_guardrail.engine.loading.weights import Weights
from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.errors import RequestError
from ig_guardrail.evaluate import tables
from ig_guardrail.types import Draw, Node, Prompt, Sampling

TOKENS = 48
LENGTHS = (150, 1000)
WIDTHS = (1, 8, 32)
SIZES = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")
SHAPES: Mapping[str, Sequence[int]] = {
    "135M": (576, 1536, 30, 9, 3),
    "1B": (2048, 8192, 16, 32, 8),
    "8B": (4096, 14336, 32, 32, 8),
}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Measure what a step costs on a GPU.")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--shape", choices=SHAPES, action="append", help="may be given again; by default 1B and 8B")
    parser.add_argument("--pairs", type=int, default=5, help="paired runs of each comparison")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "out")
    options = parser.parse_args(arguments)
    on_gpu = options.device.startswith("cuda")
    if on_gpu and not torch.cuda.is_available():
        raise RequestError(
            "this machine has no GPU that torch can use", where="--device", fix="run it on one that has, or use cpu"
        )
    rows = [one for shape in options.shape or ("1B", "8B") for one in measure(shape, options.device, options.pairs)]
    name = torch.cuda.get_device_name() if on_gpu else "CPU"
    publish(options.out / "gpu.json", f"Steps on {name}", rows, device=name, torch=torch.__version__)
    return 0


def measure(shape: str, device: str, pairs: int) -> list[tables.Row]:
    """Wall time of drawing tokens for 1, 8 and 32 rows over that of `generate`, prompts read before."""
    weights = random_weights(shape, device)
    engine = TransformersEngine(weights)
    rows = []
    for length in LENGTHS:
        ids = tuple(1000 + i % 1000 for i in range(length))
        never = ((int(weights.tokenizer.eos_token_id), -1e4),)
        sampling = Sampling(temperature=0.7, top_p=0.95, max_tokens=TOKENS, logit_bias=never)
        root = engine.open(Prompt((), ids), sampling).result()
        runs: dict[str, Callable[[int], float]] = {"generate": partial(_generate, weights, ids)}
        runs.update({str(width): partial(_extend, engine, root, width) for width in WIDTHS})
        seconds = in_turn(runs, pairs + 1, f"{shape}, prompt of {length}")
        engine.close(root)
        base = seconds["generate"][1:]  # the first round warms up
        for width in WIDTHS:
            title = f"{width} rows / generate, {shape}, prompt of {length} tokens ({engine.info.mode})"
            rows.append(row(device, f"gpu-{shape}-{length}-{width}", title, ratios(seconds[str(width)][1:], base)))
    engine.shutdown()
    return rows


def random_weights(shape: str, device: str) -> Weights:
    """A Llama of that shape in bfloat16."""
    tokenizer = AutoTokenizer.from_pretrained(embedded_model("bfloat16")[0], local_files_only=True)
    config = LlamaConfig(vocab_size=len(tokenizer), **dict(zip(SIZES, SHAPES[shape], strict=True)))
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).eval()
    return Weights(f"random {shape}", "0" * 64, model, tokenizer)


@torch.inference_mode()
def _generate(weights: Weights, ids: tuple[int, ...], _: int) -> float:
    """Seconds of `generate`, less those of its first token, which reads the prompt."""
    prompt = torch.tensor([ids], device=weights.model.device)
    options = {"attention_mask": torch.ones_like(prompt), "pad_token_id": weights.tokenizer.pad_token_id}
    options |= {"do_sample": True, "temperature": 0.7, "top_p": 0.95, "top_k": 0}
    spent = []
    for tokens in (1, TOKENS):
        began = time.perf_counter()
        weights.model.generate(prompt, max_new_tokens=tokens, min_new_tokens=tokens, **options)
        _wait()
        spent.append(time.perf_counter() - began)
    return spent[1] - spent[0]


def _extend(engine: TransformersEngine, root: Node, width: int, number: int) -> float:
    """Seconds of drawing rows from a prompt that was read, the first token being there already."""
    began = time.perf_counter()
    for node in engine.extend([Draw(root, width, lane=number * width)], TOKENS).result():
        engine.close(node)
    _wait()
    return time.perf_counter() - began


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


if __name__ == "__main__":
    run(main)
