"""Sharing against repetition: the same tree, whatever is drawn from where and in which order."""

from __future__ import annotations

import gc
import random
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest
import torch

from ig_guardrail.engine.decoding.passes import Pass
from ig_guardrail.engine.decoding.prefill import BESIDE
from ig_guardrail.engine.kv.copied import Repetition
from ig_guardrail.engine.kv.shared import CHUNK, Sharing, serves
from ig_guardrail.engine.model import Model
from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.engine.tree import RequestUsage
from ig_guardrail.errors import EngineClosed
from ig_guardrail.types import Draw, Message, Node, Sampling
from tests.conformance.engine.tiny import tiny_weights

TURNS = (Message("user", "Tell me about the sea."),)


@pytest.fixture(params=["llama", "qwen3"])
def engines(request: pytest.FixtureRequest) -> Iterator[tuple[TransformersEngine, TransformersEngine]]:
    weights = tiny_weights(context=6000, architecture=request.param)
    both = TransformersEngine(weights, Sharing), TransformersEngine(weights, Repetition)
    yield both
    for engine in both:
        engine.shutdown()


def rooted(engine: TransformersEngine) -> Node:
    sampling = Sampling(temperature=1.0, logit_bias=((262, -1e4),), seed=3, max_tokens=900)
    return engine.open(engine.encode(TURNS), sampling, (1,)).result()


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))])
def test_a_random_tree_is_the_same_by_repetition(
    engines: tuple[TransformersEngine, TransformersEngine], seed: int
) -> None:
    """Blocks, widenings, beams, forced tokens and backing up, in any order, with nodes dropped on the way."""
    luck = random.Random(seed)
    nodes = [[rooted(engine)] for engine in engines]
    for _ in range(25):
        starts = [luck.randrange(len(nodes[0])) for _ in range(luck.choice([1, 1, 1, 3]))]
        draws = [(start, luck.choice([1, 1, 2, 5, 40])) for start in dict.fromkeys(starts)]
        tokens, action, k = (
            luck.choice([1, 3, 8]),
            luck.choice(["extend"] * 4 + ["append", "expand"]),
            luck.randint(1, 4),
        )
        forced = tuple(luck.randrange(256) for _ in range(k))
        made = []
        for engine, known in zip(engines, nodes, strict=True):
            if action == "extend":
                made.append(engine.extend([Draw(known[start], n) for start, n in draws], tokens).result())
            elif action == "append":
                made.append(engine.append([(known[start], forced) for start, _ in draws]).result())
            else:
                made.append(engine.expand(known[draws[0][0]], k).result())
        for mine, theirs in zip(*made, strict=True):
            assert mine.ids == theirs.ids
            assert mine.logprobs == pytest.approx(theirs.logprobs, abs=1e-4)
            assert torch.allclose(mine.hidden[1], theirs.hidden[1], atol=1e-4)
        kept = luck.sample(range(len(made[0])), min(3, len(made[0])))
        dropped = {luck.randrange(1, len(nodes[0])) for _ in range(2)} if len(nodes[0]) > 4 else set()
        for engine, known, new in zip(engines, nodes, made, strict=True):
            for node in [known[i] for i in dropped] + [new[i] for i in range(len(new)) if i not in kept]:
                engine.close(node)
            known[:] = [node for i, node in enumerate(known) if i not in dropped] + [new[i] for i in kept]


@pytest.mark.slow
def test_requests_that_run_beside_others_get_what_they_get_alone(
    engines: tuple[TransformersEngine, TransformersEngine],
) -> None:
    engine = engines[0]
    prompts = [engine.encode((Message("user", text),)) for text in ("Hi.", "Tell me about rivers and the sea.", "Why?")]
    roots = [
        engine.open(prompt, Sampling(temperature=1.0, seed=seed, logit_bias=((262, -1e4),))).result()
        for seed, prompt in enumerate(prompts * 3)
    ]
    alone = [engine.extend([Draw(root, 1 + i % 3)], 12).result() for i, root in enumerate(roots)]
    work = [engine.extend([Draw(root, 1 + i % 3)], 12) for i, root in enumerate(roots)]
    for together, expected in zip(work, alone, strict=True):
        assert [node.ids for node in together.result()] == [node.ids for node in expected]


def test_a_long_prompt_is_read_in_pieces_to_the_same_end(
    engines: tuple[TransformersEngine, TransformersEngine],
) -> None:
    long = (Message("user", "the sea " * CHUNK),)
    sampling = Sampling(temperature=0.0, max_tokens=8)
    drawn = []
    for engine in engines:
        root = engine.open(engine.encode(long), sampling).result()
        drawn.append(engine.extend([Draw(root)], 8).result()[0])
    assert len(engines[0].encode(long).ids) > 2 * CHUNK
    assert drawn[0].ids == drawn[1].ids
    assert drawn[0].logprobs == pytest.approx(drawn[1].logprobs, abs=1e-4)


def test_candidates_hold_their_own_blocks_and_one_prefix() -> None:
    model = Model(tiny_weights(context=4000).model)
    sharing, account = Sharing(model), RequestUsage(0)
    with torch.inference_mode():
        rows = sharing.empty(2000)
        (reading,) = sharing.read([Pass(rows, [[7] * 2000], 1, (), account)])
        prefix = rows.freeze(0, reading.logits[0, -1])
        wide = sharing.start([prefix] * 32, 16)
        for _ in range(16):
            sharing.read([Pass(wide, [[5]] * 32, 1, (), account)])
        ends = [wide.freeze(row, reading.logits[0, -1]) for row in range(32)]
    token = 2 * 2 * 2 * 8 * 4  # layers, keys and values, key heads, size, bytes
    assert wide.branch is not None
    assert wide.branch.untyped_storage().nbytes() == 32 * 16 * token
    assert {end.trunk for end in ends} == {prefix.trunk}
    assert prefix.trunk.bytes() == 2000 * token


def test_models_that_sharing_does_not_serve_are_found_out() -> None:
    assert serves(Model(tiny_weights().model))
    assert not serves(Model(tiny_weights(architecture="gemma3").model))
    odd = tiny_weights().model
    layer: Any = odd.model.layers[1].self_attn
    usual = layer.forward
    layer.forward = lambda *inputs, ig_guardrail_plan=None, **keys: usual(*inputs, **keys)  # it passes nothing on
    assert not serves(Model(odd))


THREE, FIVE = (1, 2, 3), (9, 8, 7, 6, 5)
GROUPS: list[Callable[[TransformersEngine, Node, Node], Future[list[Node]]]] = [
    lambda engine, p, q: engine.append([(p, THREE), (p, FIVE), (q, FIVE)]),
    lambda engine, p, q: engine.append([(p, THREE), (q, FIVE), (p, FIVE)]),
    lambda engine, p, q: engine.append([(p, THREE), (p, THREE[:2]), (q, THREE[:2])]),
    lambda engine, p, q: engine.extend([Draw(p, 40), Draw(q, 5)], 8),
    lambda engine, p, q: engine.extend([Draw(p, 40), Draw(q, 5)], 2),
]


@pytest.mark.parametrize("call", GROUPS)
def test_groups_of_one_call_that_share_a_prefix_do_not_disturb_each_other(
    engines: tuple[TransformersEngine, TransformersEngine],
    call: Callable[[TransformersEngine, Node, Node], Future[list[Node]]],
) -> None:
    """Rows of one start may move its prefix onto the trunk; rows beside another start must not notice."""
    made = []
    for engine in engines:
        p, q = engine.extend([Draw(rooted(engine), 2)], 4).result()
        made.append(call(engine, p, q).result())
    for mine, theirs in zip(*made, strict=True):
        assert mine.ids == theirs.ids
        assert mine.logprobs == pytest.approx(theirs.logprobs, abs=1e-4)


@pytest.mark.slow
def test_a_long_prompt_lets_others_step_in_between() -> None:
    weights = tiny_weights(context=6000)
    engine = TransformersEngine(weights, Sharing)
    shapes: list[tuple[int, ...]] = []
    hook = weights.model.register_forward_pre_hook(
        lambda module, inputs, keys: shapes.append(tuple(keys["input_ids"].shape)), with_kwargs=True
    )
    stream = rooted(engine)
    long = engine.encode((Message("user", "the sea " * 2 * CHUNK),))
    shapes.clear()
    work = engine.extend([Draw(stream)], 200)
    root = engine.open(long, Sampling()).result()
    pieces = [shape[1] for shape in shapes if shape[1] > 1]
    assert len(pieces) == engine.forwards(root)
    assert set(pieces[:-1]) == {BESIDE + 1}  # with the stream's next token
    work.result()
    hook.remove()
    engine.shutdown()


@pytest.mark.slow
def test_a_long_text_that_is_judged_lets_others_step_in_between() -> None:
    weights = tiny_weights(context=6000)
    engine = TransformersEngine(weights, Sharing)
    shapes: list[tuple[int, ...]] = []
    stream, root = rooted(engine), engine.open(engine.encode(TURNS), Sampling(max_tokens=5000)).result()
    hook = weights.model.register_forward_pre_hook(
        lambda module, inputs, keys: shapes.append(tuple(keys["input_ids"].shape)), with_kwargs=True
    )
    work = engine.extend([Draw(stream)], 400)
    while len(shapes) < 5:
        pass
    (node,) = engine.append([(root, "the sea " * 2 * CHUNK)]).result()
    assert not work.done()
    assert len(node.logprobs) == len(node.ids)
    assert max(shape[1] for shape in shapes) == BESIDE + 1  # with the stream's next token
    work.result()
    hook.remove()
    engine.shutdown()


@pytest.mark.slow
def test_a_cancelled_request_frees_its_cache_without_the_collector(
    engines: tuple[TransformersEngine, TransformersEngine],
) -> None:
    engine = engines[0]
    root = rooted(engine)
    (node,) = engine.extend([Draw(root)], 4).result()
    (entry,) = [entry for entry in engine._tree._entries.values() if entry.node is node]
    trunk = weakref.ref(entry.state.trunk)
    del entry
    gc.collect()
    gc.disable()
    try:
        work = engine.extend([Draw(node, 3)], 500)
        while engine.forwards(root) < 10:
            pass
        engine.close(root)
        error = work.exception()
        del work
        engine.extend([Draw(rooted(engine))], 1).result()
        assert isinstance(error, EngineClosed)
        assert trunk() is None
    finally:
        gc.enable()


def test_a_block_reserves_no_more_than_the_answer_may_have() -> None:
    engine = TransformersEngine(tiny_weights(context=6000), Sharing)
    root = engine.open(engine.encode(TURNS), Sampling(max_tokens=20, logit_bias=((262, -1e4),))).result()
    nodes = engine.extend([Draw(root, 4)], 100_000).result()
    assert [node.position for node in nodes] == [20] * 4
    engine.shutdown()


def test_a_prompt_that_nobody_waits_for_any_more_is_read_no_further() -> None:
    engine = TransformersEngine(tiny_weights(context=6000))
    opening: list[Future[Node]] = []
    begun, read = threading.Event(), 0

    def leave(*_: Any) -> None:
        nonlocal read
        begun.wait(10)
        read += 1
        if read == 2:
            opening[0].cancel()

    engine._model.source.register_forward_pre_hook(leave)
    long = engine.encode((Message("user", "sea " * 1_200),))
    opening.append(engine.open(long, Sampling(max_tokens=4)))
    begun.set()
    with pytest.raises(EngineClosed):
        opening[0].result(60)
    assert read == 2
    assert engine.live_nodes() == 0
    engine.shutdown()
