"""An answer is the same, bit for bit, whatever of its prompt was read for others, and in whatever pieces."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ig_guardrail.engine.decoding.prefill import SHORTEST, piece_end
from ig_guardrail.engine.kv.attention import TILE
from ig_guardrail.engine.kv.laying_out import lay_out
from ig_guardrail.engine.kv.prompt_cache import PromptCache
from ig_guardrail.engine.kv.shared import CHUNK, FINE, Sharing
from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.types import Draw, Node, Prompt, Sampling
from tests.conformance.engine.tiny import tiny_weights
from tests.examples import examples

LENGTHS = st.integers(1, 5 * TILE)
SALTS = st.sampled_from([None, "", "a"])


@pytest.fixture(scope="module", params=[torch.float32, torch.bfloat16], ids=["by tiles", "by tokens"])
def engines(request: pytest.FixtureRequest) -> Iterator[tuple[TransformersEngine, TransformersEngine]]:
    """One that keeps a few prompts, so that it forgets some, and one that keeps none."""
    weights = tiny_weights(context=2000, head_dim=16)
    weights.model.to(request.param)
    lay_out(weights.model)
    page = 2 * 2 * 2 * 16 * request.param.itemsize * TILE  # layers, keys and values, key heads, size, bytes, tokens
    caching = TransformersEngine(weights, lambda model: Sharing(model, PromptCache(12 * page)))
    plain = TransformersEngine(weights, Sharing)
    yield caching, plain
    caching.shutdown()
    plain.shutdown()


def set_pace(engine: TransformersEngine, tiles: int) -> None:
    """Pieces of so many tiles, where their length changes no bit: with several threads float32 needs whole ones."""
    engine._operations.pace.usual = tiles * TILE if engine._operations.caching.tile <= TILE else CHUNK


def draws_alike(engine: TransformersEngine) -> bool:
    """Whether drawn tokens have the bits of a prompt's."""
    return bool(engine._operations.caching._inner.keeps_answers)  # type: ignore[attr-defined]


def answered(engine: TransformersEngine, ids: list[int], salt: str | None, again: bool) -> tuple[Node, int]:
    prompt = Prompt((), tuple(ids), cache_salt=salt)
    root = engine.open(prompt, Sampling(seed=3, max_tokens=12), (1, 2)).result()
    (node,) = engine.extend([Draw(root)], 6).result()
    if again and node.finish is None:  # a twin reads prompt and answer
        twin = engine.open(prompt, Sampling(seed=3, max_tokens=12), (1, 2), twin_of=node).result()
        (node,) = engine.extend([Draw(twin)], 3).result()
    cached = engine.tokens_cached(root)
    engine.close(root)
    return node, cached


@given(
    asked=st.lists(st.tuples(st.integers(0, 2), LENGTHS, LENGTHS, SALTS, st.booleans()), min_size=1, max_size=6),
    pieces=st.tuples(st.integers(1, 4), st.integers(1, 4)),
)
@settings(deadline=None, max_examples=examples(40))
def test_answers_are_those_of_an_engine_without_a_prompt_cache(
    engines: tuple[TransformersEngine, TransformersEngine],
    asked: list[tuple[int, int, int, str | None, bool]],
    pieces: tuple[int, int],
) -> None:
    for engine, tiles in zip(engines, pieces, strict=True):
        set_pace(engine, tiles)
    for number, shared, own, salt, again in asked:
        ids = [3 + (i * (number + 1)) % 20 for i in range(shared)] + [5 + (i * 7) % 11 for i in range(own)]
        (ours, cached), (theirs, none) = (answered(engine, ids, salt, again) for engine in engines)
        assert none == 0
        assert cached % FINE == 0
        assert cached <= max(0, len(ids) - SHORTEST)
        assert cached == 0 or salt is not None
        assert (ours.ids, ours.logprobs, ours.finish) == (theirs.ids, theirs.logprobs, theirs.finish)
        for layer, states in ours.hidden.items():
            assert bool((states == theirs.hidden[layer]).all())


@given(
    asked=st.integers(1, 4 * TILE),
    turns=st.lists(st.tuples(st.integers(1, 12), st.integers(1, 4), st.integers(0, 9)), min_size=1, max_size=4),
)
@settings(deadline=None, max_examples=examples(40))
def test_answers_of_a_conversation_are_not_read_again_where_that_changes_no_bit(
    engines: tuple[TransformersEngine, TransformersEngine], asked: int, turns: list[tuple[int, int, int]]
) -> None:
    """Of each turn: tokens drawn, candidates of its last block, and tokens forced before it, beside as many others."""
    ids = tuple(3 + (i * 7) % 20 for i in range(asked))
    salt, before = f"{asked} {turns}", 0
    for tokens, candidates, forced in turns:
        prompt, sampling = Prompt((), ids, cache_salt=salt), Sampling(seed=5, max_tokens=tokens + forced)
        made: list[tuple[Node, Node, int]] = []
        for engine in engines:
            root = engine.open(prompt, sampling, (1, 2)).result()
            begun, _ = engine.append([(root, tuple(range(4 + i, 4 + i + forced))) for i in (0, 1)]).result()
            (half,) = engine.extend([Draw(begun)], tokens // 2).result() if tokens > 1 else (begun,)
            *_, last = engine.extend([Draw(half, candidates)], tokens).result() if half.finish is None else (half,)
            made.append((half, last, engine.tokens_cached(root)))
            engine.keep(last)
            engine.close(root)
        (*ours, cached), (*theirs, none) = made
        for one, other in zip(ours, theirs, strict=True):
            assert (one.ids, one.logprobs, one.finish) == (other.ids, other.logprobs, other.finish)
            assert all(bool((states == other.hidden[layer]).all()) for layer, states in one.hidden.items())
        known = max(0, min(before, len(ids) - SHORTEST)) // FINE * FINE
        assert none == 0
        assert cached == known or not draws_alike(engines[0])
        said = ours[1].answer_ids()
        before = len(ids) + len(said)
        ids = (*ids, *said, 2, 5, 6)


@given(
    asked=st.integers(1, 70),
    said=st.integers(1, CHUNK + 5 * TILE),
    pieces=st.tuples(st.integers(1, 4), st.integers(1, 4)),
)
@settings(deadline=None, max_examples=examples(30))
def test_forced_texts_are_the_same_in_whatever_pieces(
    engines: tuple[TransformersEngine, TransformersEngine], asked: int, said: int, pieces: tuple[int, int]
) -> None:
    made = []
    for engine, tiles in zip(engines, pieces, strict=True):
        set_pace(engine, tiles)
        prompt = Prompt((), tuple(3 + i % 20 for i in range(asked)))
        root = engine.open(prompt, Sampling(seed=3, max_tokens=1000), (1, 2)).result()
        (node,) = engine.append([(root, tuple(5 + (i * 7) % 11 for i in range(said)))]).result()
        (drawn,) = engine.extend([Draw(node)], 4).result()
        made.append((node.logprobs, node.hidden, drawn.ids, drawn.logprobs))
        engine.close(root)
    (ours, mine, *after), (theirs, other, *behind) = made
    assert (ours, after) == (theirs, behind)
    assert len(ours) == said
    for layer, states in mine.items():
        assert bool((states == other[layer]).all())


def test_a_prompt_that_another_request_reads_is_read_once(
    engines: tuple[TransformersEngine, TransformersEngine],
) -> None:
    engine, _ = engines
    engine._operations.pace.usual = TILE
    prompt = Prompt((), tuple([4, 8, 9, 6, 7] * 70), cache_salt="together")
    opened = [engine.open(prompt, Sampling()) for _ in range(4)]
    roots = [one.result() for one in opened]
    read = sum(engine.tokens_read(root) for root in roots)
    assert len(prompt.ids) <= read <= len(prompt.ids) + 3 * (TILE + SHORTEST)
    for root in roots:
        engine.close(root)


def test_tenants_and_those_who_opt_out_share_nothing(engines: tuple[TransformersEngine, TransformersEngine]) -> None:
    engine, _ = engines
    ids = [4, 9] * 60
    found = [answered(engine, ids, salt, False)[1] for salt in ("x", "y", None, "x", None)]
    assert [bool(cached) for cached in found] == [False, False, False, True, False]


@given(st.integers(0, 600), st.integers(1, 600), st.integers(1, 4))
def test_no_piece_is_short_but_of_a_short_prompt(start: int, more: int, tiles: int) -> None:
    count = start + more
    stop = piece_end(start, count, tiles * TILE)
    assert start < stop <= count
    assert stop == count or (stop - start == tiles * TILE and count - stop >= SHORTEST)
    assert stop - start >= min(SHORTEST, more)
