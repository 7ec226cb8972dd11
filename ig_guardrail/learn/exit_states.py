"""What an early exit learns from: the states after its layer and after the last one, at each token of some answers.

Kept on disk, one shard a few answers, so that an interrupted recording goes on where it stopped. A shard's name is the
hash of all that its content depends on, and it is put in place by a rename.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ig_guardrail.engine.chat import chat_of
from ig_guardrail.engine.model import Model
from ig_guardrail.engine.weights import Weights
from ig_guardrail.learn.feature_cache import Progress
from ig_guardrail.learn.states import token_ids

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
    folder.mkdir(parents=True, exist_ok=True)
    shards = []
    for start in range(0, len(exchanges), SHARD):
        part = exchanges[start : start + SHARD]
        path = folder / f"exit-{_key(weights, part, layer)}.safetensors"
        shards.append(_load(path) or _record(weights, part, layer, path))
        progress(start + len(part), len(exchanges))
    return States(torch.cat([one.lower for one in shards]), torch.cat([one.last for one in shards]))


@torch.inference_mode()
def _read(weights: Weights, exchanges: Sequence[tuple[str, str]], layer: int) -> States:
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
    return States(torch.cat([torch.empty(0, size), *lower]), torch.cat([torch.empty(0, size), *last]))


def _record(weights: Weights, exchanges: Sequence[tuple[str, str]], layer: int, path: Path) -> States:
    from safetensors.torch import save_file

    states = _read(weights, exchanges, layer)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        save_file({"lower": states.lower.contiguous(), "last": states.last.contiguous()}, partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return States(states.lower.clone(), states.last.clone())  # outside inference mode, so that gradients may pass


def _load(path: Path) -> States | None:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
    except (FileNotFoundError, SafetensorError):
        return None
    return States(tensors["lower"], tensors["last"])


def _key(weights: Weights, exchanges: Sequence[tuple[str, str]], layer: int) -> str:
    facts = [weights.sha256, weights.numerics, layer, [list(exchange) for exchange in exchanges]]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
