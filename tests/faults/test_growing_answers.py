"""An answer that grows by a token costs a token's work: prefixes are numbers, and nothing is read from its start."""

from __future__ import annotations

import itertools
import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ig_guardrail.drive.scoring.scorer import Prefixes, cut_piece
from ig_guardrail.stream.release import tokens_behind
from ig_guardrail.types import Node

numbers = itertools.count(1)


def root() -> Node:
    return Node(next(numbers), 0, None, (), 0, "", (), 0)


def child(parent: Node, ids: tuple[int, ...]) -> Node:
    """A node whose tokens are letters, each of as many characters as its number."""
    text, offsets = parent.text, []
    for token in ids:
        text += "abc"[token] * token
        offsets.append(len(text))
    return Node(next(numbers), 0, parent, ids, parent.position + len(ids), text, tuple(offsets), len(text))


BLOCKS = st.lists(st.lists(st.integers(0, 2), max_size=3).map(tuple), max_size=5)


def grown(blocks: list[tuple[int, ...]]) -> Node:
    node = root()
    for ids in blocks:
        node = child(node, ids)
    return node


@given(st.lists(BLOCKS, min_size=1, max_size=4))
def test_equal_prefixes_have_one_number_and_others_never_share_it(answers: list[list[tuple[int, ...]]]) -> None:
    prefixes = Prefixes()
    known: dict[int, tuple[int, ...]] = {}
    for node in map(grown, answers):
        for position in range(node.position + 1):
            ids = node.answer_ids()[:position]
            assert known.setdefault(prefixes.at(node, position), ids) == ids
    assert len(known) == len(set(known.values()))


def test_a_position_beyond_the_answer_is_an_error() -> None:
    with pytest.raises(ValueError, match="position 4 lies outside"):
        Prefixes().at(grown([(1, 2), (0,)]), 4)


@given(BLOCKS, st.data())
def test_pieces_and_tokens_are_found_from_the_end_as_from_the_start(
    blocks: list[tuple[int, ...]], data: st.DataObject
) -> None:
    node = grown(blocks)
    start = data.draw(st.integers(0, node.position))
    stop = data.draw(st.integers(start, node.position))
    piece = cut_piece(node, start, stop, ended=False)
    assert piece.ids == node.answer_ids()[start:stop]
    assert piece.text == node.text[node.characters_at(start) : node.characters_at(stop)]
    characters = data.draw(st.integers(0, len(node.text)))
    assert tokens_behind(node, characters) == next(
        count for count in range(node.position + 1) if node.characters_at(count) >= characters
    )


def test_the_numbers_of_an_answer_take_memory_by_its_tokens() -> None:
    def held(tokens: int) -> int:
        prefixes, node, kept = Prefixes(), root(), []
        tracemalloc.start()
        for _ in range(tokens):
            node = replace(child(node, (0,)), id=next(numbers))
            kept.append(prefixes.at(node, node.position))
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return size

    assert held(2_000) < 3 * held(1_000)


@pytest.mark.slow
def test_the_texts_of_an_answer_take_memory_by_its_length() -> None:
    def held(blocks: int) -> int:
        node = root()
        tracemalloc.start()
        for _ in range(blocks):
            node = child(node, (2,) * 40)
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return size

    assert held(2_000) < 3 * held(1_000)


@given(st.lists(st.tuples(st.integers(0, 200), st.text(max_size=3)), min_size=1, max_size=80))
def test_every_node_of_a_tree_keeps_the_text_it_was_given(grown: list[tuple[int, str]]) -> None:
    nodes, given_texts = [root()], [""]
    for place, added in grown:
        parent = place % len(nodes)
        text = given_texts[parent] + added
        given_texts.append(text)
        nodes.append(Node(next(numbers), 0, nodes[parent], (1,), nodes[parent].position + 1, text, (len(text),), 0))
    assert [node.text for node in nodes] == given_texts
    assert [replace(node, finish="stop").text for node in nodes] == given_texts


def test_long_paths_keep_their_texts() -> None:
    node, path = root(), []
    for _ in range(100):
        node = child(node, (1,))
        path.append(node)
    assert [one.text for one in path] == ["b" * count for count in range(1, 101)]


def test_a_text_that_is_not_its_parents_going_on_is_kept_as_it_is() -> None:
    node = child(root(), (1, 2))
    other = Node(next(numbers), 0, node, (1,), 3, "xyz", (3,), 3)
    assert (child(other, (1,)).text, other.text, node.text) == ("xyzb", "xyz", "bcc")
