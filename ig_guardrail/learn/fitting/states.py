"""Hidden states of a language model while it reads exchanges: the running mean over the answer, at a few points.

What is kept for a point is the mean of the states after each answer token up to it, as a guard sees it while the answer
is being written. Answers are read up to the last point, usually `POINTS[-1]` tokens.

They are kept on disk, a few hundred exchanges in a shard, so that an interrupted reading goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.engine.loading.weights import Weights
from ig_guardrail.engine.text.chat import Chat, chat_of
from ig_guardrail.learn.data.rows import LabelledRow
from ig_guardrail.learn.fitting.tensor_cache import TensorCache, Tensors, progress_line
from ig_guardrail.types import Message

POINTS = (8, 16, 32, 48, 64)
EVERY = 16  # tokens between charge points
NEUTRAL_PROMPT = "Write a short message."
MAX_PROMPT_CHARACTERS = 2_000
MAX_ANSWER_CHARACTERS = 1_500
BATCH_TOKENS = 1_536

Exchange: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]  # ids of the prompt and of the answer


@dataclass(frozen=True, slots=True)
class Means:
    """Running means of one answer: `values` has shape (points, layers, hidden size), float32."""

    points: tuple[int, ...]
    values: NDArray[np.float32]


def points_of(length: int, points: tuple[int, ...] = POINTS) -> tuple[int, ...]:
    """Where an answer of `length` tokens is looked at: at each of `points` before its end, and at its end."""
    end = min(length, points[-1])
    return (*(point for point in points if point < end), end)


def token_ids(chat: Chat, prompt: str, answer: str, most: int = POINTS[-1]) -> Exchange:
    """Ids of the rendered prompt (a neutral one where it is empty) and of the answer, at most `most` of these."""
    asked = prompt.strip()[:MAX_PROMPT_CHARACTERS] or NEUTRAL_PROMPT
    return chat.answering([Message("user", asked)]), answer_ids(chat, answer, most)


def answer_ids(chat: Chat, answer: str, most: int = POINTS[-1]) -> tuple[int, ...]:
    """The answer's first tokens, at most `most`; markers in it are spelled out."""
    return chat.text_ids(answer.strip()[:MAX_ANSWER_CHARACTERS])[:most]


def read_means(
    weights: Weights,
    exchanges: Sequence[tuple[str, str]],
    layers: tuple[int, ...],
    points: tuple[int, ...] = POINTS,
) -> list[Means]:
    """Running means for (prompt, answer) pairs, in their order; an answer without tokens has points (0,) and zeros.

    points: where answers are looked at, besides their ends
    """
    chat = chat_of(weights.tokenizer)
    ids = [token_ids(chat, prompt, answer, points[-1]) for prompt, answer in exchanges]
    found: dict[int, Means] = {}
    for batch in _batches([len(before) + len(after) for before, after in ids]):
        read = _read_batch(weights.model, [ids[index] for index in batch], layers, points)
        found.update(zip(batch, read, strict=True))
    return [found[index] for index in range(len(exchanges))]


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Indices in groups of like length, none padding to more than `BATCH_TOKENS` tokens unless it is alone."""
    group: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if group and (len(group) + 1) * lengths[index] > BATCH_TOKENS:
            yield group
            group = []
        group.append(index)
    if group:
        yield group


def _read_batch(model: Any, ids: Sequence[Exchange], layers: tuple[int, ...], points: tuple[int, ...]) -> list[Means]:
    import torch

    width = max(len(before) + len(after) for before, after in ids)
    # Padding stands to the right, so no real token attends to it.
    rows = [[*before, *after, *[0] * (width - len(before) - len(after))] for before, after in ids]
    tokens = torch.tensor(rows, device=model.device)
    with torch.inference_mode(), _capture(model, layers) as states:
        with suppress(_ReadEnough):
            model.model(input_ids=tokens, use_cache=False)
        stacked = torch.stack([states[layer] for layer in layers], dim=2)
        return [
            _means(stacked[row], len(before), points_of(len(after), points)) for row, (before, after) in enumerate(ids)
        ]


def _means(states: Any, start: int, points: tuple[int, ...]) -> Means:
    """`states` has shape (tokens, layers, hidden size)."""
    import torch

    length = points[-1]
    if length == 0:
        return Means(points, np.zeros((1, *states.shape[1:]), dtype=np.float32))
    sums = states[start : start + length].to("cpu", torch.float64).cumsum(dim=0)
    at = torch.tensor(points)
    values = sums[at - 1] / at[:, None, None]
    return Means(points, values.to(torch.float32).numpy())


class _ReadEnough(Exception):
    """The deepest layer that was asked for has been reached."""


@contextmanager
def _capture(model: Any, layers: tuple[int, ...]) -> Iterator[Mapping[int, Any]]:
    """Keep what the given layers put out during one pass, and end the pass after the deepest."""
    states: dict[int, Any] = {}
    deepest = max(layers)

    def keep(layer: int, output: Any) -> None:
        states[layer] = output[0] if isinstance(output, tuple) else output
        if layer == deepest:
            raise _ReadEnough

    blocks = model.model.layers
    hooks = [
        blocks[layer - 1].register_forward_hook(lambda _module, _inputs, output, layer=layer: keep(layer, output))
        for layer in layers
    ]
    try:
        yield states
    finally:
        for hook in hooks:
            hook.remove()


SHARD = 256

Progress = Callable[[int, int], None]


def cached_means(
    weights: Weights,
    exchanges: Sequence[tuple[str, str]],
    layers: tuple[int, ...],
    folder: Path,
    progress: Progress,
    points: tuple[int, ...] = POINTS,
) -> list[Means]:
    """`read_means` with shards kept in `folder`; `progress(done, total)` is called after each shard."""
    chat, shards = chat_of(weights.tokenizer), TensorCache(folder, [weights.sha256, weights.numerics, layers, points])
    order = sorted(range(len(exchanges)), key=lambda index: sum(map(len, exchanges[index])))
    found: dict[int, Means] = {}
    for start in range(0, len(order), SHARD):
        part = order[start : start + SHARD]
        pairs = [exchanges[index] for index in part]
        # of the tokens, not of the texts: how a text is cut may change while the weights stay
        ids = ["means", *(token_ids(chat, *pair, points[-1]) for pair in pairs)]
        kept = shards.get(ids, partial(_read_packed, weights, pairs, layers, points))
        found.update(zip(part, _unpacked(kept), strict=True))
        progress(len(found), len(order))
    return [found[index] for index in range(len(exchanges))]


def _read_packed(
    weights: Weights, pairs: Sequence[tuple[str, str]], layers: tuple[int, ...], points: tuple[int, ...]
) -> Tensors:
    means = read_means(weights, pairs, layers, points)
    return {
        "points": np.array([point for mean in means for point in mean.points], dtype=np.int64),
        "counts": np.array([len(mean.points) for mean in means], dtype=np.int64),
        "values": np.concatenate([mean.values for mean in means]),
    }


def _unpacked(kept: Tensors) -> list[Means]:
    points, counts, values = kept["points"].tolist(), kept["counts"].tolist(), kept["values"]
    ends = np.cumsum(counts).tolist()
    spans = [(end - count, end) for end, count in zip(ends, counts, strict=True)]
    return [Means(tuple(points[start:end]), values[start:end]) for start, end in spans]


def rows_means(
    weights: Weights,
    rows: Sequence[LabelledRow],
    layers: tuple[int, ...],
    folder: Path,
    points: tuple[int, ...] = POINTS,
) -> list[Means]:
    """`cached_means` of rows, source by source: other data in one source leaves what is kept of the rest."""
    found: dict[int, Means] = {}
    for source in dict.fromkeys(row.source for row in rows):
        mine = [index for index, row in enumerate(rows) if row.source == source]
        exchanges = [(rows[index].prompt, rows[index].text) for index in mine]
        show = progress_line(f"reading states, {source}")
        found.update(zip(mine, cached_means(weights, exchanges, layers, folder, show, points), strict=True))
    return [found[index] for index in range(len(rows))]
