"""How rows of one context grow: by drawn tokens, step by step, or by forced ones, in a pass or some.

These are generators: they yield the passes they need and are sent what was read, and hold nothing of the model. Whoever
drives them may read the passes of many in one forward, and drops them by closing them.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from ig_guardrail.engine.decoding.answer import AnswerDraft
from ig_guardrail.engine.decoding.arithmetic import Arithmetic, Array, Ranked
from ig_guardrail.engine.decoding.passes import Ahead, Caching, Pass, PassResult, Strand
from ig_guardrail.engine.decoding.prefill import Pace, forced_end, in_pieces
from ig_guardrail.engine.decoding.randomness import uniform
from ig_guardrail.engine.tree import Context

if TYPE_CHECKING:
    from ig_guardrail.engine.early_exit.layers import Exit

R = TypeVar("R")
EngineWork: TypeAlias = Generator[Sequence[Pass[Any]], Sequence[PassResult], R]

RANKED_AT_ONCE = 64  # tokens; their logits are held together


@dataclass(slots=True)
class DecodingRow:
    """One continuation: where it starts, its lane, and what it has become.

    end  what was read of it; None of an answer that ended and is not kept
    """

    context: Context
    start: Any
    draft: AnswerDraft
    lane: int = 0
    hidden: list[Mapping[int, Array]] = field(default_factory=list)
    end: Any = None

    def states(self, arithmetic: Arithmetic) -> dict[int, Array]:
        """layer -> hidden states (tokens of the block, hidden size)."""
        layers = self.hidden[0] if self.hidden else ()
        return {layer: arithmetic.states([step[layer] for step in self.hidden]) for layer in layers}


@dataclass(frozen=True, slots=True)
class Draws:
    """How the tokens of a block are drawn: the attempt, a bias, and by which exit how many are guessed at a time."""

    attempt: int = 0
    bias: Any = None
    exit: Exit | None = None
    ahead: int = 0


@dataclass(frozen=True, slots=True)
class Decoder:
    """Draws and reads rows of one context."""

    caching: Caching[Any]
    arithmetic: Arithmetic
    context: Context

    def draw(self, rows: list[DecodingRow], tokens: int, how: Draws) -> Strand[None]:
        """Sample at most `tokens` tokens for each row."""
        layers = self.context.layers
        room = min(tokens, max(self.context.rules.limit - row.draft.position for row in rows))
        cached = self.caching.start([row.start for row in rows], room)
        logits = self._after([row.start for row in rows])
        active = rows
        said = self._said(rows, logits)
        for _ in range(tokens):
            last = draw_tokens(self.arithmetic, active, logits, how, said)
            reading = [i for i, row in enumerate(active) if i in last and (layers or row.draft.finish is None)]
            self._set_aside(cached, active, reading, logits)
            if not reading:
                return
            active = _select(cached, said, active, reading)
            ahead = self._ahead(active[0], how, said) if len(active) == 1 else None
            read = yield from self._read(cached, active, [[last[i]] for i in reading], ahead)
            logits = read[:, -1]
            going = [i for i, row in enumerate(active) if row.draft.finish is None]
            self._set_aside(cached, active, going, logits)
            if not going:
                return
            logits = logits if len(going) == len(active) else logits[going]
            active = _select(cached, said, active, going)
        for i, row in enumerate(active):
            row.end = cached.freeze(i, self.arithmetic.kept(logits[i]))

    def _set_aside(self, cached: Any, rows: list[DecodingRow], going: Sequence[int], logits: Array) -> None:
        """What was read of the answers that end here, if the next prompt may begin with one of them."""
        context = self.context
        if len(going) == len(rows):
            return
        if self.caching.keeps_answers and context.prompt.cache_salt is not None and context.edit is None:
            for i, row in enumerate(rows):
                if i not in going:
                    row.end = cached.freeze(i, self.arithmetic.kept(logits[i, :0]))

    def force(self, rows: list[DecodingRow], pace: Pace) -> Strand[None]:
        """Read the tokens that the rows' drafts hold already: equally many in each, all or none ended.

        A row alone is read at the pace of prompts. Of a piece's logits no more is kept than the last.
        """
        blocks = [row.draft.ids for row in rows]
        ended = rows[0].draft.finish is not None
        count = len(blocks[0]) - (1 if blocks[0] and ended and not self.context.layers else 0)
        cached: Any = self.caching.start([row.start for row in rows], count) if count or not ended else None
        logits = self._after([row.start for row in rows])[:, None]
        before = len(self.context.prompt.ids) + rows[0].draft.position - len(blocks[0])
        start = 0
        while start < count:
            stop = forced_end(self.caching, pace, before, start, count) if len(rows) == 1 else count
            read = yield from self._read(cached, rows, [block[start:stop] for block in blocks])
            logits = self.arithmetic.joined([logits, read], 1)
            for i, row in enumerate(rows):
                row.draft.logprobs += self.arithmetic.logprobs(logits[i], blocks[i][start:stop])
            logits, start = logits[:, -1:], stop
        for i, row in enumerate(rows):
            row.draft.logprobs += self.arithmetic.logprobs(logits[i], blocks[i][count:])
            if row.draft.finish is None:
                row.end = cached.freeze(i, self.arithmetic.kept(logits[i, -1]))

    def score(self, start: Any, ids: Sequence[int]) -> Strand[list[float]]:
        """Log-probabilities of `ids` after `start`, nats."""
        logits = start.logits[None]
        if len(ids) > 1:
            cached = self.caching.start([start], len(ids) - 1)
            read = yield from self._read(cached, [], [ids[:-1]])
            logits = self.arithmetic.joined([logits, read[0]], 0)
        return self.arithmetic.logprobs(logits, ids)

    def rank(self, start: Any, ids: Sequence[int], k: int) -> Strand[list[Ranked]]:
        """For each of `ids` after `start`: its log-probability, and the `k` likeliest tokens with theirs, nats."""
        found = self.arithmetic.ranked(start.logits[None], ids[:1], k)
        cached = self.caching.start([start], len(ids) - 1) if len(ids) > 1 else None
        for first in range(0, len(ids) - 1, RANKED_AT_ONCE):
            last = min(first + RANKED_AT_ONCE, len(ids) - 1)
            read = yield from self._read(cached, [], [ids[first:last]])
            found += self.arithmetic.ranked(read[0], ids[first + 1 : last + 1], k)
        return found

    def _said(self, rows: list[DecodingRow], logits: Array) -> Any:
        """What the rows' prompt and answers hold; None where no penalty asks for it."""
        if not self.context.sampling.penalises:
            return None
        answers = [row.draft.answer_ids() for row in rows]
        return self.arithmetic.said(self.context.prompt.ids, answers, logits)

    def _ahead(self, row: DecodingRow, how: Draws, said: Any) -> Ahead | None:
        """How the row's tokens will be drawn from here on.

        A form that it has, and what is guessed meanwhile, are left out of account.
        """
        context, position, lane = self.context, row.draft.position, row.lane
        if how.exit is None or how.ahead == 0:
            return None

        def guess(logits: Array, beyond: int) -> int | None:
            chance = uniform(context.sampling.seed, position + beyond, lane, how.attempt)
            (token,), _ = self.arithmetic.sample(logits, context.sampling, how.bias, [chance], None, said)
            return None if token in context.rules.language.end else token

        return Ahead(how.exit, how.ahead, guess)

    def _read(
        self, cached: Any, rows: list[DecodingRow], tokens: Sequence[Sequence[int]], ahead: Ahead | None = None
    ) -> Strand[Array]:
        """One pass over `tokens`; logits (rows, tokens, vocabulary). Notes the rows' hidden states."""
        layers = self.context.layers if rows else ()
        whole = Pass(cached, tokens, len(tokens[0]), layers, self.context.account, self.context.edit, ahead)
        reading = yield from in_pieces(whole, self.caching, self.arithmetic)
        for i, row in enumerate(rows):
            if reading.hidden:
                row.hidden.append({layer: states[i] for layer, states in reading.hidden.items()})
        return reading.logits

    def _after(self, starts: Sequence[Any]) -> Array:
        """Logits (rows, vocabulary) after the prefixes."""
        return self.arithmetic.rows([start.logits for start in starts])


def draw_tokens(
    arithmetic: Arithmetic, rows: Sequence[DecodingRow], logits: Array, how: Draws, said: Any
) -> dict[int, int]:
    """Draw a token for each row; the tokens that became part of an answer, by row.

    Rows of several contexts are drawn alike but for their seeds: by the sampling of the first.
    """
    sampling = rows[0].context.sampling
    uniforms = [uniform(row.context.sampling.seed, row.draft.position, row.lane, how.attempt) for row in rows]
    allowed = arithmetic.allowed([row.draft for row in rows])
    tokens, logprobs = arithmetic.sample(logits, sampling, how.bias, uniforms, allowed, said)
    taken = {}
    for i, row in enumerate(rows):
        due = row.draft.due(tokens[i])
        if due != tokens[i]:
            tokens[i], logprobs[i] = due, arithmetic.logprobs(logits[i : i + 1], [due])[0]
        elif allowed is not None and not row.draft.may_read(tokens[i]):
            row.draft.give_up(tokens[i])
            this = slice(i, i + 1)
            tokens[i], logprobs[i] = _draw_again(
                arithmetic, row, logits[this], how, uniforms[i], allowed[this], tokens[i], said and said.row(i)
            )
        if row.draft.read(tokens[i]):
            row.draft.logprobs.append(logprobs[i])
            taken[i] = tokens[i]
    if said is not None:
        said.say(taken)
    return taken


def _draw_again(
    arithmetic: Arithmetic,
    row: DecodingRow,
    logits: Array,
    how: Draws,
    chance: float,
    allowed: Array,
    token: int,
    said: Any,
) -> tuple[int, float]:
    """Another token in place of one behind which the answer could not be closed; the way out after some tries."""
    draft = row.draft
    for _ in range(draft.tries):
        allowed[0, token] = False
        if not bool(allowed.any()):
            break
        (token,), (logprob,) = arithmetic.sample(logits, row.context.sampling, how.bias, [chance], allowed, said)
        if draft.may_read(token):
            return token, logprob
    out = draft.form.way_out(draft.left) if draft.form is not None else None
    out = token if out is None else out
    return out, arithmetic.logprobs(logits, [out])[0]


def in_step(strands: Sequence[Strand[None]]) -> EngineWork[None]:
    """All strands side by side: each step yields the next pass of every one that goes on."""
    asked: dict[int, Pass[Any]] = {}
    for i, strand in enumerate(strands):
        _advance(strand, i, None, asked)
    while asked:
        places = list(asked)
        readings = yield [asked[i] for i in places]
        asked = {}
        for i, reading in zip(places, readings, strict=True):
            _advance(strands[i], i, reading, asked)


def alone(strand: Strand[R]) -> EngineWork[R]:
    """One strand as work."""
    try:
        one = next(strand)
        while True:
            (reading,) = yield [one]
            one = strand.send(reading)
    except StopIteration as done:
        result: R = done.value
        return result


def _advance(strand: Strand[None], place: int, reading: PassResult | None, asked: dict[int, Pass[Any]]) -> None:
    try:
        asked[place] = next(strand) if reading is None else strand.send(reading)
    except StopIteration:
        return


def _select(cached: Any, said: Any, rows: list[DecodingRow], kept: list[int]) -> list[DecodingRow]:
    if len(kept) == len(rows):
        return rows
    cached.keep(kept)
    if said is not None:
        said.keep(kept)
    return [rows[i] for i in kept]
