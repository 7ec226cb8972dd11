"""Blocks as they grow inside vLLM's worker: each token is drawn here, from the logits that vLLM has computed.

So a token is a function of (seed, position, lane, attempt) and of nothing that vLLM batches, forms and endings are
ours, and what is told of a block is what was drawn. Knows nothing of vLLM: it is given logits and states, row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor

from ig_guardrail.engine.decoding.answer import AnswerDraft, AnswerRules
from ig_guardrail.engine.decoding.arithmetic import Ranked
from ig_guardrail.engine.decoding.by_torch import ByTorch, log_normaliser
from ig_guardrail.engine.decoding.decode import RANKED_AT_ONCE, DecodingRow, Draws, draw_tokens
from ig_guardrail.engine.decoding.messages import messages_of
from ig_guardrail.engine.decoding.penalties import SaidTokens
from ig_guardrail.engine.grammar.grammar import Grammars
from ig_guardrail.engine.text.detokenize import Held
from ig_guardrail.engine.text.vocabulary import TokenVocabulary
from ig_guardrail.engine.tree import Context, RequestUsage
from ig_guardrail.engine.vllm.orders import BlockOutcome, Order, digest, read_order
from ig_guardrail.errors import EngineError
from ig_guardrail.types import Node, Prompt

KEPT = 256  # answers whose text need not be read again
FORMS = 32  # grammars that are kept

Project: TypeAlias = Callable[[Tensor], Tensor]
"""States before the model's head (n, hidden size) -> logits (n, vocabulary)."""


@dataclass(frozen=True, slots=True)
class Span:
    """What one pass read of one request.

    place   its row among the logits of the pass
    first   the position of its first token
    final   states before the model's head, (tokens, hidden size); hidden: layer -> states
    whole   whether nothing of the request is left to be read
    """

    place: int
    first: int
    final: Tensor
    hidden: Mapping[int, Tensor]
    whole: bool


class OrderRow:
    """One order, and what was read for it so far: states of its tokens, by their place in the block."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.done = False
        self.first = order.prompt + order.start
        self._states: dict[int, dict[int, Tensor]] = {layer: {} for layer in order.layers}
        self._steps = self._read = 0
        self._cached: int | None = None

    def note(self, span: Span, project: Project) -> None:
        """Keep what was read of the block."""
        self._steps += 1
        self._read += len(span.final)
        self._cached = span.first if self._cached is None else self._cached
        for layer, known in self._states.items():
            for at in range(max(span.first, self.first), span.first + len(span.final)):
                known[at - self.first] = span.hidden[layer][at - span.first].clone()

    def has_states(self, count: int) -> bool:
        """Whether the states of the block's first `count` tokens are there."""
        return all(len(known) >= count for known in self._states.values())

    def told(self, count: int) -> BlockOutcome:
        """What is told of a block of so many tokens beside them."""
        self.done = True
        hidden = {
            layer: torch.stack([known[at] for at in range(count)]) if count else torch.empty(0, 0)
            for layer, known in self._states.items()
        }
        return BlockOutcome(self.order.key, steps=self._steps, read=self._read, cached=self._cached or 0, hidden=hidden)


class ForcedRow(OrderRow):
    """Tokens that are there, of which the log-probabilities are wanted."""

    def __init__(self, order: Order, ids: Sequence[int]) -> None:
        super().__init__(order)
        self._ids = list(ids[self.first :])
        self._found: dict[int, Ranked] = {}

    def note(self, span: Span, project: Project) -> None:
        """Also the log-probabilities of its tokens, by the states before each."""
        super().note(span, project)
        begin = max(span.first, self.first - 1)
        stop = min(span.first + len(span.final), self.first - 1 + len(self._ids))
        for at in range(begin, stop, RANKED_AT_ONCE):
            upto, token = min(at + RANKED_AT_ONCE, stop), at + 1 - self.first
            ids = self._ids[token : upto + 1 - self.first]
            found = self._ranked(project(span.final[at - span.first : upto - span.first]), ids)
            self._found |= dict(enumerate(found, token))

    def _ranked(self, logits: Tensor, ids: Sequence[int]) -> list[Ranked]:
        """The log-probability of each token, and the likeliest beside it."""
        arithmetic = ByTorch(logits.device)
        if self.order.likeliest:
            return arithmetic.ranked(logits, ids, self.order.likeliest)
        return [(logprob, []) for logprob in arithmetic.logprobs(logits, ids)]

    def tell(self, logits: Tensor) -> BlockOutcome:
        """All of it; `logits` (vocabulary,) stand behind its last token."""
        count = len(self._ids)
        if len(self._found) != count or not self.has_states(count):
            return BlockOutcome(self.order.key, error=f"vLLM read {len(self._found)} of {count} forced tokens")
        raw = logits.float()[None]
        behind = (raw - log_normaliser(raw)[:, None])[0] if self.order.ranked else None
        found = [self._found[at] for at in range(count)]
        return replace(
            self.told(count),
            ids=tuple(self._ids),
            logprobs=tuple(logprob for logprob, _ in found),
            likeliest=() if self.order.likeliest is None else tuple(tuple(others) for _, others in found),
            ranked=behind,
        )


class DrawnRow(OrderRow):
    """Tokens that are drawn one after another."""

    def __init__(self, order: Order, context: Context, draft: AnswerDraft) -> None:
        super().__init__(order)
        self.row = DecodingRow(context, None, draft, order.lane)
        self._how: Draws | None = None
        self._said: SaidTokens | None = None
        alike = replace(order.sampling, seed=0, stop=(), max_tokens=1, max_reasoning_tokens=None, grammar=None)
        self.kind: Hashable = order.key if alike.penalises else (alike, order.bias, order.attempt)

    @property
    def complete(self) -> bool:
        """Whether the block's tokens are there, and their states."""
        draft = self.row.draft
        return (draft.finish is not None or len(draft.ids) >= self.order.tokens) and self.has_states(len(draft.ids))

    def drawn_by(self, logits: Tensor) -> tuple[Draws, SaidTokens | None]:
        """How its next token is drawn, of `logits` (rows, vocabulary); the same for all rows of its kind."""
        sampling = self.order.sampling
        if self._how is None:
            arithmetic = ByTorch(logits.device)
            self._how = Draws(self.order.attempt, arithmetic.bias((*sampling.logit_bias, *self.order.bias)))
            if sampling.penalises:
                self._said = arithmetic.said(self.row.context.prompt.ids, [self.row.draft.answer_ids()], logits)
        return self._how, self._said

    def tell(self, logits: Tensor, end: int) -> BlockOutcome:
        """All of it; `logits` (vocabulary,) stand behind its last token. The token behind it is drawn if asked for."""
        draft = self.row.draft
        told = replace(
            self.told(len(draft.ids)),
            ids=tuple(draft.ids),
            logprobs=tuple(draft.logprobs),
            finish=draft.finish,
            hurried=draft.hurried,
        )
        if not self.order.further or draft.finish is not None:
            return told
        taken = draw_tokens(ByTorch(logits.device), [self.row], logits[None], *self.drawn_by(logits[None]))
        return replace(told, further=(taken[0], draft.logprobs[-1]) if taken else (end, 0.0))


class Desk:
    """The rows of one worker. tell: where finished ones go."""

    def __init__(self, language: TokenVocabulary, grammars: Grammars, tell: Callable[[BlockOutcome], None]) -> None:
        self.end = min(language.end)
        self._language = language
        self._grammars = grammars
        self._tell = tell
        self._rows: dict[str, OrderRow | str] = {}  # of a row that failed, its key
        self._answers: dict[Any, tuple[Node, Held]] = {}
        self._forms: dict[str, Future[bool]] = {}

    def prepare(self, grammar: str) -> bool:
        """Begin to compile a grammar, beside what is drawn; whether it is there, or is none."""
        if grammar not in self._forms:
            while len(self._forms) >= FORMS:
                del self._forms[next(iter(self._forms))]
            self._forms[grammar] = self._grammars.then(grammar, _there)
        return self._forms[grammar].done()

    def step(
        self,
        asked: Mapping[str, tuple[Mapping[str, Any], Callable[[], Sequence[int]]]],
        spans: Mapping[str, Span],
        logits: Tensor,
        project: Project,
    ) -> dict[str, int]:
        """The next token of each request, by its name: drawn, or the one that ends it.

        asked: the order of each in plain values, and what vLLM has of its tokens; spans: what was read of it
        What goes wrong with one is told of that one.
        """
        self._rows = {name: row for name, row in self._rows.items() if name in asked}
        drawing: dict[Hashable, list[tuple[str, DrawnRow]]] = {}
        for name, (plain, ids) in asked.items():
            try:
                row = self._row(name, plain, ids)
                if row is None or row.done:
                    continue
                row.note(spans[name], project)
                behind = logits[spans[name].place]
                if not spans[name].whole:
                    continue
                if isinstance(row, ForcedRow):
                    self._tell(row.tell(behind))
                elif isinstance(row, DrawnRow) and row.complete:
                    self._finish(row, behind)
                elif isinstance(row, DrawnRow):
                    drawing.setdefault(row.kind, []).append((name, row))
            except Exception as error:  # the worker serves others
                self._fail(name, plain["key"], error)
        tokens = dict.fromkeys(asked, self.end)
        for batch in drawing.values():
            tokens |= self._draw(batch, [spans[name].place for name, _ in batch], logits)
        return tokens

    def _draw(self, batch: list[tuple[str, DrawnRow]], places: list[int], logits: Tensor) -> dict[str, int]:
        """Draw a token for rows of one kind; those whose block is complete are told of."""
        try:
            behind = logits if places == list(range(len(logits))) else logits[places]
            rows = [row.row for _, row in batch]
            taken = draw_tokens(ByTorch(logits.device), rows, behind, *batch[0][1].drawn_by(behind))
            for i, (_, row) in enumerate(batch):
                if row.complete:
                    self._finish(row, behind[i])
        except Exception as error:
            for name, row in batch:
                self._fail(name, row.order.key, error)
            return {}
        return {name: taken.get(i, self.end) for i, (name, _) in enumerate(batch)}

    def _finish(self, row: DrawnRow, logits: Tensor) -> None:
        draft, order = row.row.draft, row.order
        if draft.finish is None:
            self._keep(_answer_key(order, draft.answer_ids()), draft.node(0, {}), draft.held)
        self._tell(row.tell(logits, self.end))

    def _row(self, name: str, plain: Mapping[str, Any], ids: Callable[[], Sequence[int]]) -> OrderRow | None:
        """The row of an order, begun at its first pass; None for one that failed.

        Raises EngineError for an order about other tokens than vLLM has.
        """
        known = self._rows.get(name)
        if known is not None and plain["key"] == (known.order.key if isinstance(known, OrderRow) else known):
            return known if isinstance(known, OrderRow) else None
        order, held = read_order(plain), list(ids())
        if len(held) != order.length or digest(held) != order.check:
            raise EngineError(f"vLLM has {len(held)} tokens of a request, and not the {order.length} it was given")
        row = self._begun(order, held) if order.tokens else ForcedRow(order, held)
        self._rows[name] = row
        return row

    def _begun(self, order: Order, ids: Sequence[int]) -> DrawnRow:
        """The row of a block to be drawn, with those of its tokens that were drawn before."""
        sampling = order.sampling
        grammar = None if sampling.grammar is None else self._grammars.compiled(sampling.grammar)
        limits = sampling.max_reasoning_tokens
        messages = messages_of(self._language, grammar)
        rules = AnswerRules(self._language, sampling.stop, order.limit, grammar, order.opened, limits, messages)
        prompt = Prompt((), tuple(ids[: order.prompt]))
        first = order.prompt + order.start
        draft = AnswerDraft(rules, *self._before(rules, order, tuple(ids[order.prompt : first])))
        for token, logprob in zip(ids[first:], order.begun, strict=True):
            draft.read(token)
            draft.logprobs.append(logprob)
        return DrawnRow(order, Context(RequestUsage(0), prompt, sampling, order.layers, rules), draft)

    def _before(self, rules: AnswerRules, order: Order, answer: tuple[int, ...]) -> tuple[Node, Held]:
        """An answer as it stands before a block, and what is carried; read again where it was not read here."""
        key = _answer_key(order, answer)
        if key not in self._answers:
            free = replace(rules, stop=(), limit=len(answer) + 1, grammar=None, messages=None)
            root = Node(id=0, root=0, parent=None, ids=(), position=0, text="", offsets=(), visible=0)
            draft = AnswerDraft(free, root, free.replay(()))
            draft.read_all(answer, None)
            self._keep(key, draft.node(0, {}), rules.replay(answer))
        return self._answers[key]

    def _keep(self, key: Any, node: Node, held: Held) -> None:
        while len(self._answers) >= KEPT:
            del self._answers[next(iter(self._answers))]
        self._answers[key] = (node, held)

    def _fail(self, name: str, key: str, error: Exception) -> None:
        self._rows[name] = key
        self._tell(BlockOutcome(key, error=f"{type(error).__name__}: {error}"))


def _there() -> Future[bool]:
    there: Future[bool] = Future()
    there.set_result(True)
    return there


def _answer_key(order: Order, answer: tuple[int, ...]) -> Any:
    sampling = order.sampling
    return answer, order.opened, sampling.max_reasoning_tokens, sampling.grammar, sampling.stop
