"""What keeping weights in fewer bits does to the embedded model: distance to float32, perplexity, text, time.

    python benchmarks/weights.py --data rows.jsonl.gz

`--data` holds texts that other people wrote (responses of rows labelled safe are read). One torch thread; step times
are CPU time, interleaved, medians.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from command import run
from rich.console import Console
from torch import Tensor

from ig_guardrail.engine.loading.models import load_weights
from ig_guardrail.engine.loading.packing import pack
from ig_guardrail.engine.loading.weights import Weights
from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.errors import GuardrailError
from ig_guardrail.evaluate import tables
from ig_guardrail.evaluate.prompts import read_prompts
from ig_guardrail.learn.data.rows import read_rows
from ig_guardrail.types import Draw, Message, Sampling

HERE = Path(__file__).parent
KEPT = {"bf16": "bfloat16", "int4": "int4"}
TEXTS = 60
ANSWERS = 20
TOKENS = 64
ROUNDS = 5


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Measure the embedded model in fewer bits.")
    parser.add_argument("--data", type=Path, action="append", required=True, help="labelled rows; may be given again")
    parser.add_argument("--out", type=Path, default=HERE / "out")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    console = Console()
    exact = load_weights("embedded", "cpu", "float32")
    texts = list(_texts(options.data, exact))
    rows: list[tables.Row] = [_perplexity_row("float32", exact, texts)]
    engines = {}
    for name, numerics in KEPT.items():
        console.print(f"reading and writing in {name}", markup=False)
        weights = load_weights("embedded", "cpu", numerics)
        rows += [_distance_row(name, weights, exact, texts), _perplexity_row(name, weights, texts)]
        pack(weights.model)
        engines[name] = TransformersEngine(weights)
        rows += _text_rows(name, _answers(engines[name]), exact)
    rows += _time_rows(engines)
    tables.write_json(
        options.out / "weights.json", {"measured": datetime.now(UTC).strftime("%Y-%m-%d"), "figures": rows}
    )
    console.print(tables.terminal("the embedded model in fewer bits", rows))
    return 0


def _texts(data: Sequence[Path], weights: Weights) -> Iterator[Tensor]:
    """Token ids (1, tokens) of the first texts that are long enough to say something."""
    found = 0
    for row in read_rows(data).rows:
        if row.label == "safe" and row.response and len(row.response) > 300 and found < TEXTS:
            found += 1
            yield weights.tokenizer(row.response[:1000], return_tensors="pt").input_ids[:, :200]
    if not found:
        raise GuardrailError("the data has no safe response of more than 300 characters", where="--data")


@torch.inference_mode()
def _logprobs(weights: Weights, ids: Tensor) -> Tensor:
    logits: Tensor = weights.model(ids).logits[0]
    return logits.float().log_softmax(-1)


def _distance_row(name: str, weights: Weights, exact: Weights, texts: Sequence[Tensor]) -> tables.Row:
    """Mean over the tokens of each text of KL(float32 || weights), thousandths of a nat."""
    values = []
    for ids in texts:
        true, ours = _logprobs(exact, ids), _logprobs(weights, ids)
        values.append(1000 * float((true.exp() * (true - ours)).sum(-1).mean()))
    return _row("KL to float32 per token, thousandths of a nat", name, values)


def _perplexity_row(name: str, weights: Weights, texts: Sequence[Tensor]) -> tables.Row:
    return _row("perplexity of people's texts", name, [_surprise(weights, ids) for ids in texts], math.exp)


def _surprise(weights: Weights, ids: Tensor) -> float:
    """Mean negative log-probability of a text's tokens after the first, nats."""
    return -float(_logprobs(weights, ids)[:-1].gather(-1, ids[0, 1:, None]).mean())


def _answers(engine: TransformersEngine) -> list[tuple[int, ...]]:
    """Sampled answers to harmless prompts, prompt and answer ids together."""
    answers = []
    for seed, row in enumerate(read_prompts(HERE / "prompts-tuning-benign.jsonl")[:ANSWERS]):
        prompt = engine.encode((Message("user", row.prompt),))
        root = engine.open(prompt, Sampling(temperature=0.7, top_p=0.95, seed=seed, max_tokens=TOKENS)).result()
        (node,) = engine.extend([Draw(root)], TOKENS).result()
        engine.close(root)
        answers.append(node.ids)
    return answers


def _text_rows(name: str, answers: Sequence[tuple[int, ...]], exact: Weights) -> Iterator[tables.Row]:
    """How likely float32 finds the answers, and how often they repeat three tokens."""
    long = [ids for ids in answers if len(ids) > 3]
    surprise = [_surprise(exact, torch.tensor([ids])) for ids in long]
    repeats = [1 - len(set(_triples(ids))) / len(_triples(ids)) for ids in long]
    yield _row("perplexity of its own answers, in float32", name, surprise, math.exp)
    yield _row("repeated 3-grams of its own answers", name, repeats)


def _triples(ids: tuple[int, ...]) -> list[tuple[int, ...]]:
    return [ids[i : i + 3] for i in range(len(ids) - 2)]


def _time_rows(engines: Mapping[str, TransformersEngine]) -> Iterator[tables.Row]:
    """CPU time of a step, against bf16, for one continuation and for eight of one prefix."""
    for rows in (1, 8):
        seconds: dict[str, list[float]] = {name: [] for name in engines}
        for turn in range(ROUNDS):
            names = list(engines)
            for name in (*names[turn % len(names) :], *names[: turn % len(names)]):
                seconds[name].append(_step_time(engines[name], rows))
        for name, times in seconds.items():
            ratios = [one / other for one, other in zip(times, seconds["bf16"], strict=True)]
            yield _ratio(f"step of {rows} / the same in bf16", name, ratios)


def _step_time(engine: TransformersEngine, rows: int) -> float:
    prompt = engine.encode((Message("user", "Tell me a long story about the sea and the wind. " * 12),))
    end = [(token, -1e4) for token in engine.info.protected]
    root = engine.open(prompt, Sampling(logit_bias=tuple(end))).result()
    before = time.process_time()
    engine.extend([Draw(root, rows)], 16).result()
    spent = time.process_time() - before
    engine.close(root)
    return spent / 16


def _row(title: str, name: str, values: Sequence[float], scale: Any = float) -> tables.Row:
    """The mean over texts, on `scale`, with a bootstrap interval over texts."""
    drawn = np.random.default_rng(0).choice(np.array(values), (2000, len(values))).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return _figure(title, name, scale(float(np.mean(values))), scale(float(low)), scale(float(high)), len(values))


def _ratio(title: str, name: str, values: Sequence[float]) -> tables.Row:
    return _figure(title, name, median(values), min(values), max(values), len(values))


def _figure(part: str, name: str, value: float, low: float, high: float, n: int) -> tables.Row:
    interval = [round(low, 5), round(high, 5)]
    return tables.row(part, f"{part}, {name}", name, round(value, 5), interval, n)


if __name__ == "__main__":
    run(main)
