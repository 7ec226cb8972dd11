"""The engine over streams: a token tree of answers that are only read, on the caller's thread or event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import Future
from typing import Any

import pytest

from ig_guardrail.engine.external.engine import StreamedEngine
from ig_guardrail.engine.external.pieces import pieces_of
from ig_guardrail.engine.external.stream import AwaitedReading, PulledReading
from ig_guardrail.errors import EngineClosed, EngineError, RequestError, StreamFailed
from ig_guardrail.types import Draw, Message, Node, Sampling

TEXT = "The sky looks blue because the air scatters light."


class Streams:
    """Answers one to nine, each in turn; which were begun, how far they were pulled, which were closed."""

    def __init__(self, text: str = TEXT, fails_at: int | None = None) -> None:
        self.text, self.fails_at = text, fails_at
        self.pulled: list[int] = []
        self.closed: list[int] = []

    def pull(self) -> PulledReading:
        return PulledReading(self._told())

    def wait(self) -> AwaitedReading:
        return AwaitedReading(self._told_later())

    def _told(self) -> Generator[str, None, None]:
        number = len(self.pulled)
        self.pulled.append(0)
        try:
            for place, letter in enumerate(f"{number + 1}: {self.text}"):
                if place == self.fails_at:
                    raise ConnectionError("gone")
                self.pulled[number] += 1
                yield letter
        finally:
            self.closed.append(number)

    async def _told_later(self) -> AsyncGenerator[str, None]:
        with contextlib.closing(self._told()) as letters:
            for letter in letters:
                await asyncio.sleep(0)
                yield letter


def opened(begin: Callable[[], Any], **sampling: Any) -> tuple[StreamedEngine, Node]:
    engine = StreamedEngine("told", begin)
    root = engine.open(engine.encode((Message("user", "why?"),)), Sampling(**sampling)).result()
    return engine, root


def grown(engine: StreamedEngine, node: Node, *sizes: int) -> Node:
    for size in sizes:
        (node,) = engine.extend([Draw(node)], size).result(0)
    return node


def test_an_answer_is_the_text_of_its_stream_however_it_is_cut() -> None:
    for sizes in ([99], [1] * 10, [4, 4, 4], [3, 90]):
        engine, root = opened(Streams().pull)
        node = grown(engine, root, *sizes)
        assert (node.text, node.finish) == (f"1: {TEXT}", "stop")
        assert len(node.answer_ids()) == node.position == len(pieces_of(node.text))
        assert [node.text[: node.characters_at(i)] for i in (1, 2)] == ["1:", "1: The"]


def test_it_is_read_no_further_than_it_is_asked_for() -> None:
    streams = Streams()
    engine, root = opened(streams.pull)
    assert streams.pulled == []
    grown(engine, root, 2)
    assert streams.pulled == [len("1: The ")]


def test_an_older_node_is_extended_by_the_same_words() -> None:
    engine, root = opened(Streams().pull)
    first = grown(engine, root, 2)
    assert grown(engine, first, 3).ids == grown(engine, first, 3).ids
    assert grown(engine, root, 5).answer_ids() == grown(engine, first, 3).answer_ids()


def test_lanes_and_attempts_are_answers_of_their_own() -> None:
    streams = Streams()
    engine, root = opened(streams.pull)
    first, second = engine.extend([Draw(root, 2)], 3).result(0)
    (again,) = engine.extend([Draw(root)], 3, attempt=1).result(0)
    assert [node.text[0] for node in (first, second, again)] == ["1", "2", "3"]
    assert (len(streams.pulled), engine.forwards(root)) == (3, 3)
    with pytest.raises(EngineError, match="an answer that goes on from other words"):
        engine.extend([Draw(first, 1, lane=1)], 3).result(0)


def test_stop_strings_and_limits_end_an_answer() -> None:
    engine, root = opened(Streams().pull, stop=(" because",))
    node = grown(engine, root, 99)
    assert (node.text[: node.visible], node.finish) == ("1: The sky looks blue", "stop")
    engine, root = opened(Streams().pull, max_tokens=3)
    assert grown(engine, root, 99).finish == "length"


def test_text_can_be_appended_to_be_judged_and_nothing_follows_it() -> None:
    engine, root = opened(Streams().pull)
    (node,) = engine.append([(root, "I stop here.")]).result(0)
    assert (node.text, node.position, node.finish) == ("I stop here.", 3, None)
    with pytest.raises(EngineError, match="an answer that goes on from other words"):
        grown(engine, node, 1)


@pytest.mark.parametrize(
    "ask",
    [
        lambda engine, root: engine.expand(root, 3),
        lambda engine, root: engine.logprobs(root, (1,)),
        lambda engine, root: engine.append([(root, (1, 2))]),
        lambda engine, root: engine.append([(root, root)]),
        lambda engine, root: engine.extend([Draw(root)], 3, bias=((1, -1.0),)),
        lambda engine, root: engine.open(engine.encode((Message("user", "why?"),)), Sampling(), layers=(1,)),
        lambda engine, root: engine.open(engine.encode((Message("user", "why?"),)), Sampling(), twin_of=root),
        lambda engine, root: engine.open(engine.encode((Message("user", "why?"),)), Sampling(grammar="start: /a/")),
    ],
)
def test_what_needs_the_model_itself_is_refused(ask: Callable[[StreamedEngine, Node], Future[Any]]) -> None:
    with pytest.raises(EngineError, match="cannot be had of an answer that is decoded elsewhere"):
        ask(*opened(Streams().pull)).result(0)


def test_prompts_are_told_apart_and_none_may_be_empty() -> None:
    engine, _ = opened(Streams().pull)
    turns = (Message("user", "a b"), Message("user", "c d"), Message("tool", "a b"))
    assert len({engine.encode((turn,)).ids for turn in turns}) == 3
    with pytest.raises(RequestError, match="the conversation is empty"):
        engine.encode(())


def test_closing_the_root_closes_every_stream() -> None:
    streams = Streams()
    engine, root = opened(streams.pull)
    engine.extend([Draw(root, 2)], 3).result(0)
    engine.close(root)
    engine.close(root)
    assert sorted(streams.closed) == [0, 1]
    assert engine.live_nodes() == 0
    with pytest.raises(EngineClosed):
        grown(engine, root, 1)


def test_closing_the_newest_node_closes_its_stream_only() -> None:
    streams = Streams()
    engine, root = opened(streams.pull)
    first, second = engine.extend([Draw(root, 2)], 3).result(0)
    (newer,) = engine.extend([Draw(first)], 3).result(0)
    engine.close(first)
    assert streams.closed == []
    engine.close(newer)
    assert streams.closed == [0]
    (further,) = engine.extend([Draw(second, 1, lane=1)], 3).result(0)
    assert further.text.startswith("2: ")


def test_a_stream_that_breaks_stays_broken() -> None:
    engine, root = opened(Streams(fails_at=9).pull)
    node = grown(engine, root, 1)
    for _ in range(2):
        with pytest.raises(StreamFailed, match="ConnectionError: gone") as failed:
            grown(engine, node, 9)
        assert isinstance(failed.value.__cause__, ConnectionError)


# ------------------------------------------------------------------------------------------------------- event loops


async def drawn(engine: StreamedEngine, node: Node, tokens: int) -> Node:
    (child,) = await asyncio.wrap_future(engine.extend([Draw(node)], tokens))
    return child


async def test_on_an_event_loop_the_answers_are_the_same() -> None:
    streams = Streams()
    engine, root = opened(streams.wait)
    node = root
    while node.finish is None:
        node = await drawn(engine, node, 4)
    assert node.text == f"1: {TEXT}"
    first, second = await asyncio.wrap_future(engine.extend([Draw(root, 2, lane=1)], 3))
    assert (first.text, second.text) == ("2: The sky", "3: The sky")


async def test_on_an_event_loop_too_it_is_read_no_further_than_it_is_asked_for() -> None:
    streams = Streams()
    engine, root = opened(streams.wait)
    node = await drawn(engine, root, 2)
    for _ in range(9):
        await asyncio.sleep(0)
    assert streams.pulled == [len("1: The ")]
    assert (await drawn(engine, node, 1)).text == "1: The sky"
    engine.close(root)


async def test_closing_while_something_is_awaited_closes_the_stream_and_says_so() -> None:
    streams = Streams(text=TEXT * 50)
    readings: list[AwaitedReading] = []
    engine, root = opened(lambda: readings.append(streams.wait()) or readings[-1])
    waiting = engine.extend([Draw(root)], 400)
    while not (streams.pulled and streams.pulled[0]):
        await asyncio.sleep(0)
    engine.close(root)
    with pytest.raises(EngineClosed):
        await asyncio.wrap_future(waiting)
    await readings[0].closed()
    assert streams.closed == [0]


async def test_who_stops_waiting_breaks_nothing() -> None:
    engine, root = opened(Streams().wait)
    task = asyncio.create_task(drawn(engine, root, 4))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await drawn(engine, root, 4)).text == "1: The sky looks"
    engine.close(root)


async def test_on_an_event_loop_too_a_stream_that_breaks_stays_broken() -> None:
    engine, root = opened(Streams(fails_at=9).wait)
    for _ in range(2):
        with pytest.raises(StreamFailed, match="ConnectionError: gone"):
            await drawn(engine, root, 9)
