"""What 4 bits a weight do: how far the next token is from that in float32, and the time of a step; beside bfloat16."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from ig_guardrail.engine.kv.laying_out import lay_out
from ig_guardrail.engine.loading.models import load_weights
from ig_guardrail.engine.loading.weights import Weights
from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.evaluate import tables
from ig_guardrail.evaluate.intervals import mean_of
from ig_guardrail.evaluate.prompts import read_prompts
from ig_guardrail.types import Draw, Message, Sampling
from speed.stage import Stage
from speed.timing import in_turn, ratios, row, seconds

PROMPTS = Path(__file__).parent.parent / "prompts-tuning-benign.jsonl"
DISTANCE = "KL to float32 per token, thousandths of a nat"
STEP = "CPU time of a step, int4 / bfloat16"
ANSWERS = 40
TOKENS = 64
STEPS = 16
PROMPT = 150


def measure(stage: Stage, pairs: int) -> list[tables.Row]:
    """Distances over answers that were drawn in bfloat16; steps of one continuation, and of eight of one prefix."""
    exact, packed = load_weights("embedded", "cpu", "float32"), load_weights("embedded", "cpu", "int4")
    lay_out(packed.model)
    engine = TransformersEngine(packed)
    prompts = read_prompts(PROMPTS)[: min(ANSWERS, 8 * pairs)]
    answers = [_answer(stage.engine, seed, one.prompt) for seed, one in enumerate(prompts)]
    rows = []
    for name, weights in (("bfloat16", stage.packed), ("int4", packed)):
        found = mean_of([_distance(weights, exact, *one) for one in answers])
        ends = [round(found.low, 4), round(found.high, 4)]
        rows.append(tables.row(DISTANCE, f"distance-{name}", name, round(found.value, 4), ends, found.n))
    for width, title in ((1, "one continuation"), (8, "eight continuations")):
        runs = {name: partial(_steps, stage, one, width) for name, one in (("int4", engine), ("bf16", stage.engine))}
        rows.append(row(STEP, f"step-{width}", title, ratios(*in_turn(runs, pairs, title).values())))
    engine.shutdown()
    return rows


def _answer(engine: TransformersEngine, seed: int, asked: str) -> tuple[Tensor, Tensor]:
    """The tokens of a prompt and of a sampled answer, (1, tokens) each."""
    prompt = engine.encode((Message("user", asked),))
    root = engine.open(prompt, Sampling(temperature=0.7, top_p=0.95, seed=seed, max_tokens=TOKENS)).result()
    (node,) = engine.extend([Draw(root)], TOKENS).result()
    engine.close(root)
    return torch.tensor([prompt.ids]), torch.tensor([node.ids])


def _distance(weights: Weights, exact: Weights, prompt: Tensor, answer: Tensor) -> float:
    """Mean over the answer's tokens of KL(float32 || weights), thousandths of a nat."""
    true, ours = (_logprobs(one, prompt, answer) for one in (exact, weights))
    return 1000 * float((true.exp() * (true - ours)).sum(-1).mean())


@torch.inference_mode()
def _logprobs(weights: Weights, prompt: Tensor, answer: Tensor) -> Tensor:
    """Of every token at each place of the answer, (tokens, vocabulary)."""
    logits: Tensor = weights.model(torch.cat([prompt, answer], dim=1)).logits
    return logits[0, prompt.shape[1] - 1 : -1].float().log_softmax(-1)


def _steps(stage: Stage, engine: TransformersEngine, width: int, _: int) -> float:
    """CPU seconds of some steps after a prompt that was read."""
    asked = stage.asked(PROMPT, STEPS)
    root = engine.open(engine.encode(asked.turns), asked.sampling).result()
    taken = seconds(engine.extend([Draw(root, width)], STEPS).result)
    engine.close(root)
    return taken
