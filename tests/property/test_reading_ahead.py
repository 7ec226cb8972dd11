"""Reading ahead changes how much work an answer is, and nothing else: tiny models, by both ways of caching."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ig_guardrail.engine.early_exit.layers import Exit, raw_exit
from ig_guardrail.engine.kv.copied import CopiedPrefix, Repetition
from ig_guardrail.engine.kv.shared import SharedPrefix
from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.errors import EngineError, ModelError, RequestError
from ig_guardrail.types import Draw, Message, Node, Sampling
from tests.conformance.engine.tiny import quiet_end, tiny_weights
from tests.conformance.engine.worlds import HELLO
from tests.examples import examples

TURNS = (Message("user", "Tell me about the sea."),)
END, SIZE, LAYERS = 262, 32, (1, 2)
WAYS = ("llama", "llama-repeat", "gemma3")
SHARES = (0.0, 0.3, 1.0)  # how much the layer behind the exit has to say: the exit is always, often, seldom right


@cache
def engine(way: str, share: float) -> TransformersEngine:
    weights = quiet_end(tiny_weights(architecture=way.split("-")[0]), share)
    caching: tuple[Any, ...] = (Repetition,) if way == "llama-repeat" else ()
    return TransformersEngine(weights, *caching).with_exit(raw_exit(1, SIZE))


def opened(engine: TransformersEngine, sampling: Sampling, layers: tuple[int, ...] = ()) -> Node:
    return engine.open(engine.encode(TURNS), sampling, layers).result()


def chain(engine: TransformersEngine, node: Node, sizes: list[int], lane: int, ahead: int) -> Node:
    for size in sizes:
        if node.finish is None:
            (node,) = engine.extend([Draw(node, lane=lane)], size, ahead=ahead).result()
    return node


def told(node: Node) -> tuple[Any, ...]:
    return node.answer_ids(), node.text, node.finish, node.position


samplings = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 0.7, 1.5]),
    top_p=st.sampled_from([0.9, 1.0]),
    seed=st.integers(0, 2**32),
    max_tokens=st.sampled_from([7, 24]),
    logit_bias=st.sampled_from([(), ((END, -1e4),), ((END, 3.0),)]),
)


@pytest.mark.slow
@settings(max_examples=examples(60), deadline=None)
@given(
    st.sampled_from(WAYS),
    st.sampled_from(SHARES),
    st.integers(1, 5),
    samplings,
    st.lists(st.integers(1, 9), min_size=1, max_size=5),
    st.integers(0, 3),
)
def test_the_answer_is_the_plain_one_token_for_token(
    way: str, share: float, tokens: int, sampling: Sampling, sizes: list[int], lane: int
) -> None:
    fast = engine(way, share)
    roots = [opened(fast, sampling, LAYERS) for _ in range(2)]
    left, right = (chain(fast, root, sizes, lane, ahead) for root, ahead in zip(roots, (0, tokens), strict=True))
    assert told(left) == told(right)
    for mine, other in zip(left.path()[1:], right.path()[1:], strict=True):
        assert mine.logprobs == pytest.approx(other.logprobs, abs=1e-4)
        for layer in mine.hidden:
            assert torch.allclose(mine.hidden[layer], other.hidden[layer], atol=1e-3)
    for root in roots:
        fast.close(root)
    assert fast.live_nodes() == 0


@pytest.mark.slow
@settings(max_examples=examples(30), deadline=None)
@given(st.sampled_from(WAYS), st.sampled_from(SHARES), st.integers(0, 2**32), st.integers(1, 12))
def test_keys_and_values_after_wrong_guesses_are_those_of_a_fresh_pass(
    way: str, share: float, seed: int, length: int
) -> None:
    fast = engine(way, share)
    root = opened(fast, Sampling(temperature=1.5, seed=seed, logit_bias=((END, -1e4),)))
    drawn = chain(fast, root, [length, length], 0, 4)
    (fresh,) = fast.append([(root, drawn.answer_ids())]).result()
    for mine, other in zip(held(fast, drawn), held(fast, fresh), strict=True):
        assert mine.shape == other.shape
        assert torch.allclose(mine, other, atol=1e-4)
    fast.close(root)


def held(engine: TransformersEngine, node: Node) -> list[torch.Tensor]:
    """What an engine keeps of a node: keys and values by layer, all tokens of the prefix."""
    _, state = engine._tree.find(node)
    if isinstance(state, CopiedPrefix):
        return [tensor for layer in state.layers for tensor in (layer.keys[0], layer.values[0])]
    assert isinstance(state, SharedPrefix)
    trunk = [torch.stack(state.trunk.part(layer, state.reach)) for layer in range(2)]
    return trunk if state.row is None else [torch.cat([*pair], dim=2) for pair in zip(trunk, state.row, strict=True)]


@pytest.mark.parametrize("way", WAYS)
def test_a_right_guess_saves_the_upper_layers_a_pass(way: str) -> None:
    """Always right: 12 tokens in blocks of 4, read 4 at a time."""
    fast = engine(way, 0.0)
    root = opened(fast, Sampling(temperature=0, logit_bias=((END, -1e4),)))
    before, read = fast.forwards(root), fast.tokens_read(root)
    chain(fast, root, [4, 4, 4], 0, 3)
    assert (fast.forwards(root) - before, fast.tokens_read(root) - read) == (3, 12)
    fast.close(root)


@pytest.mark.parametrize("way", WAYS)
def test_passes_and_tokens_are_counted_as_the_model_runs_them(way: str) -> None:
    """Every guess costs the lower layers a token; passes count where the last layer runs."""
    fast = engine(way, 1.0)
    layers = fast._model.layers
    runs = {0: [0, 0], 1: [0, 0]}

    def count(depth: int) -> Any:
        def hook(layer: Any, inputs: Any, _output: Any) -> None:
            if "forward" not in vars(layer):
                runs[depth][0] += 1
                runs[depth][1] += inputs[0].shape[1]

        return hook

    hooks = [layers[depth].register_forward_hook(count(depth)) for depth in runs]
    root = opened(fast, Sampling(temperature=1.0, seed=5, logit_bias=((END, -1e4),)))
    chain(fast, root, [16, 5], 0, 3)
    assert runs[1] == [fast.forwards(root), fast.tokens_read(root)]
    assert runs[0][1] == fast.tokens_read(root)
    assert runs[0][0] > runs[1][0]
    for hook in hooks:
        hook.remove()
    fast.close(root)


def test_rows_beside_others_are_read_together() -> None:
    fast = engine("llama", 0.0)
    sampling = Sampling(temperature=1.0, seed=1, logit_bias=((END, -1e4),))
    roots = [opened(fast, sampling) for _ in range(2)]
    answers = [fast.extend([Draw(root, 4)], 8, ahead=n).result() for root, n in zip(roots, (3, 0), strict=True)]
    assert [node.ids for node in answers[0]] == [node.ids for node in answers[1]]
    assert fast.forwards(roots[0]) == fast.forwards(roots[1])
    for root in roots:
        fast.close(root)


def test_nothing_is_read_ahead_unless_it_is_asked_for() -> None:
    fast = engine("llama", 0.0)
    root = opened(fast, Sampling(temperature=0, logit_bias=((END, -1e4),)))
    before, read = fast.forwards(root), fast.tokens_read(root)
    chain(fast, root, [12], 0, 0)
    assert (fast.forwards(root) - before, fast.tokens_read(root) - read) == (12, 12)
    fast.close(root)


def test_the_engine_that_lends_its_thread_stays_without_an_exit() -> None:
    plain = TransformersEngine(tiny_weights())
    fast = plain.with_exit(raw_exit(1, SIZE))
    assert (plain.info.exit, fast.info.exit, plain.info.mode) == (None, 1, fast.info.mode)
    root = opened(plain, Sampling())
    with pytest.raises(EngineError, match="has no early exit"):
        plain.extend([Draw(root)], 4, ahead=1).result()
    (node,) = fast.extend([Draw(root)], 4, ahead=1).result()
    assert plain.extend([Draw(root)], 4).result()[0].ids == node.ids
    del plain
    assert fast.open(fast.encode(HELLO), Sampling()).result().position == 0
    fast.shutdown()
    assert fast.closed


def test_fewer_than_no_tokens_ahead_are_refused() -> None:
    fast = engine("llama", 0.0)
    root = opened(fast, Sampling())
    with pytest.raises(RequestError, match="ask for 0 or more"):
        fast.extend([Draw(root)], 4, ahead=-1).result()
    fast.close(root)


@pytest.mark.parametrize("way_out", [raw_exit(2, SIZE), raw_exit(0, SIZE), raw_exit(1, SIZE + 1)])
def test_an_exit_that_does_not_fit_is_refused(way_out: Exit) -> None:
    with pytest.raises(ModelError, match="does not fit the model"):
        engine("llama", 0.0).with_exit(way_out)
