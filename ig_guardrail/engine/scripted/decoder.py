"""The work of a scripted engine: nodes grown from what a script says."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from ig_guardrail.engine.base import EngineInfo
from ig_guardrail.engine.decoding.answer import AnswerDraft
from ig_guardrail.engine.decoding.contexts import ContextRequest, begin
from ig_guardrail.engine.decoding.messages import FormState
from ig_guardrail.engine.decoding.randomness import uniform
from ig_guardrail.engine.grammar.grammar import Grammars
from ig_guardrail.engine.scripted.script import Biases, Distribution, Script, TokenPlace, pick, shaped
from ig_guardrail.engine.tree import Context, NodeTree, TreeEntry
from ig_guardrail.errors import EngineError, RequestError
from ig_guardrail.types import Draw, Finish, Node, TokenLogprob

TokenIds: TypeAlias = tuple[int, ...]
HiddenState: TypeAlias = Callable[[TokenIds], Sequence[float]]


@dataclass(frozen=True, slots=True)
class ScriptedDecoder:
    """Grows `tree` by a script. What it keeps of a node is the answer's tokens."""

    tree: NodeTree[TokenIds]
    script: Script
    grammars: Grammars
    info: EngineInfo
    hidden: HiddenState | None
    enumerate_lanes: bool

    def open(self, asked: ContextRequest) -> Node:
        """The root of a prompt, or of a twin."""
        root, context = begin(self.tree, asked, self.script.vocabulary.language, self.grammars, self.info)
        if asked.edit is not None:
            raise _no_edits()
        scored = self._score(context, root.root, (), root.ids)
        root = replace(root, logprobs=tuple(scored), hidden=self._states(context, (), root.ids))
        context.account.note(len(asked.prompt.ids) + len(root.ids))
        held = context.rules.replay(root.ids)
        self.tree.plant(root, context, held, root.ids if root.finish is None else None)
        return root

    def extend(self, draws: Sequence[Draw], tokens: int, attempt: int, bias: Biases, ahead: int) -> list[Node]:
        """Blocks of at most `tokens` tokens; see `Engine.extend`."""
        if tokens < 1:
            raise RequestError(f"a block of {tokens} tokens was asked for", where="extend", fix="ask for at least 1")
        self.info.check_ahead(ahead)
        self.script.vocabulary.language.check((token for token, _ in bias), where="bias")
        children = []
        for draw in draws:
            entry, prefix = self.tree.find(draw.node)
            recital = Recital(self.script, entry, prefix, attempt, bias)
            for lane in range(draw.lane, draw.lane + draw.count):
                draft = recital.path(lane, tokens) if self.enumerate_lanes else recital.draw(lane, tokens)
                children.append(self._child(entry, prefix, draft))
        return children

    def expand(self, node: Node, k: int) -> list[Node]:
        """The `k` likeliest one-token children; see `Engine.expand`."""
        entry, prefix = self.tree.find(node)
        return [self._forced(entry, prefix, (token,), None) for token, _ in self.top_logprobs(node, k)]

    def top_logprobs(self, node: Node, k: int) -> list[tuple[int, float]]:
        """The tokens of these, and their log-probabilities; see `Engine.top_logprobs`."""
        entry, prefix = self.tree.find(node)
        options = self.script.next_tokens(_place(entry.context, node.root, prefix))
        allowed = {token for token, _ in within(entry.draft().form, options)}
        said = dict(options)
        ranked = sorted(allowed, key=lambda token: (-said.get(token, 0.0), token))
        return [(token, _log(said.get(token, 0.0))) for token in entry.draft().fitting(ranked, k)]

    def append(self, items: Sequence[tuple[Node, Node | str | tuple[int, ...]]]) -> list[Node]:
        """Forced tokens; see `Engine.append`."""
        children = []
        for node, content in items:
            entry, prefix = self.tree.find(node)
            hurried = content.hurried if isinstance(content, Node) else node.hurried
            children.append(self._forced(entry, prefix, *self._content(node, content), hurried))
        return children

    def logprobs(self, node: Node, ids: Sequence[int]) -> list[float]:
        """Log-probability of each of `ids` in turn after `node`, nats."""
        entry, prefix = self.tree.find(node)
        self.script.vocabulary.language.check(ids, where="token ids")
        entry.context.account.note(len(ids))
        return self._score(entry.context, node.root, prefix, tuple(ids))

    def answer_logprobs(self, node: Node, ids: Sequence[int], k: int) -> list[TokenLogprob]:
        """Log-probabilities with the `k` likeliest beside them; see `Engine.answer_logprobs`."""
        entry, prefix = self.tree.find(node)
        spelled = self.script.vocabulary.bytes_of
        found = []
        for count, (token, logprob) in enumerate(zip(ids, self.logprobs(node, ids), strict=True)):
            options = self.script.next_tokens(_place(entry.context, node.root, (*prefix, *ids[:count])))
            ranked = sorted(options, key=lambda option: (-option[1], option[0]))[:k]
            likeliest = tuple((spelled(other), _log(chance)) for other, chance in ranked)
            found.append(TokenLogprob(spelled(token), logprob, likeliest))
        return found

    def _content(self, after: Node, content: Node | str | tuple[int, ...]) -> tuple[TokenIds, Finish | None]:
        if isinstance(content, Node):
            return content.answer_ids()[after.position :], content.finish
        if isinstance(content, str):
            rules = self.tree.context_of(after).rules
            content = rules.behind_thought(self.script.vocabulary.ids(content), after.position)
        ids = content
        self.script.vocabulary.language.check(ids, where="token ids")
        return ids, None

    def _forced(
        self,
        entry: TreeEntry[TokenIds],
        prefix: TokenIds,
        ids: TokenIds,
        finish: Finish | None,
        hurried: int | None = None,
    ) -> Node:
        draft = entry.draft()
        draft.hurried = hurried
        draft.read_all(ids, finish)
        draft.logprobs += self._score(entry.context, entry.node.root, prefix, tuple(draft.ids))
        return self._child(entry, prefix, draft)

    def _child(self, entry: TreeEntry[TokenIds], prefix: TokenIds, draft: AnswerDraft) -> Node:
        context = entry.context
        ids = tuple(draft.ids)
        context.account.forwards += len(ids)
        context.account.read += len(ids)
        node = draft.node(self.tree.number(), self._states(context, prefix, ids))
        self.tree.grow(context, node, draft.held, (*prefix, *ids) if draft.finish is None else None)
        return node

    def _score(self, context: Context, root: int, prefix: TokenIds, ids: TokenIds) -> list[float]:
        found = []
        for count, token in enumerate(ids):
            place = _place(context, root, (*prefix, *ids[:count]))
            chances = dict(self.script.next_tokens(place))
            found.append(_log(chances.get(token, 0.0)))
        return found

    def _states(self, context: Context, prefix: TokenIds, ids: TokenIds) -> dict[int, list[list[float]]]:
        if self.hidden is None:
            return {}
        states = [list(self.hidden((*prefix, *ids[: count + 1]))) for count in range(len(ids))]
        return {layer: states for layer in context.layers if ids}


@dataclass(frozen=True, slots=True)
class Recital:
    """Blocks from one node, at one attempt."""

    script: Script
    entry: TreeEntry[TokenIds]
    prefix: TokenIds
    attempt: int
    bias: Biases

    def draw(self, lane: int, tokens: int) -> AnswerDraft:
        """A block drawn with the uniforms of its lane. Raises EngineClosed once the request was closed."""
        draft, seed = self.entry.draft(), self.entry.context.sampling.seed
        while draft.finish is None and len(draft.ids) < tokens:
            self.entry.context.account.check_open()
            chance = uniform(seed, draft.position, lane, self.attempt)
            self._read(draft, lane, self._drawn(draft, lane, chance))
        return draft

    def _drawn(self, draft: AnswerDraft, lane: int, chance: float) -> int:
        """A token behind which the answer can be closed: drawn again without those that it cannot, then the way out."""
        passed: set[int] = set()
        options = self._options(lane, tuple(draft.ids), draft.form)
        first = token = draft.due(pick(options, chance))
        if not draft.may_read(token):
            draft.give_up(token)
        while not draft.may_read(token):
            passed.add(token)
            options = self._options(lane, tuple(draft.ids), draft.form, passed) if len(passed) < draft.tries else []
            if not options:
                out = draft.form.way_out(draft.left) if draft.form is not None else None
                return first if out is None else out
            token = pick(options, chance)
        return token

    def path(self, lane: int, tokens: int) -> AnswerDraft:
        """The block that is number `lane` of all possible ones, likeliest first token first."""
        paths = list(self._paths(lane, (), tokens))
        draft = self.entry.draft()
        for token in paths[lane % len(paths)]:
            if draft.finish is None:
                self._read(draft, lane, token)
        return draft

    def _paths(self, lane: int, block: TokenIds, tokens: int) -> Iterator[TokenIds]:
        if len(block) == tokens or (block and block[-1] == self.script.vocabulary.end):
            yield block
            return
        for token, _ in self._options(lane, block, self._form_after(block)):
            yield from self._paths(lane, (*block, token), tokens)

    def _form_after(self, block: TokenIds) -> FormState | None:
        grammar = self.entry.context.rules.grammar
        return grammar.after((*self.prefix, *block)) if grammar else None

    def _options(
        self, lane: int, block: TokenIds, form: FormState | None, passed: Collection[int] = ()
    ) -> list[tuple[int, float]]:
        """What may come next, likeliest first, without tokens that were `passed` over."""
        options = within(form, self.script.next_tokens(self._place(lane, block)), passed)
        context = self.entry.context
        said = (*self.prefix, *block)
        return shaped(options, context.sampling, self.bias, context.prompt.ids, said) if options else []

    def _read(self, draft: AnswerDraft, lane: int, token: int) -> None:
        chances = dict(self.script.next_tokens(self._place(lane, tuple(draft.ids))))
        if draft.read(token):
            draft.logprobs.append(_log(chances.get(token, 0.0)))

    def _place(self, lane: int, block: TokenIds) -> TokenPlace:
        context, root = self.entry.context, self.entry.node.root
        return replace(_place(context, root, (*self.prefix, *block)), lane=lane, attempt=self.attempt)


def within(form: FormState | None, options: Distribution, passed: Collection[int] = ()) -> Distribution:
    """What a form leaves of a distribution. Where that is nothing, all it allows is equally likely.

    A real model gives every token some mass; a script need not.
    """
    if form is None:
        return options
    allowed = form.allowed()
    allowed[list(passed)] = False
    left = [(token, chance) for token, chance in options if allowed[token] and chance > 0]
    total = sum(chance for _, chance in left)
    if left:
        return [(token, chance / total) for token, chance in left]
    open_to = [int(token) for token in allowed.nonzero()[0]]
    return [(token, 1 / len(open_to)) for token in open_to]


def _no_edits() -> EngineError:
    return EngineError(
        "a script has no hidden states to edit",
        where="engine",
        why="what it says does not follow from them",
        fix="steer with a system text (`Twin`), or run a model",
    )


def _place(context: Context, root: int, prefix: TokenIds) -> TokenPlace:
    return TokenPlace(context.prompt, prefix, lane=0, attempt=0, twin=root != context.account.first_root)


def _log(chance: float) -> float:
    return math.log(chance) if chance > 0 else -math.inf
