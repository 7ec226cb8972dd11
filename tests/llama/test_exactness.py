"""What is promised bit by bit: a stream is the same alone, in a search, beside other requests, and after a search."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ig_guardrail.types import Draw, Node
from tests.llama.conftest import MODEL, endless, logprobs, lone, opened, prompt

LENGTHS = [1, 30]  # of prompts, in sentences: the second is behind 512 cells


def searched(engine: Any, root: Node, winner: int, blocks: int = 3, size: int = 8, width: int = 4) -> Node:
    """A search that keeps one candidate of each block."""
    node = root
    for _ in range(blocks):
        found = engine.extend([Draw(node, width)], size).result()
        node = found[winner]
        for other in found:
            if other is not node:
                engine.close(other)
    return node


@pytest.mark.parametrize("times", LENGTHS)
def test_the_first_candidate_is_the_unguarded_stream(real: Any, times: int) -> None:
    root = real.open(prompt(real, times), endless(real)).result()
    plain, first = lone(real, root), searched(real, root, 0)
    assert first.answer_ids() == plain.answer_ids()
    assert logprobs(first) == logprobs(plain)
    real.close(root)


@pytest.mark.parametrize("times", LENGTHS)
def test_a_searched_answer_stands_where_one_stands_that_was_always_there(real: Any, times: int) -> None:
    """Also what is drawn behind it, though its candidates lay between one another."""
    sampling = endless(real)
    root = real.open(prompt(real, times), sampling).result()
    found = searched(real, root, 2)
    (forced,) = real.append([(root, found.answer_ids())]).result()
    twin = real.open(prompt(real, times), sampling, twin_of=found).result()
    assert list(forced.logprobs) == logprobs(found) == list(twin.logprobs)
    behind = [logprobs(lone(real, node, 1))[-8:] for node in (found, forced, twin)]
    assert behind[0] == behind[1] == behind[2]
    real.close(root)


@pytest.mark.parametrize("times", LENGTHS)
def test_other_requests_move_nothing(real: Any, times: int) -> None:
    sampling = endless(real)
    root = real.open(prompt(real, times), sampling).result()
    alone = lone(real, root)
    others = [real.open(prompt(real, 2 + number), endless(real, seed=number)) for number in range(3)]
    beside = [real.extend([Draw(other.result(), 4)], 12) for other in others]
    again = lone(real, root)
    closing = [one.result() for one in beside]
    for nodes in closing:
        real.close(nodes[0].parent)
    assert logprobs(again) == logprobs(alone)
    real.close(root)


def test_threads_move_nothing(real: Any) -> None:
    other = opened(MODEL, threads=2)
    found = []
    for engine in (real, other):
        root = engine.open(prompt(engine, 30), endless(engine)).result()
        found.append(logprobs(lone(engine, root, 1)) + logprobs(searched(engine, root, 1, 1)))
        engine.close(root)
    assert found[0] == found[1]
    other.shutdown()


def test_a_conversation_that_outgrows_its_cells_goes_on_alike(real: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from ig_guardrail.engine.llama_cpp import cells

    root = real.open(prompt(real), endless(real)).result()
    plain = lone(real, root, 4, 16)
    monkeypatch.setattr(cells, "SMALLEST", 256)
    monkeypatch.setattr(cells, "SPARE", 16)
    small = real.open(prompt(real), endless(real)).result()
    grown = searched(real, small, 0, 4, 16, 12)
    assert grown.answer_ids() == plain.answer_ids()
    assert logprobs(grown) == logprobs(plain)
    for one in (root, small):
        real.close(one)


def test_branches_of_different_lengths_are_read_side_by_side(real: Any) -> None:
    root = real.open(prompt(real), endless(real)).result()
    one, two = real.extend([Draw(root, 2)], 5).result()
    (three,) = real.extend([Draw(one)], 7).result()
    mixed = real.extend([Draw(two), Draw(root, 2), Draw(three)], 6).result()
    single = [real.extend([draw], 6).result() for draw in (Draw(two), Draw(root, 2), Draw(three))]
    assert [list(node.logprobs) for node in mixed] == [list(node.logprobs) for nodes in single for node in nodes]
    real.close(root)


def test_a_prompt_that_begins_as_one_before_is_not_read_again_and_goes_on_alike(real: Any) -> None:
    whole = prompt(real, 14)
    fresh = real.open(whole, endless(real)).result()
    first = real.open(replace(prompt(real, 12), cache_salt="a"), endless(real)).result()
    again, other = (real.open(replace(whole, cache_salt=salt), endless(real)).result() for salt in "ab")
    assert real.tokens_cached(fresh) == real.tokens_cached(first) == real.tokens_cached(other) == 0
    assert 128 <= real.tokens_cached(again) < len(whole.ids)
    assert real.tokens_cached(again) + real.tokens_read(again) == len(whole.ids)
    assert logprobs(lone(real, again)) == logprobs(lone(real, fresh))
    twin = real.open(replace(whole, cache_salt="a"), endless(real), twin_of=lone(real, again, 1)).result()
    assert logprobs(twin) == logprobs(lone(real, fresh, 1))
    for root in (fresh, first, again, other):
        real.close(root)
