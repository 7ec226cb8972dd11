"""Running means on disk, so that an interrupted reading goes on where it stopped.

One shard a few hundred exchanges. Its name is the hash of all that its content depends on, and it is put in place by a
rename, so a shard is whole and right or not there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ig_guardrail.engine.chat import chat_of
from ig_guardrail.engine.store import is_own, put_in_place
from ig_guardrail.engine.weights import Weights
from ig_guardrail.learn.states import POINTS, Means, read_means, token_ids

SHARD = 256
_FORMAT = 2

Progress = Callable[[int, int], None]


def cached_means(
    weights: Weights,
    exchanges: Sequence[tuple[str, str]],
    layers: tuple[int, ...],
    folder: Path,
    progress: Progress,
) -> list[Means]:
    """`read_means` with shards kept in `folder`; `progress(done, total)` is called after each shard."""
    folder.mkdir(parents=True, exist_ok=True)
    order = sorted(range(len(exchanges)), key=lambda index: sum(map(len, exchanges[index])))
    found: dict[int, Means] = {}
    for start in range(0, len(order), SHARD):
        part = order[start : start + SHARD]
        pairs = [exchanges[index] for index in part]
        path = folder / f"{_key(weights, pairs, layers)}.safetensors"
        means = _load(path)
        if means is None:
            means = read_means(weights, pairs, layers)
            _save(path, means)
        found.update(zip(part, means, strict=True))
        progress(len(found), len(order))
    return [found[index] for index in range(len(exchanges))]


def _key(weights: Weights, pairs: Sequence[tuple[str, str]], layers: tuple[int, ...]) -> str:
    """Of the tokens, not of the texts: how a text is cut may change while the weights stay."""
    chat = chat_of(weights.tokenizer)
    ids = [token_ids(chat, prompt, answer) for prompt, answer in pairs]
    facts = [_FORMAT, weights.sha256, weights.numerics, list(layers), list(POINTS), ids]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _load(path: Path) -> list[Means] | None:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        if not is_own(path):
            return None
        tensors = load_file(path)
    except (FileNotFoundError, SafetensorError):
        return None
    points, counts, values = tensors["points"].tolist(), tensors["counts"].tolist(), tensors["values"]
    ends = np.cumsum(counts).tolist()
    spans = [(end - count, end) for end, count in zip(ends, counts, strict=True)]
    return [Means(tuple(points[start:end]), values[start:end]) for start, end in spans]


def _save(path: Path, means: Sequence[Means]) -> None:
    from safetensors.numpy import save_file

    tensors = {
        "points": np.array([point for mean in means for point in mean.points], dtype=np.int64),
        "counts": np.array([len(mean.points) for mean in means], dtype=np.int64),
        "values": np.concatenate([mean.values for mean in means]),
    }
    with put_in_place(path) as beside:
        save_file(tensors, beside)
