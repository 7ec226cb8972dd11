"""The work of an engine: opening contexts, and growing nodes by drawn or forced tokens. Generators of passes."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ig_guardrail.engine.base import EngineInfo
from ig_guardrail.engine.decoding.answer import AnswerDraft
from ig_guardrail.engine.decoding.arithmetic import Arithmetic, Array
from ig_guardrail.engine.decoding.contexts import ContextRequest, begin, spell
from ig_guardrail.engine.decoding.decode import (
    Decoder,
    DecodingRow,
    Draws,
    EngineWork,
    alone,
    in_step,
)
from ig_guardrail.engine.decoding.passes import Caching
from ig_guardrail.engine.decoding.prefill import Pace, read_prompt
from ig_guardrail.engine.grammar.grammar import Grammars
from ig_guardrail.engine.text.chat import Chat
from ig_guardrail.engine.text.vocabulary import TokenVocabulary
from ig_guardrail.engine.tree import Context, NodeTree, TreeEntry
from ig_guardrail.errors import RequestError
from ig_guardrail.types import Draw, Node, Prompt, Sampling, TokenLogprob

if TYPE_CHECKING:
    from ig_guardrail.engine.early_exit.layers import Exit

WIDEST = 32  # rows of one pass; more of them take turns, so that others need not wait for all


@dataclass(frozen=True, slots=True)
class TreeOperations:
    """Grows `tree` with what `caching` reads. Everything here runs on one thread."""

    tree: NodeTree[Any]
    caching: Caching[Any]
    arithmetic: Arithmetic
    chat: Chat
    language: TokenVocabulary
    grammars: Grammars
    info: EngineInfo
    pace: Pace
    exit: Exit | None = None

    def open(self, asked: ContextRequest) -> EngineWork[Node]:
        """Read a prompt, and for a twin the answer so far; the root."""
        root, context = begin(self.tree, asked, self.language, self.grammars, self.info)
        answer = root.ids
        rows, reading, cached = yield from alone(read_prompt(self.caching, self.arithmetic, context, answer, self.pace))
        if root.id == context.account.first_root:
            context.account.cached = cached
        logits = reading.logits[0]
        hidden = {
            layer: self.arithmetic.states([states[0, -len(answer) :]]) for layer, states in reading.hidden.items()
        }
        root = replace(root, logprobs=tuple(self.arithmetic.logprobs(logits, answer)), hidden=hidden)
        state = rows.freeze(0, self.arithmetic.kept(logits[-1])) if root.finish is None else None
        self.tree.plant(root, context, context.rules.replay(answer), state)
        return root

    def extend(
        self, draws: Sequence[Draw], tokens: int, attempt: int, bias: Sequence[tuple[int, float]], ahead: int
    ) -> EngineWork[list[Node]]:
        """Sample blocks; see `Engine.extend`."""
        if tokens < 1:
            raise RequestError(f"a block of {tokens} tokens was asked for", where="extend", fix="ask for at least 1")
        self.info.check_ahead(ahead)
        rows = [row for draw in draws for row in self._lanes(draw)]
        strands = []
        for batch in _batches(rows, lambda row: (row.context, row.start.shape)):
            context = batch[0].context
            how = Draws(attempt, self._bias(context, bias), self.exit, ahead)
            strands.append(Decoder(self.caching, self.arithmetic, context).draw(batch, tokens, how))
        yield from in_step(strands)
        return self._children(rows)

    def expand(self, node: Node, k: int) -> EngineWork[list[Node]]:
        """The `k` likeliest one-token children, by the model's own distribution (no bias, temperature 1)."""
        entry, start = self.tree.find(node)
        rows = []
        for token in self._likeliest(entry.draft(), start.logits, k):
            row = DecodingRow(entry.context, start, entry.draft())
            row.draft.read(token)
            rows.append(row)
        return (yield from self._force(rows))

    def top_logprobs(self, node: Node, k: int) -> EngineWork[list[tuple[int, float]]]:
        """The tokens of these children and their log-probabilities, which are known without a pass."""
        entry, start = self.tree.find(node)
        ids = self._likeliest(entry.draft(), start.logits, k)
        yield from ()
        if not ids:  # no token leaves the answer room to end in its form
            return []
        rows = self.arithmetic.rows([start.logits] * len(ids))
        return list(zip(ids, self.arithmetic.logprobs(rows, ids), strict=True))

    def append(self, items: Sequence[tuple[Node, Node | str | tuple[int, ...]]]) -> EngineWork[list[Node]]:
        """Read forced tokens; see `Engine.append`."""
        rows = []
        for node, content in items:
            entry, start = self.tree.find(node)
            rows.append(DecodingRow(entry.context, start, entry.forced(content, self.chat.text_ids)))
        return (yield from self._force(rows))

    def spelled(self, prompt: Prompt, text: str, tokens: int) -> EngineWork[Node]:
        """A text in place of an answer, which is not read; see `TextSpeller.spelled`."""
        asked = ContextRequest(prompt, Sampling(max_tokens=tokens), (), None)
        yield from ()
        return spell(self.tree, asked, text, self.chat.text_ids, self.language, self.grammars, self.info)

    def keep(self, entry: TreeEntry[Any]) -> EngineWork[None]:
        """Have the next prompt begin with an answer; see `AnswerKeeper.keep`."""
        prompt, node = entry.context.prompt, entry.node
        yield from ()
        salt = prompt.cache_salt if self.caching.keeps_answers and entry.context.edit is None else None
        if salt is not None and entry.state is not None:
            self.caching.keep(entry.state, self.caching.pages((*prompt.ids, *node.answer_ids()), salt))

    def logprobs(self, node: Node, ids: Sequence[int]) -> EngineWork[list[float]]:
        """Log-probability of each of `ids` in turn after `node`, nats."""
        entry, start = self.tree.find(node)
        self.language.check(ids, where="token ids")
        return (yield from alone(Decoder(self.caching, self.arithmetic, entry.context).score(start, ids)))

    def answer_logprobs(self, node: Node, ids: Sequence[int], k: int) -> EngineWork[list[TokenLogprob]]:
        """Log-probabilities with the `k` likeliest beside them; see `Engine.answer_logprobs`."""
        entry, start = self.tree.find(node)
        self.language.check(ids, where="token ids")
        ranked = yield from alone(Decoder(self.caching, self.arithmetic, entry.context).rank(start, ids, k))
        spelled = self.language.detokenizer.bytes_of
        return [
            TokenLogprob(spelled(token), logprob, tuple((spelled(other), value) for other, value in likeliest))
            for token, (logprob, likeliest) in zip(ids, ranked, strict=True)
        ]

    def _likeliest(self, draft: AnswerDraft, logits: Array, k: int) -> list[int]:
        """The `k` likeliest tokens behind which the answer can be closed."""
        allowed = self.arithmetic.allowed([draft])
        return draft.fitting(self.arithmetic.likeliest(logits, k + draft.tries, allowed), k)

    def _lanes(self, draw: Draw) -> list[DecodingRow]:
        entry, start = self.tree.find(draw.node)
        return [DecodingRow(entry.context, start, entry.draft(), draw.lane + i) for i in range(draw.count)]

    def _force(self, rows: list[DecodingRow]) -> EngineWork[list[Node]]:
        batches = _batches(rows, _pass_shape)
        decoders = [Decoder(self.caching, self.arithmetic, batch[0].context) for batch in batches]
        yield from in_step([one.force(batch, self.pace) for one, batch in zip(decoders, batches, strict=True)])
        return self._children(rows)

    def _children(self, rows: Sequence[DecodingRow]) -> list[Node]:
        """The rows as nodes of the tree, in order."""
        nodes = []
        for row in rows:
            node = row.draft.node(self.tree.number(), row.states(self.arithmetic))
            self.tree.grow(row.context, node, row.draft.held, row.end)
            nodes.append(node)
        return nodes

    def _bias(self, context: Context, more: Sequence[tuple[int, float]]) -> Any:
        self.language.check((token for token, _ in more), where="bias")
        return self.arithmetic.bias((*context.sampling.logit_bias, *more))


def _pass_shape(row: DecodingRow) -> Hashable:
    """What rows must share to be read in one pass."""
    return row.context, row.start.shape, len(row.draft.ids), row.draft.finish is None


def _batches(rows: Iterable[DecodingRow], shape: Callable[[DecodingRow], Hashable]) -> list[list[DecodingRow]]:
    """Rows of one shape together, at most `WIDEST`; those with several starts first, then in order of appearance.

    A batch with one start may move where its prefix lies; batches in which the prefix is one of several come before.
    """
    batches: dict[Hashable, list[list[DecodingRow]]] = {}
    for row in rows:
        of_shape = batches.setdefault(shape(row), [[]])
        if len(of_shape[-1]) == WIDEST:
            of_shape.append([])
        of_shape[-1].append(row)
    made = [batch for of_shape in batches.values() for batch in of_shape]
    return sorted(made, key=lambda batch: all(row.start is batch[0].start for row in batch))
