"""What a step costs on a GPU: our rows beside plain decoding of the same engine, on random weights of a real size.

    python benchmarks/gpu.py                           1B and 8B shapes on cuda; writes benchmarks/out/gpu.json
    python benchmarks/gpu.py --engine vllm             one engine; else both, vLLM where it is there
    python benchmarks/gpu.py --device cpu --shape 135M --pairs 1

Random weights cost what trained ones do, and are made on the device: nothing but this checkout has to be carried there.
Wall time, since a GPU works while its CPU waits; runs in turning order, medians of paired ratios. The tokenizer is the
embedded model's. Within `--minutes` it begins no more parts, and says which are left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from command import publish, run
from speed.random_models import SHAPES
from speed.timing import in_turn, ratios, row

from ig_guardrail.errors import RequestError
from ig_guardrail.evaluate import tables

TOKENS = 48
LENGTHS = (150, 1000)
WIDTHS = (1, 8, 32, 128)
ENGINES = ("transformers", "vllm")


class Bench(Protocol):
    """An engine over random weights. mode: as its receipts name it"""

    mode: str

    def plain(self, ids: tuple[int, ...], tokens: int, number: int) -> float:
        """Seconds of one stream of the engine's own, its prompt read before."""

    def rows(self, ids: tuple[int, ...], tokens: int, width: int, number: int) -> float:
        """Seconds of drawing so many rows behind a prompt that was read."""

    def memory(self) -> int:
        """Bytes of the device that are used, at most since this was last asked; of a CPU, of the processes."""


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Measure what a step costs on a GPU.")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--engine", choices=ENGINES, action="append", help="may be given again")
    parser.add_argument("--shape", choices=SHAPES, action="append", help="may be given again; by default 1B and 8B")
    parser.add_argument("--pairs", type=int, default=5, help="paired runs of each comparison")
    parser.add_argument("--minutes", type=float, default=9.0, help="after which no part is begun")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "out")
    options = parser.parse_args(arguments)
    on_gpu = options.device.startswith("cuda")
    if on_gpu and not torch.cuda.is_available():
        raise RequestError(
            "this machine has no GPU that torch can use", where="--device", fix="run it on one that has, or use cpu"
        )
    until = time.monotonic() + 60 * options.minutes
    name = torch.cuda.get_device_name() if on_gpu else "CPU"
    rows: list[tables.Row] = []
    for shape in options.shape or ("1B", "8B"):
        for engine in options.engine or [one for one in ENGINES if importlib.util.find_spec(one)]:
            if time.monotonic() > until:
                print(f"left out, since the time is over: {shape} in {engine}")
                continue
            with opened(engine, shape, options.device) as bench:
                rows += measure(bench, f"{engine}-{shape}", options.pairs, LENGTHS, WIDTHS)
            publish(options.out / "gpu.json", f"Steps on {name}", rows, device=name, torch=torch.__version__)
    return 0


@contextmanager
def opened(engine: str, shape: str, device: str) -> Iterator[Bench]:
    """An engine over random weights, which is gone afterwards."""
    if engine == "vllm":
        from speed.random_vllm import vllm_bench

        with vllm_bench(shape) as bench:
            yield bench
        return
    from speed.random_transformers import transformers_bench

    with transformers_bench(shape, device) as bench:
        yield bench


def measure(bench: Bench, name: str, pairs: int, lengths: Sequence[int], widths: Sequence[int]) -> list[tables.Row]:
    """By the prompt's tokens and the rows: their time over that of one plain stream, and the memory that they took."""
    rows = [_memory(name, "opened", "opened", bench)]
    for length in lengths:
        ids = tuple(1000 + i % 1000 for i in range(length))
        runs: dict[str, Callable[[int], float]] = {"plain": partial(bench.plain, ids, TOKENS)}
        runs.update({str(width): partial(bench.rows, ids, TOKENS, width) for width in widths})
        seconds = in_turn(runs, pairs + 1, f"{name}, prompt of {length}")
        base = seconds["plain"][1:]  # the first round warms up
        where = f"{name}, prompt of {length} tokens ({bench.mode})"
        step = [1e3 * one / TOKENS for one in base]
        rows.append(row(name, f"gpu-{name}-{length}-plain", f"a plain step, ms, {where}", step))
        for width in widths:
            title = f"{width} rows / a plain stream, {where}"
            rows.append(row(name, f"gpu-{name}-{length}-{width}", title, ratios(seconds[str(width)][1:], base)))
        for width in widths:
            bench.memory()
            bench.rows(ids, TOKENS, width, pairs + 1)
            rows.append(_memory(name, f"{length}-{width}", f"{width} rows, {where}", bench))
    return rows


def _memory(name: str, key: str, title: str, bench: Bench) -> tables.Row:
    return tables.row(name, f"gpu-{name}-{key}-memory", f"memory, MiB: {title}", round(bench.memory() / 2**20), None, 1)


if __name__ == "__main__":
    run(main)
