"""Reading ahead changes how much work an answer is, and nothing else: tiny models, by both ways of caching."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ig_guardrail.engine.ahead import ahead
from ig_guardrail.engine.depth import Exit, raw_exit
from ig_guardrail.engine.model import Model
from ig_guardrail.engine.repeat import CopiedPrefix, Repetition
from ig_guardrail.engine.shared import SharedPrefix
from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.errors import ModelError
from ig_guardrail.types import Draw, Node, Sampling, Turn
from tests.conformance.engine.tiny import quiet_end, tiny_weights

TURNS = (Turn("user", "Tell me about the sea."),)
END, SIZE, LAYERS = 262, 32, (1, 2)
WAYS = ("llama", "llama-repeat", "gemma3")
SHARES = (0.0, 0.3, 1.0)  # how much the layer behind the exit has to say: the exit is always, often, seldom right


@cache
def engine(way: str, share: float, tokens: int) -> TransformersEngine:
    """tokens 0: an engine that does not read ahead."""
    weights = quiet_end(tiny_weights(architecture=way.split("-")[0]), share)
    over: dict[str, Any] = {"over": Repetition} if way == "llama-repeat" else {}
    if tokens:
        return TransformersEngine(weights, ahead(raw_exit(1, SIZE), tokens, **over))
    return TransformersEngine(weights, *over.values())


def opened(engine: TransformersEngine, sampling: Sampling, layers: tuple[int, ...] = ()) -> Node:
    return engine.open(engine.encode(TURNS), sampling, layers).result()


def chain(engine: TransformersEngine, node: Node, sizes: list[int], lane: int) -> Node:
    for size in sizes:
        if node.finish is None:
            (node,) = engine.extend([Draw(node, lane=lane)], size).result()
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


@settings(max_examples=60, deadline=None)
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
    plain, fast = engine(way, share, 0), engine(way, share, tokens)
    roots = [opened(one, sampling, LAYERS) for one in (plain, fast)]
    left, right = (chain(one, root, sizes, lane) for one, root in zip((plain, fast), roots, strict=True))
    assert told(left) == told(right)
    for mine, other in zip(left.path()[1:], right.path()[1:], strict=True):
        assert mine.logprobs == pytest.approx(other.logprobs, abs=1e-4)
        for layer in mine.hidden:
            assert torch.allclose(mine.hidden[layer], other.hidden[layer], atol=1e-3)
    for one, root in zip((plain, fast), roots, strict=True):
        one.close(root)
        assert one.live_nodes() == 0


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(WAYS), st.sampled_from(SHARES), st.integers(0, 2**32), st.integers(1, 12))
def test_keys_and_values_after_wrong_guesses_are_those_of_a_fresh_pass(
    way: str, share: float, seed: int, length: int
) -> None:
    fast = engine(way, share, 4)
    root = opened(fast, Sampling(temperature=1.5, seed=seed, logit_bias=((END, -1e4),)))
    drawn = chain(fast, root, [length, length], 0)
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
    fast = engine(way, 0.0, 3)
    root = opened(fast, Sampling(temperature=0, logit_bias=((END, -1e4),)))
    before, read = fast.forwards(root), fast.tokens_read(root)
    chain(fast, root, [4, 4, 4], 0)
    assert (fast.forwards(root) - before, fast.tokens_read(root) - read) == (3, 12)
    fast.close(root)


@pytest.mark.parametrize("way", WAYS)
def test_passes_and_tokens_are_counted_as_the_model_runs_them(way: str) -> None:
    """Every guess costs the lower layers a token; passes count where the last layer runs."""
    fast = engine(way, 1.0, 3)
    layers = fast._grower.caching._layers
    runs = {0: [0, 0], 1: [0, 0]}

    def count(depth: int) -> Any:
        def hook(layer: Any, inputs: Any, _output: Any) -> None:
            if "forward" not in vars(layer):
                runs[depth][0] += 1
                runs[depth][1] += inputs[0].shape[1]

        return hook

    hooks = [layers[depth].register_forward_hook(count(depth)) for depth in runs]
    root = opened(fast, Sampling(temperature=1.0, seed=5, logit_bias=((END, -1e4),)))
    chain(fast, root, [16, 5], 0)
    assert runs[1] == [fast.forwards(root), fast.tokens_read(root)]
    assert runs[0][1] == fast.tokens_read(root)
    assert runs[0][0] > runs[1][0]
    for hook in hooks:
        hook.remove()
    fast.close(root)


def test_rows_beside_others_are_read_together() -> None:
    fast, plain = engine("llama", 0.0, 3), engine("llama", 0.0, 0)
    sampling = Sampling(temperature=1.0, seed=1, logit_bias=((END, -1e4),))
    roots = [opened(one, sampling) for one in (fast, plain)]
    answers = [one.extend([Draw(root, 4)], 8).result() for one, root in zip((fast, plain), roots, strict=True)]
    assert [node.ids for node in answers[0]] == [node.ids for node in answers[1]]
    assert fast.forwards(roots[0]) == plain.forwards(roots[1])
    for one, root in zip((fast, plain), roots, strict=True):
        one.close(root)


def test_the_mode_says_so() -> None:
    assert engine("llama", 0.0, 3).info.mode == "transformers/shared+exit1"
    assert engine("gemma3", 0.0, 3).info.mode == "transformers/repeat+exit1"


@pytest.mark.parametrize("way_out", [raw_exit(2, SIZE), raw_exit(0, SIZE), raw_exit(1, SIZE + 1)])
def test_an_exit_that_does_not_fit_is_refused(way_out: Exit) -> None:
    with pytest.raises(ModelError, match="does not fit the model"):
        ahead(way_out)(Model(tiny_weights().model))
