"""The work of the engine, as `engine.base.Engine` has it, in orders to vLLM's worker."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from torch import Tensor

from ig_guardrail.engine.base import EngineInfo
from ig_guardrail.engine.decoding.answer import AnswerDraft
from ig_guardrail.engine.decoding.by_torch import allowed_tokens, top_logprobs
from ig_guardrail.engine.decoding.contexts import ContextRequest, begin
from ig_guardrail.engine.grammar.grammar import Grammars
from ig_guardrail.engine.text.chat import Chat
from ig_guardrail.engine.text.vocabulary import TokenVocabulary
from ig_guardrail.engine.tree import Context, NodeTree, TreeEntry
from ig_guardrail.engine.vllm.orders import BlockOutcome, Order, digest
from ig_guardrail.errors import EngineError, RequestError
from ig_guardrail.threads.together import together
from ig_guardrail.types import Draw, Node, TokenLogprob

if TYPE_CHECKING:
    from ig_guardrail.engine.vllm.requests import Requests, Session


@dataclass(eq=False)
class Place:
    """What the engine keeps to continue a node.

    session  the session that waits behind it, if one does
    further  the token that comes next on lane 0, if it was drawn already, and its log-probability
    ranked   log-probabilities of all tokens behind it, (vocabulary,), once they were asked for
    """

    session: Session | None = None
    further: tuple[int, float] | None = None
    ranked: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Operations:
    """Grows `tree`. Everything here runs on one event loop.

    block    tokens of one of vLLM's cache blocks
    prepare  has workers ready for a context's layers and grammar
    """

    tree: NodeTree[Place]
    requests: Requests
    chat: Chat
    language: TokenVocabulary
    grammars: Grammars
    info: EngineInfo
    block: int
    prepare: Callable[[Sequence[int], str | None], Awaitable[None]]

    async def open(self, asked: ContextRequest) -> Node:
        """The root; of a twin, with the answer so far read in its context."""
        root, context = begin(self.tree, asked, self.language, self.grammars, self.info)
        if asked.edit is not None:
            raise EngineError(
                "this engine does not edit hidden states",
                where="vLLM",
                why="its kernels read many requests at once, and an edit would be theirs too",
                fix="leave steering out of the policy, or use the engine 'transformers'",
            )
        await self.prepare(asked.layers, asked.sampling.grammar)
        if root.ids:
            told = await self._read(context, (), root.ids)
            root = replace(root, logprobs=told.logprobs, hidden=told.hidden)
        place = Place() if root.finish is None else None
        self.tree.plant(root, context, context.rules.replay(root.ids), place)
        return root

    async def extend(
        self, draws: Sequence[Draw], tokens: int, attempt: int, bias: Sequence[tuple[int, float]], ahead: int
    ) -> list[Node]:
        """Sample blocks; see `Engine.extend`."""
        if tokens < 1:
            raise RequestError(f"a block of {tokens} tokens was asked for", where="extend", fix="ask for at least 1")
        self.info.check_ahead(ahead)
        self.language.check((token for token, _ in bias), where="bias")
        found = [(self.tree.find(draw.node), draw) for draw in draws]
        if len(draws) == 1 and draws[0].count == 1 and draws[0].lane == attempt == 0 and not bias:
            return [await self._go_on(*found[0][0], tokens)]
        work = []
        for (entry, place), draw in found:
            self.requests.drop(place.session)
            place.session = None
            for lane in range(draw.lane, draw.lane + draw.count):
                work.append(self._draw(entry, tokens, lane, attempt, tuple(bias)))
        blocks = await together(work)
        _count([(entry.context, told) for (entry, _), told in blocks])
        return [self._grow(entry, draft, told) for (entry, draft), told in blocks]

    async def expand(self, node: Node, k: int) -> list[Node]:
        """The `k` likeliest one-token children, by the model's own distribution (no bias, temperature 1)."""
        entry, place = self.tree.find(node)
        blocks = []
        for token in self._likeliest(entry.draft(), await self._ranked(entry, place), k):
            draft = entry.draft()
            draft.read(token)
            blocks.append((entry, draft))
        return await self._force(blocks)

    async def top_logprobs(self, node: Node, k: int) -> list[tuple[int, float]]:
        """The tokens of these children and their log-probabilities; a pass tells them, unless one has."""
        entry, place = self.tree.find(node)
        chances = await self._ranked(entry, place)
        return [(token, float(chances[token])) for token in self._likeliest(entry.draft(), chances, k)]

    async def append(self, items: Sequence[tuple[Node, Node | str | tuple[int, ...]]]) -> list[Node]:
        """Read forced tokens; see `Engine.append`."""
        blocks = []
        for node, content in items:
            entry, _ = self.tree.find(node)
            blocks.append((entry, entry.forced(content, self.chat.text_ids)))
        return await self._force(blocks)

    async def logprobs(self, node: Node, ids: Sequence[int]) -> list[float]:
        """Log-probability of each of `ids` in turn after `node`, nats."""
        entry, _ = self.tree.find(node)
        self.language.check(ids, where="token ids")
        if not ids:
            return []
        return list((await self._read(entry.context, node.answer_ids(), tuple(ids), layers=())).logprobs)

    async def answer_logprobs(self, node: Node, ids: Sequence[int], k: int) -> list[TokenLogprob]:
        """Log-probabilities with the `k` likeliest beside them; see `Engine.answer_logprobs`."""
        entry, _ = self.tree.find(node)
        self.language.check(ids, where="token ids")
        if not ids:
            return []
        told = await self._read(entry.context, node.answer_ids(), tuple(ids), layers=(), likeliest=k)
        spelled = self.language.detokenizer.bytes_of
        return [
            TokenLogprob(spelled(token), logprob, tuple((spelled(other), value) for other, value in others))
            for token, logprob, others in zip(ids, told.logprobs, told.likeliest, strict=True)
        ]

    def drop_sessions(self) -> None:
        """End the sessions whose node, or request, was closed."""
        for session in self.requests.open_sessions():
            if not session.busy and (session.behind is None or not self.tree.holds(session.behind)):
                self.requests.drop(session)

    async def _go_on(self, entry: TreeEntry[Place], place: Place, tokens: int) -> Node:
        """The unguarded stream, a block further: in a session, but where a form has to be followed."""
        context, node = entry.context, entry.node
        if context.sampling.grammar is not None:
            (entry, draft), told = await self._draw(entry, tokens, 0, 0, ())
            _count([(context, told)])
            return self._grow(entry, draft, told)
        if place.further is not None and place.further[0] in self.language.end:
            return self._grow(entry, *_replayed(entry, BlockOutcome("", finish="stop")))
        begun = () if place.further is None else (place.further,)
        order, ids = self._order(context, node.answer_ids(), tuple(token for token, _ in begun))
        order = replace(
            order,
            tokens=min(tokens, context.rules.limit - node.position),
            begun=tuple(logprob for _, logprob in begun),
            further=bool(context.layers),
        )
        session, place.session = place.session, None
        told, session = await self.requests.within(session, order, ids, _salt(context))
        _count([(context, told)])
        try:
            draft, told = _replayed(entry, told)
            behind = Place(session, told.further) if draft.finish is None else None
            child = session.behind = self._grow(entry, draft, told, behind)
        except BaseException:
            self.requests.drop(session)
            raise
        if behind is None:
            self.requests.drop(session)
        return child

    async def _draw(
        self, entry: TreeEntry[Place], tokens: int, lane: int, attempt: int, bias: tuple[tuple[int, float], ...]
    ) -> tuple[tuple[TreeEntry[Place], AnswerDraft], BlockOutcome]:
        """One block in a request of its own."""
        context, node = entry.context, entry.node
        order, ids = self._order(context, node.answer_ids(), ())
        room = min(tokens, context.rules.limit - node.position)
        order = replace(order, tokens=room, lane=lane, attempt=attempt, bias=bias)
        draft, told = _replayed(entry, await self.requests.alone(order, ids, _salt(context)))
        return (entry, draft), told

    async def _force(self, blocks: Sequence[tuple[TreeEntry[Place], AnswerDraft]]) -> list[Node]:
        """Read the tokens that drafts hold already."""
        work = [self._read(entry.context, entry.node.answer_ids(), tuple(draft.ids)) for entry, draft in blocks]
        nodes = []
        for (entry, draft), told in zip(blocks, await together(work), strict=True):
            draft.logprobs += told.logprobs
            nodes.append(self._grow(entry, draft, told))
        return nodes

    async def _read(
        self,
        context: Context,
        answer: tuple[int, ...],
        forced: tuple[int, ...],
        layers: tuple[int, ...] | None = None,
        likeliest: int | None = None,
        ranked: bool = False,
    ) -> BlockOutcome:
        """What is told of tokens behind an answer. What vLLM has kept is left aside where it would hide some."""
        if not forced and not ranked:
            return BlockOutcome("")
        order, ids = self._order(context, answer, forced)
        layers = context.layers if layers is None else layers
        order = replace(order, layers=layers, likeliest=likeliest, ranked=ranked)
        kept = (len(ids) - 1) // self.block * self.block
        hidden = bool(forced) and kept > order.prompt + order.start - 1
        told = await self.requests.alone(order, ids, _salt(context), fresh=hidden)
        _count([(context, told)])
        return told

    async def _ranked(self, entry: TreeEntry[Place], place: Place) -> Tensor:
        """Log-probabilities of all tokens behind a node, (vocabulary,); read once."""
        if place.ranked is None:
            told = await self._read(entry.context, entry.node.answer_ids(), (), layers=(), ranked=True)
            if told.ranked is None:
                raise EngineError("vLLM's worker told no ranking", where="engine")
            place.ranked = told.ranked
        return place.ranked

    def _likeliest(self, draft: AnswerDraft, chances: Tensor, k: int) -> list[int]:
        """The `k` likeliest tokens behind which the answer can be closed."""
        return draft.fitting(top_logprobs(chances, k + draft.tries, allowed_tokens([draft])), k)

    def _order(self, context: Context, answer: tuple[int, ...], block: tuple[int, ...]) -> tuple[Order, list[int]]:
        """An order for the tokens behind an answer, and all the tokens that vLLM is given."""
        prompt = context.prompt.ids
        ids = [*prompt, *answer, *block]
        order = Order(
            key=self.requests.key(),
            length=len(ids),
            check=digest(ids),
            prompt=len(prompt),
            start=len(answer),
            tokens=0,
            limit=context.rules.limit,
            sampling=replace(context.sampling, max_reasoning_tokens=context.rules.reasoning),
            opened=context.prompt.opened,
            layers=context.layers,
        )
        return order, ids

    def _grow(
        self, entry: TreeEntry[Place], draft: AnswerDraft, told: BlockOutcome, place: Place | None = None
    ) -> Node:
        """A block as a node of the tree."""
        node = draft.node(self.tree.number(), told.hidden)
        self.tree.grow(entry.context, node, draft.held, (place or Place()) if node.finish is None else None)
        return node


def _replayed(entry: TreeEntry[Place], told: BlockOutcome) -> tuple[AnswerDraft, BlockOutcome]:
    """The block that was told of, read again here. Raises EngineError where that comes to another end."""
    draft = entry.draft()
    for token in told.ids:
        draft.due(token)
        draft.read(token)
    if told.finish == "stop" and draft.finish is None:
        draft.end("stop")
    if draft.finish != told.finish or tuple(draft.ids) != told.ids:
        raise EngineError(
            f"vLLM's worker ended a block with {told.finish}, and it reads as ended with {draft.finish}",
            where="engine",
            why="what is judged must be what was drawn",
        )
    draft.logprobs += told.logprobs
    draft.hurried = told.hurried if told.hurried is not None else draft.hurried
    return draft, told


def _count(blocks: Sequence[tuple[Context, BlockOutcome]]) -> None:
    """Note the passes of blocks that were read side by side."""
    for account in {id(context.account): context.account for context, _ in blocks}.values():
        own = [told for context, told in blocks if context.account is account]
        if account.forwards == 0:
            account.cached = min(told.cached for told in own)
        account.forwards += max(told.steps for told in own)
        account.read += sum(told.read for told in own)


def _salt(context: Context) -> str:
    """Prompts of one salt share what vLLM has read; without one, only this request does."""
    salt = context.prompt.cache_salt
    return f"request {context.account.first_root}" if salt is None else f"salt {salt}"
