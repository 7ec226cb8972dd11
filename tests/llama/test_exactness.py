"""What is promised bit by bit: a stream is the same alone, in a search, beside other requests, and after a search."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ig_guardrail.types import Draw, Node
from tests.llama.conftest import endless, logprobs, lone, opened, prompt


def test_the_files_are_of_those_that_are_read_as_fast_as_can_be(steady: Any) -> None:
    assert "token by token" not in steady.info.mode


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
def test_the_first_candidate_is_the_unguarded_stream(steady: Any, times: int) -> None:
    root = steady.open(prompt(steady, times), endless(steady)).result()
    plain, first = lone(steady, root), searched(steady, root, 0)
    assert first.answer_ids() == plain.answer_ids()
    assert logprobs(first) == logprobs(plain)
    steady.close(root)


@pytest.mark.parametrize("times", LENGTHS)
def test_a_searched_answer_stands_where_one_stands_that_was_always_there(steady: Any, times: int) -> None:
    """Also what is drawn behind it, though its candidates lay between one another."""
    sampling = endless(steady)
    root = steady.open(prompt(steady, times), sampling).result()
    found = searched(steady, root, 2)
    (forced,) = steady.append([(root, found.answer_ids())]).result()
    twin = steady.open(prompt(steady, times), sampling, twin_of=found).result()
    assert list(forced.logprobs) == logprobs(found) == list(twin.logprobs)
    behind = [logprobs(lone(steady, node, 1))[-8:] for node in (found, forced, twin)]
    assert behind[0] == behind[1] == behind[2]
    steady.close(root)


@pytest.mark.parametrize("times", LENGTHS)
def test_other_requests_move_nothing(steady: Any, times: int) -> None:
    sampling = endless(steady)
    root = steady.open(prompt(steady, times), sampling).result()
    alone = lone(steady, root)
    others = [steady.open(prompt(steady, 2 + number), endless(steady, seed=number)) for number in range(3)]
    beside = [steady.extend([Draw(other.result(), 4)], 12) for other in others]
    again = lone(steady, root)
    closing = [one.result() for one in beside]
    for nodes in closing:
        steady.close(nodes[0].parent)
    assert logprobs(again) == logprobs(alone)
    steady.close(root)


def test_more_threads_than_one_move_nothing(steady_model: str) -> None:
    two, three = (opened(steady_model, threads=count) for count in (2, 3))
    found = []
    for engine in (two, three):
        root = engine.open(prompt(engine, 30), endless(engine)).result()
        found.append(logprobs(lone(engine, root, 1)) + logprobs(searched(engine, root, 1, 1)))
        engine.close(root)
    assert found[0] == found[1]
    three.shutdown()


def test_the_receipt_names_the_numbers_of_keys_and_values(steady_model: str) -> None:
    one, two = (opened(steady_model, threads=count).info.mode for count in (1, 2))
    assert "float16" in one
    assert "bfloat16" not in one
    assert "bfloat16" in two


def test_a_conversation_that_outgrows_its_cells_goes_on_alike(steady: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from ig_guardrail.engine.llama_cpp import cells

    root = steady.open(prompt(steady), endless(steady)).result()
    plain = lone(steady, root, 4, 16)
    monkeypatch.setattr(cells, "SMALLEST", 256)
    monkeypatch.setattr(cells, "SPARE", 16)
    small = steady.open(prompt(steady), endless(steady)).result()
    grown = searched(steady, small, 0, 4, 16, 12)
    assert grown.answer_ids() == plain.answer_ids()
    assert logprobs(grown) == logprobs(plain)
    for one in (root, small):
        steady.close(one)


def test_branches_of_different_lengths_are_read_side_by_side(steady: Any) -> None:
    root = steady.open(prompt(steady), endless(steady)).result()
    one, two = steady.extend([Draw(root, 2)], 5).result()
    (three,) = steady.extend([Draw(one)], 7).result()
    mixed = steady.extend([Draw(two), Draw(root, 2), Draw(three)], 6).result()
    single = [steady.extend([draw], 6).result() for draw in (Draw(two), Draw(root, 2), Draw(three))]
    assert [list(node.logprobs) for node in mixed] == [list(node.logprobs) for nodes in single for node in nodes]
    steady.close(root)


def test_a_prompt_that_begins_as_one_before_is_not_read_again_and_goes_on_alike(steady: Any) -> None:
    whole = prompt(steady, 14)
    fresh = steady.open(whole, endless(steady)).result()
    first = steady.open(replace(prompt(steady, 12), cache_salt="a"), endless(steady)).result()
    again, other = (steady.open(replace(whole, cache_salt=salt), endless(steady)).result() for salt in "ab")
    assert steady.tokens_cached(fresh) == steady.tokens_cached(first) == steady.tokens_cached(other) == 0
    assert 128 <= steady.tokens_cached(again) < len(whole.ids)
    assert steady.tokens_cached(again) + steady.tokens_read(again) == len(whole.ids)
    assert logprobs(lone(steady, again)) == logprobs(lone(steady, fresh))
    twin = steady.open(replace(whole, cache_salt="a"), endless(steady), twin_of=lone(steady, again, 1)).result()
    assert logprobs(twin) == logprobs(lone(steady, fresh, 1))
    for root in (fresh, first, again, other):
        steady.close(root)
