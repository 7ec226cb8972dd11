"""`Arithmetic` by numpy, on the CPU, for engines without torch.

Row by row, so that what stands in one row never changes the bits of another. A token is drawn as `by_torch` does it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.engine.decoding.answer import AnswerDraft
from ig_guardrail.engine.decoding.arithmetic import COLDEST, Ranked
from ig_guardrail.errors import EngineError
from ig_guardrail.types import Sampling

Floats: TypeAlias = NDArray[np.float32]
Mask: TypeAlias = NDArray[np.bool_]
Bias: TypeAlias = tuple[NDArray[np.int64], Floats]

DEPTHS = (-12.0, -30.0, -math.inf)  # how far below the likeliest token, in scaled logits, tokens are ranked at first


class SaidCounts:
    """How often each row's answer holds each token, (rows, vocabulary), and whether the prompt does, (vocabulary,)."""

    def __init__(self, prompt: Mask, answers: Floats) -> None:
        self._prompt = prompt
        self._answers = answers

    def penalised(self, row: int, logits: Floats, sampling: Sampling) -> Floats:
        """The logits (vocabulary,) of a row after the penalties of `sampling`; the repetition penalty comes first."""
        counts = self._answers[row]
        said = counts > 0
        if sampling.repetition_penalty != 1:
            factor = np.float32(sampling.repetition_penalty)
            lowered = np.where(logits < 0, logits * factor, logits / factor)
            logits = np.where(said | self._prompt, lowered, logits)
        if sampling.frequency_penalty:
            logits = logits - np.float32(sampling.frequency_penalty) * counts
        if sampling.presence_penalty:
            logits = logits - np.float32(sampling.presence_penalty) * said
        return logits

    def say(self, tokens: Mapping[int, int]) -> None:
        """Count one more token for some rows: row -> token."""
        for row, token in tokens.items():
            self._answers[row, token] += 1

    def keep(self, rows: Sequence[int]) -> None:
        """Drop all other rows."""
        self._answers = self._answers[list(rows)]

    def row(self, number: int) -> SaidCounts:
        """One row alone, as it is now."""
        return SaidCounts(self._prompt, self._answers[number : number + 1])


class ByNumpy:
    """Logits are arrays of float32."""

    def rows(self, logits: Sequence[Floats]) -> Floats:
        first = logits[0]
        if all(one is first for one in logits):
            return np.broadcast_to(first, (len(logits), len(first)))
        return np.stack(logits)

    def joined(self, parts: Sequence[Floats], axis: int) -> Floats:
        return np.concatenate(parts, axis)

    def kept(self, array: Floats) -> Floats:
        return array.copy()

    def states(self, parts: Sequence[Floats]) -> Floats:
        return np.concatenate(parts)

    def bias(self, pairs: Iterable[tuple[int, float]]) -> Bias | None:
        total: dict[int, float] = {}
        for token, value in pairs:
            total[token] = total.get(token, 0.0) + value
        return (np.array(list(total), np.int64), np.array(list(total.values()), np.float32)) if total else None

    def allowed(self, drafts: Sequence[AnswerDraft]) -> Mask | None:
        masks = [draft.allowed() for draft in drafts]
        known = next((mask for mask in masks if mask is not None), None)
        return None if known is None else np.stack([np.ones_like(known) if mask is None else mask for mask in masks])

    def said(self, prompt: Sequence[int], answers: Sequence[Sequence[int]], logits: Floats) -> SaidCounts:
        held = np.zeros(logits.shape[-1], np.bool_)
        held[list(prompt)] = True
        counts = np.zeros((len(answers), logits.shape[-1]), np.float32)
        for row, ids in zip(counts, answers, strict=True):
            np.add.at(row, list(ids), 1)
        return SaidCounts(held, counts)

    def sample(
        self,
        logits: Floats,
        sampling: Sampling,
        bias: Bias | None,
        uniforms: Sequence[float],
        allowed: Mask | None,
        said: SaidCounts | None,
    ) -> tuple[list[int], list[float]]:
        tokens, logprobs = [], []
        for number, (raw, chance) in enumerate(zip(logits, uniforms, strict=True)):
            normaliser = log_normaliser(raw)
            row = raw if said is None else said.penalised(number, raw, sampling)
            if bias is not None or allowed is not None:
                row = row.copy()
            if bias is not None:
                row[bias[0]] += bias[1]
            if allowed is not None:
                row[~allowed[number]] = -np.inf
            token = int(row.argmax()) if sampling.temperature == 0 else _drawn(row, sampling, chance)
            tokens.append(token)
            logprobs.append(float(raw[token] - normaliser))
        return tokens, logprobs

    def likeliest(self, logits: Floats, count: int, allowed: Mask | None = None) -> list[int]:
        row = logits if allowed is None else np.where(allowed[0], logits, -np.inf)
        count = min(count, len(row) if allowed is None else int(allowed[0].sum()))
        if count == 0:
            return []
        least = np.partition(row, -count)[-count]
        ids = np.flatnonzero(row >= least)
        ranked = ids[np.argsort(-row[ids], kind="stable")]
        return [int(token) for token in ranked[:count]]

    def logprobs(self, logits: Floats, ids: Sequence[int]) -> list[float]:
        return [float(row[token] - log_normaliser(row)) for row, token in zip(logits, ids, strict=False)]

    def ranked(self, logits: Floats, ids: Sequence[int], k: int) -> list[Ranked]:
        found: list[Ranked] = []
        for row, token in zip(logits, ids, strict=False):
            normaliser = log_normaliser(row)
            others = [(other, float(row[other] - normaliser)) for other in self.likeliest(row, k)]
            found.append((float(row[token] - normaliser), others))
        return found


def log_normaliser(row: Floats) -> np.float32:
    """The log of the normaliser of logits (vocabulary,). Raises EngineError unless it is finite."""
    highest = row.max()
    normaliser = highest
    if np.isfinite(highest):
        normaliser = highest + np.float32(math.log(np.exp(row - highest).sum(dtype=np.float64)))
    if not np.isfinite(normaliser):
        raise EngineError(
            "the model gave logits that are not numbers",
            where="engine",
            why="no token can be drawn from them",
            fix="check the model's file",
        )
    return np.float32(normaliser)


def _drawn(row: Floats, sampling: Sampling, chance: float) -> int:
    """A token by the inverse CDF over what the filters leave, likeliest first, equal ones by ascending id."""
    with np.errstate(over="ignore"):
        scaled = (row - row.max()) / np.float32(max(sampling.temperature, COLDEST))
    mass = np.exp(scaled)
    whole = mass.sum(dtype=np.float64)
    for depth in DEPTHS:
        ids = np.flatnonzero(scaled >= depth)
        token = _picked(ids, scaled[ids], mass[ids] / whole, len(row), sampling, chance)
        if token is not None:
            return token
    raise AssertionError("the whole ranking always holds the answer")


def _picked(
    ids: NDArray[np.int64], scaled: Floats, mass: NDArray[np.float64], of: int, sampling: Sampling, chance: float
) -> int | None:
    """A token of `ids`, which are the likeliest of a vocabulary; None unless ranking all would give the same."""
    order = np.argsort(-scaled, kind="stable")
    if sampling.top_k:
        if len(ids) < min(sampling.top_k, of):
            return None
        order = order[: sampling.top_k]
    mass = mass[order]
    if sampling.top_k:
        mass = mass / mass.sum()
    kept = mass > 0
    if sampling.top_p < 1:
        kept &= mass.cumsum() - mass < sampling.top_p
    if sampling.min_p > 0:
        kept &= mass >= sampling.min_p * mass[0]
    reached = (mass * kept).cumsum()
    filtered = sampling.top_k > 0 or sampling.top_p < 1 or sampling.min_p > 0
    index = int(np.searchsorted(reached, chance * (reached[-1] if filtered else 1.0), side="right"))
    last = int(kept.sum()) - 1
    known = bool(sampling.top_k) or len(ids) == of or (last if filtered else index) < len(order) - 1
    return int(ids[order[min(index, last)]]) if known else None
