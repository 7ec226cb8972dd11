"""How a prompt is read: in pieces, so that others are served in between, and without what the prompt cache has of it.

Where a piece begins and ends changes nothing of what is read, if it begins at a multiple of the caching's `tile` and
has `shortest` tokens of the prompt at least: kernels for few rows may round otherwise. So an answer is the same with
the prompt cache and without, bit for bit, and whoever else is served; and a prompt is read alike whether an answer
stands behind it or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ig_guardrail.engine.decoding.arithmetic import Arithmetic, Array
from ig_guardrail.engine.decoding.passes import Caching, Pass, PassResult, Strand
from ig_guardrail.engine.tree import Context

SHORTEST = 9  # tokens of a piece, but of a prompt that is shorter itself; 4-bit weights read up to 8 rows otherwise
BESIDE = 32  # tokens of a piece while streams wait for the next of theirs


@dataclass(slots=True)
class Pace:
    """How long the pieces of prompts are: `usual` tokens, or `beside` while streams wait, which the scheduler says."""

    usual: int
    beside: int
    streams_wait: bool = False

    def piece(self) -> int:
        """Tokens of the next piece."""
        return self.beside if self.streams_wait else self.usual


def pace_of(caching: Caching[Any]) -> Pace:
    """The paces at which pieces of any length give the same bits."""
    return Pace(caching.piece, min(caching.piece, max(caching.tile, BESIDE)))


def read_prompt(
    caching: Caching[Any], arithmetic: Arithmetic, context: Context, answer: tuple[int, ...], pace: Pace
) -> Strand[tuple[Any, PassResult, int]]:
    """Read the prompt, and an answer behind it.

    Gives the row, what was read of the prompt's last token and the answer, and how many tokens the prompt cache had.
    What prompts of the same salt began with is not read again, be it that another request reads it meanwhile.
    """
    prompt, account = context.prompt.ids, context.account
    ids = (*prompt, *answer)
    rows, at, cached = caching.empty(len(ids), len(prompt) + context.rules.limit), 0, 0
    pages = _pages(caching, context, max(0, len(prompt) - caching.shortest))
    while True:
        found = caching.recall(rows, pages)
        at += found
        cached += found
        stop = piece_end(at, len(prompt), pace.piece(), caching.shortest)
        if stop == len(prompt):
            break
        reading = yield Pass(rows, [ids[at:stop]], 1, (), account, pages=pages)
        cached += 0 if reading.read is None else stop - at
        at = stop
    layers = context.layers if answer else ()
    whole = Pass(rows, [ids[at:]], len(answer) + 1, layers, account, context.edit, pages=pages)
    reading = yield from in_pieces(whole, caching, arithmetic, pace.piece())
    return rows, reading, cached


def _pages(caching: Caching[Any], context: Context, tokens: int) -> Sequence[bytes]:
    """The first `tokens` tokens of the prompt, as the prompt cache knows them; () where it must not."""
    salt = context.prompt.cache_salt
    return () if salt is None else caching.pages(context.prompt.ids[:tokens], salt)


def in_pieces(
    whole: Pass[Any], caching: Caching[Any], arithmetic: Arithmetic, piece: int | None = None
) -> Strand[PassResult]:
    """A pass in pieces of about `piece` tokens, so that others are read in between; what was wanted, joined.

    What stands before the wanted tokens is cut as if nothing stood behind it. piece: the caching's own, if left out
    """
    count, piece = len(whole.tokens[0]), piece or caching.piece
    before = count - whole.keep + 1

    def end(start: int) -> int:
        last = piece_end(start, before, piece, caching.shortest) == before
        return piece_end(start, count, max(piece, before - start) if last else piece, caching.shortest)

    if end(0) == count:
        return (yield whole)
    logits: list[Array] = []
    hidden: dict[int, list[Array]] = {layer: [] for layer in whole.layers}
    start = 0
    while start < count:
        stop = end(start)
        wanted = max(0, stop - max(start, count - whole.keep))
        tokens = [row[start:stop] for row in whole.tokens]
        edit = whole.edit if wanted else None
        reading = yield Pass(whole.rows, tokens, max(1, wanted), whole.layers, whole.account, edit, pages=whole.pages)
        if wanted:
            logits.append(reading.logits)
        for layer, states in reading.hidden.items():
            hidden[layer].append(states)
        start = stop
    return PassResult(arithmetic.joined(logits, 1), {layer: arithmetic.joined(s, 1) for layer, s in hidden.items()})


def piece_end(start: int, count: int, piece: int, shortest: int = SHORTEST) -> int:
    """Where a piece ends that begins at `start` of `count` tokens; none leaves fewer than `shortest` behind it."""
    return count if count - start < piece + shortest else start + piece
