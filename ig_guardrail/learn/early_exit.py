"""Trains the adapter of an early exit on a model's own answers: the work behind `ig-guardrail train exit`.

Source: the loss that a frozen model allows of M2R2 (arXiv 2502.02040): KL(p_L || p_e) plus the squared distance of the
adapted state from the last layer's. Departure: the distance is divided by the mean square of the last layer's states,
which differ by orders of magnitude between models. The model itself is never changed.

What an early exit learns from: the states after its layer and after the last one, at each token of some answers.

They are kept on disk, one shard a few answers, so that an interrupted recording goes on where it stopped.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from ig_guardrail.engine.early_exit.layers import Exit, raw_exit
from ig_guardrail.engine.loading.weights import Weights
from ig_guardrail.engine.model import Model
from ig_guardrail.engine.text.chat import chat_of
from ig_guardrail.errors import GuardrailError, RequestError
from ig_guardrail.learn.data.recipes import OWN_ANSWERS, describe_sources
from ig_guardrail.learn.data.rows import LabelledRow, read_rows
from ig_guardrail.learn.fitting.card import rounded, write_artifact
from ig_guardrail.learn.fitting.states import Progress, token_ids
from ig_guardrail.learn.fitting.tensor_cache import TensorCache, Tensors, progress_line
from ig_guardrail.learn.heads import SEED, Trained, training_record
from ig_guardrail.statistics.binomial import proportion
from ig_guardrail.statistics.bootstrap import Estimate

KIND = "exit"
ROWS = {"train": 240, "test": 50}  # answers of at most 64 tokens each
BATCH = 32  # tokens
EPOCHS = 1
RATE = 6e-3

ReadOut = Callable[[Tensor], Tensor]


def train_exit(weights: Weights, data: Sequence[Path], out: Path, layer: int, rank: int, cache: Path) -> Trained:
    """Train an exit after `layer` with an adapter of `rank`, and write it to `out` with its card.

    data   files by `ig-guardrail train answers`: the training rows teach it, the test rows measure it
    cache  where states are kept between runs; an interrupted run goes on from there
    Raises RequestError for a layer or rank that cannot be, DataError for malformed rows, GuardrailError if none fit.
    """
    _demand_exit(weights, layer, rank)
    read = read_rows(data)
    rows = {split: _chosen(read.rows, split) for split in ROWS}
    taught, held_out = (_states(weights, chosen, layer, cache) for chosen in rows.values())
    read_out = reading_of(weights.model)
    learned = _kept(fit_exit(taught, layer, rank, read_out, progress_line("training")))
    raw = raw_exit(layer, taught.lower.shape[1])
    card = {
        "name": f"exit-{layer}",
        "kind": KIND,
        "about": f"An early exit after layer {layer}: it guesses the tokens that the whole model then reads.",
        "base_model": {
            "name": weights.name,
            "sha256": weights.sha256,
            "numerics": weights.numerics,
            "layer": layer,
            "rank": rank,
        },
        "quality": {
            "what": "how often the likeliest next token is the whole model's, over tokens of its own answers that "
            "training never saw; texts depend on none of it, only speed does",
            "tokens": len(held_out.lower),
            "raw exit agrees": rounded(agreement(raw, held_out, read_out)),
            "trained exit agrees": rounded(agreement(learned, held_out, read_out)),
        },
        "training": training_record(
            f"ig-guardrail train exit --layer {layer} --rank {rank}",
            data,
            read,
            {
                "answers": len(rows["train"]),
                "tokens": len(taught.lower),
                "epochs": EPOCHS,
                "rate": RATE,
                "batch": BATCH,
            },
        ),
        "sources": describe_sources([row for chosen in rows.values() for row in chosen]),
        "limits": ["Whether it makes anything faster depends on model and machine: measure before use."],
    }
    write_artifact(out, card, {"down": learned.down.half().numpy(), "up": learned.up.half().numpy()})
    return Trained(out, card)


def fit_exit(states: States, layer: int, rank: int, read_out: ReadOut, progress: Callable[[int, int], None]) -> Exit:
    """The adapter that brings `states.lower` to where `states.last` is, as `read_out` sees it."""
    count, size = states.lower.shape
    dice = torch.Generator().manual_seed(SEED)
    down = (torch.randn(rank, size, generator=dice) / size**0.5).requires_grad_()
    up = torch.zeros(size, rank).requires_grad_()
    optimiser, adapter = torch.optim.Adam([down, up], RATE), Exit(layer, down, up)
    spread = states.last.float().square().mean()
    steps = EPOCHS * -(-count // BATCH)
    order = torch.cat([torch.randperm(count, generator=dice) for _ in range(EPOCHS)])
    for step, batch in enumerate(torch.split(order, BATCH)[:steps], start=1):
        for group in optimiser.param_groups:
            group["lr"] = RATE * (1 - (step - 1) / steps)
        optimiser.zero_grad()
        _loss(adapter(states.lower[batch].float()), states.last[batch].float(), read_out, spread).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        progress(step, steps)
    return Exit(layer, down.detach(), up.detach())


@torch.inference_mode()
def agreement(way_out: Exit, states: States, read_out: ReadOut) -> Estimate:
    """The share of tokens after which the exit's likeliest next token is the whole model's."""
    same = 0
    for lower, last in zip(torch.split(states.lower, BATCH), torch.split(states.last, BATCH), strict=True):
        guessed, right = (read_out(part).argmax(-1) for part in (way_out(lower.float()), last.float()))
        same += int((guessed == right).sum())
    return proportion(same, len(states.lower))


def reading_of(model: Any) -> ReadOut:
    """The final norm and the vocabulary matrix of a model, in float32: states (n, hidden size) -> logits."""
    norm = copy.deepcopy(model.model.norm).float().cpu()
    matrix = model.get_output_embeddings().weight.detach().float().cpu()
    return lambda states: functional.linear(norm(states), matrix)


def _kept(way_out: Exit) -> Exit:
    """The exit as a file keeps it, in float16."""
    return Exit(way_out.layer, way_out.down.half().float(), way_out.up.half().float())


def _loss(adapted: Tensor, last: Tensor, read_out: ReadOut, spread: Tensor) -> Tensor:
    with torch.no_grad():
        wanted = read_out(last).log_softmax(-1)
    told = read_out(adapted).log_softmax(-1)
    divergence = functional.kl_div(told, wanted, reduction="batchmean", log_target=True)
    return divergence + (adapted - last).square().mean() / spread


def _chosen(rows: Sequence[LabelledRow], split: str) -> list[LabelledRow]:
    """The model's own answers of a split, spread evenly over the file."""
    own = [row for row in rows if row.source == OWN_ANSWERS and row.split == split and row.response]
    if not own:
        raise GuardrailError(
            f"the data has none of the model's own answers in the split '{split}'",
            where="train exit",
            fix="make them with `ig-guardrail train answers`",
        )
    return own[:: -(-len(own) // ROWS[split])]


def _states(weights: Weights, rows: Sequence[LabelledRow], layer: int, cache: Path) -> States:
    exchanges = [(row.prompt, row.text) for row in rows]
    return recorded_states(weights, exchanges, layer, cache, progress_line(f"reading states, {rows[0].split}"))


def _demand_exit(weights: Weights, layer: int, rank: int) -> None:
    depth = weights.layers
    if not 1 <= layer < depth:
        raise RequestError(f"layer is {layer}", where="--layer", fix=f"give a layer from 1 to {depth - 1}")
    if rank < 1:
        raise RequestError(f"rank is {rank}", where="--rank", fix="give at least 1")


SHARD = 16


@dataclass(frozen=True, slots=True, eq=False)
class States:
    """Of each answer token: the state after the exit's layer, and after the last one, both (tokens, hidden size)."""

    lower: Tensor
    last: Tensor


def recorded_states(
    weights: Weights, exchanges: Sequence[tuple[str, str]], layer: int, folder: Path, progress: Progress
) -> States:
    """States of (prompt, answer) pairs, read without sampling; `progress(done, total)` is called after each shard."""
    cache, shards = TensorCache(folder, ["exit", weights.sha256, weights.numerics, layer]), []
    for start in range(0, len(exchanges), SHARD):
        part = exchanges[start : start + SHARD]
        shards.append(cache.get(part, partial(_read, weights, part, layer)))
        progress(start + len(part), len(exchanges))
    lower, last = (torch.from_numpy(np.concatenate([one[name] for one in shards])) for name in ("lower", "last"))
    return States(lower, last)


@torch.inference_mode()
def _read(weights: Weights, exchanges: Sequence[tuple[str, str]], layer: int) -> Tensors:
    model, chat = Model(weights.model), chat_of(weights.tokenizer)
    depth = len(model.layers)
    lower, last = [], []
    for exchange in exchanges:
        before, after = token_ids(chat, *exchange)
        if after:
            hidden = model.run([[*before, *after]], 1, (layer, depth)).hidden
            lower.append(hidden[layer][0, -len(after) :].cpu())
            last.append(hidden[depth][0, -len(after) :].cpu())
    size = model.config.hidden_size
    kept = {"lower": lower, "last": last}
    return {name: torch.cat([torch.empty(0, size), *states]).numpy() for name, states in kept.items()}
