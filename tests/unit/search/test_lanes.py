"""The equivariant gap: what it is by its definition, and what it must not mistake for fairness."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Distribution, TokenPlace, Vocabulary
from ig_guardrail.errors import StrategyError
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.search.fairness.contexts import Verified, VerifiedToken, VerifierContexts
from ig_guardrail.text.counterfactual import paired
from ig_guardrail.types import Append, Node, Sampling, Together
from tests.examples import examples
from tests.unit.search.clerks import END, FAIR, PIECES, SAME, SWAP, Clerk, Law, found, rail

HASHES = st.integers(0, 2**32)


def any_law(seed: int) -> Law:
    """A law without rhyme or reason, in which everything is possible."""

    def law(asked: str, said: str) -> Mapping[str, float]:
        weights = [1 + crc32(f"{seed} {asked} {said} {piece}".encode()) % 97 for piece in (*PIECES, END)]
        return {piece: weight / sum(weights) for piece, weight in zip((*PIECES, END), weights, strict=True)}

    return law


def read(swaps: Sequence[Mapping[str, str]], blocks: Sequence[str | tuple[int, ...]]) -> Any:
    """Work that appends blocks one after the other; what the lanes say of each."""

    def work(root: Node) -> Generator[Any, Any, list[Verified]]:
        lanes = VerifierContexts(FAIR, swaps)
        yield from lanes.open(root)
        node, told = root, []
        for block in blocks:
            (node,) = yield Append(((node, block),))
            told += yield from lanes.verify((node,))
        return told

    return work


def choices(swaps: Sequence[Mapping[str, str]], before: str = "") -> Any:
    """Work that asks for the next tokens after a text."""

    def work(root: Node) -> Generator[Any, Any, list[VerifiedToken]]:
        lanes, node = VerifierContexts(FAIR, swaps), root
        yield from lanes.open(root)
        if before:
            (node,) = yield Append(((root, before),))
            yield from lanes.verify((node,))
        return (yield from lanes.next_tokens(node, 9))

    return work


@settings(max_examples=examples(80), deadline=None)
@given(HASHES, st.lists(st.lists(st.sampled_from(PIECES), min_size=1, max_size=2).map("".join), max_size=4))
def test_the_gap_of_a_block_is_what_it_is_defined_to_be(seed: int, blocks: list[str]) -> None:
    clerk, before = Clerk(any_law(seed)), ""
    for block, one in zip(blocks, found(rail(any_law(seed)), read([SWAP, SAME], blocks)), strict=True):
        own, other = clerk.told({}, before, block), clerk.told(SWAP, before, block)
        assert one.logprob == pytest.approx(own)
        assert one.gap == pytest.approx(abs(own - other) / len(one.node.ids))
        before += block


@settings(max_examples=examples(80), deadline=None)
@given(HASHES, st.sampled_from(["", " ann", " works", " sis", " sister bro", " sister"]))
def test_the_gap_of_a_next_token_is_that_of_a_block_of_one(seed: int, before: str) -> None:
    clerk, law = Clerk(any_law(seed)), any_law(seed)
    for choice in found(rail(law), choices([SWAP], before)):
        piece = clerk.vocabulary.bytes_of(choice.token).decode()
        if piece:
            own, other = clerk.told({}, before, piece), clerk.told(SWAP, before, piece)
            assert (choice.logprob, choice.gap) == (pytest.approx(own), pytest.approx(abs(own - other)))


@settings(max_examples=examples(40), deadline=None)
@given(HASHES, st.lists(st.sampled_from(PIECES), min_size=1, max_size=5))
def test_under_the_swap_that_swaps_nothing_there_is_no_gap_at_any_step(seed: int, blocks: list[str]) -> None:
    one = rail(any_law(seed))
    assert [told.gap for told in found(one, read([SAME], blocks))] == [0.0] * len(blocks)
    assert {choice.gap for choice in found(one, choices([SAME], "".join(blocks)))} == {0.0}


def even_handed(asked: str, said: str) -> Mapping[str, float]:
    """Says the name it was asked about, and works or idles alike for both; but says its name most."""
    name, other = (" ann", " bob") if "ann" in asked else (" bob", " ann")
    if not said or said.endswith((" works", " idles")):
        return {name: 0.9, other: 0.06, END: 0.04}
    return {" works": 0.8, " idles": 0.2} if said.endswith(name) else {" works": 0.3, " idles": 0.7}


def test_naming_somebody_is_free_where_both_are_treated_alike() -> None:
    one = rail(even_handed)
    assert [told.gap for told in found(one, read([SWAP], [" ann", " works", " bob idles"]))] == [0.0] * 3
    assert [choice.gap for choice in found(one, choices([SWAP]))] == [0.0] * 3


def test_a_change_of_an_improbable_token_counts_by_its_ratio() -> None:
    def law(asked: str, said: str) -> Mapping[str, float]:
        rare, often = (1e-4, 0.5) if "ann" in asked else (1e-2, 0.4)
        return {" works": often, " idles": rare, END: 1 - often - rare}

    gaps = {choice.token: choice.gap for choice in found(rail(law), choices([SWAP]))}
    works, idles = PIECES.index(" works"), PIECES.index(" idles")
    assert gaps[idles] == pytest.approx(math.log(100))
    assert gaps[works] == pytest.approx(math.log(1.25))


def test_what_a_lane_holds_impossible_is_not_called_fair() -> None:
    def law(asked: str, said: str) -> Mapping[str, float]:
        return {" works": 0.5, " idles": 0.5} if "ann" in asked else {" works": 1.0}

    gaps = {choice.token: choice.gap for choice in found(rail(law), choices([SWAP]))}
    assert gaps[PIECES.index(" idles")] == math.inf
    assert found(rail(law), read([SWAP], [" idles"]))[0].gap == math.inf


def test_a_verifier_that_reads_other_words_is_an_error_and_no_score() -> None:
    """As one does whose tokens are another model's."""
    root, twin = _node(1, None, (), ""), _node(2, None, (), "")
    lanes = VerifierContexts(FAIR, ())
    opening = lanes.open(root)
    assert isinstance(next(opening), Together)
    with pytest.raises(StopIteration):
        opening.send([twin])
    reading = lanes.verify((_node(3, root, (7,), " works"),))
    assert next(reading) == Append(((twin, (7,)),))
    with pytest.raises(StrategyError, match="the verifier reads other words"):
        reading.send([_node(4, twin, (7,), " idles")])


def _node(number: int, parent: Node | None, ids: tuple[int, ...], text: str) -> Node:
    offsets = (len(text),) * len(ids)
    return Node(number, 0, parent, ids, len(ids), text, offsets, len(text), logprobs=(0.0,) * len(ids))


@dataclass(frozen=True)
class Mumble:
    """Says any token of its vocabulary, at any time, as likely as any other."""

    vocabulary: Vocabulary

    def next_tokens(self, place: TokenPlace) -> Distribution:
        size = self.vocabulary.language.size
        return [(token, 1 / size) for token in range(size)]


EURO = "€".encode()


def test_a_character_that_a_swapped_block_breaks_off_is_read_whole_later() -> None:
    vocabulary = Vocabulary([" ann", " bob", EURO[:2], EURO[2:]])
    told = found(_over(Mumble(vocabulary)), read([SWAP], [(0, 2), (3,)]))
    assert [one.node.text for one in told] == [" ann", " ann€"]
    nats = math.log(vocabulary.language.size)
    assert [one.logprob for one in told] == pytest.approx([-2 * nats, -nats])
    assert [one.gap for one in told] == pytest.approx([nats / 2, nats])


def test_a_lane_whose_words_are_longer_is_not_cut_short() -> None:
    """By `max_tokens`, or by a stop string that only the swapped answer has."""
    vocabulary = Vocabulary([" ann"])
    sampling = Sampling(max_tokens=2, temperature=1.0, top_p=1.0, stop=("zed",))
    told = found(_over(Mumble(vocabulary)), read([paired([("ann", "zed")])], [" ann", " ann"]), sampling)
    assert [each.gap for each in told] == pytest.approx([3 * math.log(vocabulary.language.size)] * 2)


def _over(script: Mumble) -> Guardrail:
    one = rail(any_law(0))
    return one.over(ScriptedEngine(script))
