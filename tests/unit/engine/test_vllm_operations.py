"""What is made of what vLLM's worker tells; its requests are made up, and no vLLM is needed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from ig_guardrail.engine.decoding.contexts import ContextRequest
from ig_guardrail.engine.grammar.grammar import Grammars
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.text.chat import chat_of
from ig_guardrail.engine.tree import NodeTree
from ig_guardrail.engine.vllm.operations import Operations, Place
from ig_guardrail.engine.vllm.orders import BlockOutcome, Order
from ig_guardrail.errors import EngineError
from ig_guardrail.types import Draw, Node, Prompt, Sampling
from tests.conformance.engine.tiny import tiny_tokenizer
from tests.conformance.engine.worlds import Babble

WORDS = Babble()
LANGUAGE = WORDS.vocabulary.language
PROMPT = Prompt((), (0, 1, 2))


@dataclass
class Requests:
    """Answers orders with what a test says, and keeps them."""

    answers: list[BlockOutcome | Exception]
    orders: list[tuple[Order, list[int]]] = field(default_factory=list)
    fresh: list[bool] = field(default_factory=list)
    dropped: list[Any] = field(default_factory=list)

    def key(self) -> str:
        return "one"

    async def alone(self, order: Order, ids: Sequence[int], salt: str, fresh: bool = False) -> BlockOutcome:
        self.orders.append((order, list(ids)))
        self.fresh.append(fresh)
        await asyncio.sleep(0)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def within(self, session: Any, order: Order, ids: list[int], salt: str) -> tuple[BlockOutcome, Any]:
        return await self.alone(order, ids, salt), Session()

    def drop(self, session: Any) -> None:
        self.dropped.append(session)


class Session:
    """A session that a test knows nothing of."""

    behind: Node | None = None


def operations(*answers: BlockOutcome | Exception) -> tuple[Operations, Requests]:
    requests = Requests(list(answers))
    info = replace(ScriptedEngine(WORDS, context=160, hidden=lambda _: [0.0]).info, mode="vllm")
    grammars = Grammars(LANGUAGE, WORDS.vocabulary.ids)

    async def prepare(layers: Sequence[int], grammar: str | None) -> None:
        return

    chat = chat_of(tiny_tokenizer())
    return Operations(NodeTree(), requests, chat, LANGUAGE, grammars, info, 32, prepare), requests  # type: ignore[arg-type]


async def rooted(made: Operations, layers: tuple[int, ...] = ()) -> Node:
    return await made.open(ContextRequest(PROMPT, Sampling(max_tokens=9), layers, None))


async def test_a_block_that_reads_otherwise_than_it_was_told_is_an_error() -> None:
    for told in (
        BlockOutcome("one", (3, 4), (-1.0, -1.0), "length"),
        BlockOutcome("one", (3, WORDS.vocabulary.end), (-1.0, -1.0)),
    ):
        made, _ = operations(told)
        root = await rooted(made)
        with pytest.raises(EngineError, match="reads as ended with"):
            await made.extend([Draw(root, lane=1)], 2, 0, (), 0)


async def test_the_worker_ends_thoughts_in_time_for_the_form() -> None:
    made, requests = operations(BlockOutcome("one", (3,), (-1.0,)))
    root = await rooted(made)
    entry, _ = made.tree.find(root)
    context = replace(entry.context, rules=replace(entry.context.rules, reasoning=4))  # of 9, the rest is the form's
    made.tree.plant(root, context, entry.held, Place())
    await made.extend([Draw(root, lane=1)], 1, 0, (), 0)
    assert requests.orders[0][0].sampling.max_reasoning_tokens == 4


async def test_a_calm_stream_goes_on_with_the_token_that_is_known() -> None:
    made, requests = operations(
        BlockOutcome("one", (3, 4), (-1.0, -1.0), further=(5, -0.5)),
        BlockOutcome("one", (5, 6), (-0.5, -1.0), steps=2, read=2),
    )
    root = await rooted(made, (1,))
    (first,) = await made.extend([Draw(root)], 2, 0, (), 0)
    (second,) = await made.extend([Draw(first)], 2, 0, (), 0)
    (_, (order, ids)) = requests.orders
    assert (ids, order.begun, order.start, order.further) == ([0, 1, 2, 3, 4, 5], (-0.5,), 2, True)
    assert second.answer_ids() == (3, 4, 5, 6)


async def test_an_end_that_is_known_takes_no_pass() -> None:
    made, requests = operations(BlockOutcome("one", (3,), (-1.0,), further=(WORDS.vocabulary.end, 0.0)))
    root = await rooted(made, (1,))
    (first,) = await made.extend([Draw(root)], 1, 0, (), 0)
    (ended,) = await made.extend([Draw(first)], 4, 0, (), 0)
    assert (ended.finish, ended.ids, len(requests.orders)) == ("stop", (), 1)


async def test_the_session_ends_where_candidates_are_drawn() -> None:
    made, requests = operations(
        BlockOutcome("one", (3,), (-1.0,)), *(BlockOutcome("one", (token,), (-1.0,)) for token in (4, 5))
    )
    root = await rooted(made)
    (first,) = await made.extend([Draw(root)], 1, 0, (), 0)
    await made.extend([Draw(first, 2)], 1, 0, (), 0)
    assert [order.lane for order, _ in requests.orders[1:]] == [0, 1]
    assert [type(session) for session in requests.dropped] == [Session]


async def test_forced_tokens_are_read_anew_where_kept_ones_would_hide_them() -> None:
    made, requests = operations(*(BlockOutcome("one", (3,) * count, (-1.0,) * count) for count in (2, 40)))
    root = await made.open(ContextRequest(PROMPT, Sampling(max_tokens=99), (), None))
    await made.append([(root, (3,) * 2)])
    await made.append([(root, (3,) * 40)])
    assert requests.fresh == [False, True]


async def test_the_first_error_ends_the_other_candidates() -> None:
    made, _ = operations(EngineError("it broke", where="engine"), BlockOutcome("one", (3,), (-1.0,)))
    root = await rooted(made)
    with pytest.raises(EngineError, match="it broke"):
        await made.extend([Draw(root, 2)], 1, 0, (), 0)
    assert made.tree.live_nodes() == 1
