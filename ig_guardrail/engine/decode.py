"""The decoding loop: rows of one context and one length, drawn together, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ig_guardrail.engine.answer import Draft
from ig_guardrail.engine.cache import Snapshot, freeze, keep_rows, thaw
from ig_guardrail.engine.passes import Passes
from ig_guardrail.engine.randomness import uniform
from ig_guardrail.engine.sampling import Bias, choose, log_normaliser
from ig_guardrail.engine.tree import Context


@dataclass(slots=True)
class Row:
    """One continuation: where it starts, its lane, and what it has become. `end` stays None if the answer ended."""

    context: Context
    start: Snapshot
    draft: Draft
    lane: int = 0
    hidden: list[Mapping[int, Tensor]] = field(default_factory=list)
    end: Snapshot | None = None

    def states(self) -> dict[int, Tensor]:
        """layer -> hidden states (tokens of the block, hidden size)."""
        layers = self.hidden[0] if self.hidden else ()
        with torch.inference_mode(False):  # plain tensors, which autograd may use
            return {layer: torch.cat([step[layer] for step in self.hidden]) for layer in layers}


@dataclass(frozen=True, slots=True)
class Decoder:
    """Draws and reads rows of one context on one model."""

    passes: Passes
    context: Context

    def draw(self, rows: list[Row], tokens: int, attempt: int, bias: Bias | None) -> None:
        """Sample at most `tokens` tokens for each row. Raises EngineClosed within a step of the request's end."""
        layers = self.context.layers
        cache, logits = thaw(_together(rows))
        active = rows
        for _ in range(tokens):
            last = self._sample(active, logits, attempt, bias)
            reading = [i for i, row in enumerate(active) if i in last and (layers or row.draft.finish is None)]
            if not reading:
                return
            active = self._select(cache, active, reading)
            logits = self._read(cache, active, [[last[i]] for i in reading])[:, -1]
            going = [i for i, row in enumerate(active) if row.draft.finish is None]
            if not going:
                return
            logits = logits if len(going) == len(active) else logits[going]
            active = self._select(cache, active, going)
        for i, row in enumerate(active):
            row.end = freeze(cache, i, logits[i].clone())

    def force(self, rows: list[Row]) -> None:
        """Read the tokens that the rows' drafts hold already, in one pass: equally many in each, all or none ended."""
        blocks = [row.draft.ids for row in rows]
        cache, first = thaw([(row.start, 1) for row in rows])
        ended = rows[0].draft.finish is not None
        count = len(blocks[0]) - (1 if blocks[0] and ended and not self.context.layers else 0)
        logits = first[:, None]
        if count:
            logits = torch.cat([logits, self._read(cache, rows, [block[:count] for block in blocks])], dim=1)
        for i, row in enumerate(rows):
            row.draft.logprobs += logprobs_of(logits[i], row.draft.ids)
            if row.draft.finish is None:
                row.end = freeze(cache, i, logits[i, -1].clone())

    def score(self, start: Snapshot, ids: Sequence[int]) -> list[float]:
        """Log-probabilities of `ids` after `start`, nats."""
        cache, logits = thaw([(start, 1)])
        if len(ids) > 1:
            logits = torch.cat([logits, self._read(cache, [], [ids[:-1]])[0]])
        return logprobs_of(logits, ids)

    def _sample(self, rows: list[Row], logits: Tensor, attempt: int, bias: Bias | None) -> dict[int, int]:
        """Draw a token for each row; the tokens that became part of an answer, by row."""
        sampling = self.context.sampling
        uniforms = [uniform(sampling.seed, row.draft.position, row.lane, attempt) for row in rows]
        tokens, logprobs = choose(logits, sampling, bias, uniforms)
        taken = {}
        for i, row in enumerate(rows):
            if row.draft.read(tokens[i]):
                row.draft.logprobs.append(logprobs[i])
                taken[i] = tokens[i]
        return taken

    def _read(self, cache: object, rows: list[Row], tokens: Sequence[Sequence[int]]) -> Tensor:
        """One pass over `tokens`; logits (rows, tokens, vocabulary). Notes the rows' hidden states."""
        account = self.context.account
        account.check_open()
        account.forwards += 1
        reading = self.passes.read(cache, tokens, len(tokens[0]), self.context.layers if rows else ())
        for i, row in enumerate(rows):
            if reading.hidden:
                row.hidden.append({layer: states[i] for layer, states in reading.hidden.items()})
        return reading.logits

    def _select(self, cache: object, rows: list[Row], kept: list[int]) -> list[Row]:
        if len(kept) == len(rows):
            return rows
        keep_rows(cache, kept, self.passes.device)
        return [rows[i] for i in kept]


def logprobs_of(logits: Tensor, ids: Sequence[int]) -> list[float]:
    """Log-probability of each of `ids` (n,) under the row of `logits` (n or more, vocabulary) before it, nats."""
    if not ids:
        return []
    raw = logits[: len(ids)].float()
    chosen = raw.gather(-1, torch.tensor(ids, device=raw.device)[:, None])[:, 0] - log_normaliser(raw)
    return [float(value) for value in chosen.tolist()]


def _together(rows: Sequence[Row]) -> list[tuple[Snapshot, int]]:
    """Neighbouring rows that start from one snapshot, counted."""
    counted: list[tuple[Snapshot, int]] = []
    for row in rows:
        if counted and counted[-1][0] is row.start:
            counted[-1] = (row.start, counted[-1][1] + 1)
        else:
            counted.append((row.start, 1))
    return counted
