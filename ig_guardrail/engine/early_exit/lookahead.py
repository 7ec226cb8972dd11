"""Reading ahead: the lower layers guess which tokens come next, and one pass of the upper ones reads all of them.

Self-speculative decoding (M2R2, arXiv 2502.02040) beneath `Caching`: whoever draws tokens asks for one pass a token, as
ever; where the token it drew is the one that was guessed, the answer is known already. Every token is drawn from the
whole model's logits, so the text is the plain one; a wrong guess costs work only. The paper accepts a guess with
probability min(1, p/q); here the guess is drawn with the uniform that the token will be drawn with, and is right or
not. Departure: that keeps the text token for token.

Passes over one token and over several may round differently. Where linear layers give a row the same bits in either,
as the CPU's bfloat16 kernels do, so does reading ahead over shared prefixes, since the upper layers attend token by
token. Elsewhere logits agree up to rounding.

A pass is read ahead only if it says how, and only if its row is alone in its step: with others beside it, reading
together is the better use.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ig_guardrail.engine.decoding.passes import Ahead, Caching, Pass, PassResult, whole
from ig_guardrail.engine.early_exit.layers import Exit, lower_layers, silent, upper_layers
from ig_guardrail.engine.model import Model
from ig_guardrail.errors import ModelError


@dataclass(slots=True)
class Known:
    """What was read ahead: guessed tokens, what was read of each, how many were drawn since, and where they begin."""

    tokens: list[int]
    whole: PassResult
    start: Any
    taken: int = 0

    def take(self) -> PassResult:
        """What was read of the next token: of the first, before any guess, at the first call."""
        place = slice(self.taken, self.taken + 1)
        self.taken += 1
        return PassResult(
            self.whole.logits[:, place], {layer: s[:, place] for layer, s in self.whole.hidden.items()}, 0
        )


class AheadRows:
    """Rows of another caching, `room` more tokens to be read by each, and what is known beyond them."""

    def __init__(self, rows: Any, room: int) -> None:
        self._rows = rows
        self.room = room
        self.known: Known | None = None

    @property
    def count(self) -> int:
        return int(self._rows.count)

    def keep(self, rows: Sequence[int]) -> None:
        self.settled().keep(rows)

    def freeze(self, row: int, logits: Tensor) -> Any:
        return self.settled().freeze(row, logits)

    def mark(self) -> Any:
        return self.settled().mark()

    def back(self, mark: Any, tokens: int) -> None:
        self.settled().back(mark, tokens)

    def rejoin(self, mark: Any, depth: int) -> None:
        self.settled().rejoin(mark, depth)

    def settled(self) -> Any:
        """The rows without what was read ahead and not drawn."""
        if self.known is not None:
            self._rows.back(self.known.start, self.known.taken)
            self.known = None
        return self._rows

    def told(self, token: int) -> PassResult | None:
        """What was read of `token` ahead; None if it was not."""
        known = self.known
        if known is None or known.taken == len(known.tokens) or known.tokens[known.taken] != token:
            return None
        return known.take()


class ReadingAhead:
    """`Caching` over another one: reads guessed tokens with the pass over one that says how they may be guessed."""

    def __init__(self, model: Model, inner: Caching[Any]) -> None:
        self._model = model
        self._inner = inner
        window = getattr(model.config, "sliding_window", None)
        self._most = window - 2 if window else sys.maxsize  # what a window forgets cannot be brought back
        self.piece, self.tile, self.shortest = inner.piece, inner.tile, inner.shortest
        self.name = inner.name

    def empty(self, room: int, reach: int) -> AheadRows:
        return AheadRows(self._inner.empty(room, reach), room)

    def pages(self, ids: Sequence[int], salt: str) -> Sequence[bytes]:
        return self._inner.pages(ids, salt)

    def recall(self, rows: Any, pages: Sequence[bytes]) -> int:
        found = self._inner.recall(rows.settled(), pages)
        rows.room -= found
        return found

    @property
    def keeps_answers(self) -> bool:
        return self._inner.keeps_answers

    def keep(self, prefix: Any, pages: Sequence[bytes]) -> None:
        self._inner.keep(prefix, pages)

    def start(self, prefixes: Sequence[Any], room: int) -> AheadRows:
        return AheadRows(self._inner.start(prefixes, room), room)

    def read(self, passes: Sequence[Pass[Any]]) -> list[PassResult]:
        """What is known already takes no work; a pass that is left alone is read ahead, several are read as ever."""
        fresh: Iterator[PassResult]
        known = [_known(one) for one in passes]
        left = [one for one, reading in zip(passes, known, strict=True) if reading is None]
        if len(left) == 1 and left[0].ahead is not None and self._reach(left[0], left[0].ahead) > 0:
            fresh = iter([self._read_ahead(left[0], left[0].ahead)])
        else:
            fresh = map(whole, self._inner.read([replace(one, rows=_rows(one).settled()) for one in left]))
        for one in passes:
            _rows(one).room -= len(one.tokens[0])
        return [reading or next(fresh) for reading in known]

    def _reach(self, one: Pass[Any], how: Ahead) -> int:
        """How many tokens may be guessed behind a pass."""
        return 0 if not one.is_step else min(how.tokens, _rows(one).room - 1, self._most)

    def _read_ahead(self, one: Pass[Any], how: Ahead) -> PassResult:
        rows = _rows(one).settled()
        start = rows.mark()
        tokens, below = self._draft(one, how, rows)
        drafted, depth = rows.mark(), how.exit.layer
        rows.back(start, 0)
        above = Pass(rows, [tokens], len(tokens), _from(one.layers, depth), one.account, singly=True)
        with upper_layers(self._model.layers, depth, below[depth]):
            (reading,) = map(whole, self._inner.read([above]))
        rows.rejoin(drafted, depth)
        hidden = {**{layer: below[layer] for layer in one.layers if layer < depth}, **reading.hidden}
        known = Known(tokens, PassResult(reading.logits, hidden), start)
        _rows(one).known = known
        return replace(known.take(), read=len(tokens))

    def _draft(self, one: Pass[Any], how: Ahead, rows: Any) -> tuple[list[int], dict[int, Tensor]]:
        """The pass's token and those guessed behind it, and what the lower layers gave of each (1, tokens, size)."""
        depth, most = how.exit.layer, 1 + self._reach(one, how)
        layers = tuple(sorted({*(layer for layer in one.layers if layer < depth), depth}))
        tokens = [one.tokens[0][0]]
        states: list[Mapping[int, Tensor]] = []
        with lower_layers(self._model.layers, how.exit):
            while len(states) < len(tokens) < most:
                reading = self._lower(one, rows, tokens[-1], layers)
                states.append(reading.hidden)
                guess = how.guess(reading.logits[:, -1], len(tokens) - 1)
                tokens += [] if guess is None else [guess]
            if len(states) < len(tokens):
                with silent(self._model.source.get_output_embeddings()):
                    states.append(self._lower(one, rows, tokens[-1], layers).hidden)
        return tokens, {layer: torch.cat([state[layer] for state in states], dim=1) for layer in layers}

    def _lower(self, one: Pass[Any], rows: Any, token: int, layers: tuple[int, ...]) -> PassResult:
        (reading,) = map(whole, self._inner.read([Pass(rows, [[token]], 1, layers, one.account)]))
        return reading


def fitted(way_out: Exit, model: Model) -> Exit:
    """The exit on the model's device. Raises ModelError unless a layer follows it and its adapter fits the states."""
    size, last = model.config.hidden_size, len(model.layers) - 1
    if not (1 <= way_out.layer <= last and way_out.down.shape[1:] == way_out.up.shape[:1] == (size,)):
        raise ModelError(
            f"an exit after layer {way_out.layer}, for states of {way_out.up.shape[0]} numbers, does not fit the model",
            where=str(model.config.name_or_path),
            why=f"its states have {size} numbers, and an exit can follow its layers 1 to {last}",
            fix="train an exit for this model with `ig-guardrail train exit`",
        )
    return Exit(way_out.layer, way_out.down.to(model.device), way_out.up.to(model.device))


def _known(one: Pass[Any]) -> PassResult | None:
    return None if not one.is_step or one.rows.count > 1 else _rows(one).told(one.tokens[0][0])


def _rows(one: Pass[Any]) -> AheadRows:
    rows: Any = one.rows
    return rows  # type: ignore[no-any-return]


def _from(layers: Sequence[int], depth: int) -> tuple[int, ...]:
    return tuple(layer for layer in layers if layer >= depth)
