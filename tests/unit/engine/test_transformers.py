"""The transformers engine where it differs from others: equal to `generate`, its hooks, its cache, its thread."""

from __future__ import annotations

import gc
import random
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ig_guardrail.engine.kv.copied import Repetition, empty_cache
from ig_guardrail.engine.kv.shared import Sharing
from ig_guardrail.engine.loading.weights import Weights
from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.errors import EngineClosed, EngineError, ModelError, RequestError
from ig_guardrail.types import Draw, Message, Node, Sampling
from tests.conformance.engine.tiny import tiny_weights

CHECKOUT = Path(__file__).parents[3]
TURNS = (Message("user", "Tell me about the sea."),)


@pytest.fixture(scope="module")
def weights() -> Weights:
    return tiny_weights()


@pytest.fixture(params=[Sharing, Repetition])
def engine(weights: Weights, request: pytest.FixtureRequest) -> Any:
    engine = TransformersEngine(weights, request.param)
    yield engine
    engine.shutdown()


def root_of(engine: TransformersEngine, layers: tuple[int, ...] = (), **sampling: Any) -> Node:
    end = ((engine.encode(TURNS).ids[-1], 0.0),)
    settings = {"temperature": 1.0, "logit_bias": (*end, (262, -1e4))} | sampling
    return engine.open(engine.encode(TURNS), Sampling(**settings), layers).result()


def chain(engine: TransformersEngine, node: Node, *sizes: int) -> Node:
    for size in sizes:
        (node,) = engine.extend([Draw(node)], size).result()
    return node


def generated(model: Any, ids: tuple[int, ...], count: int) -> tuple[int, ...]:
    batch = torch.tensor([ids])
    with torch.inference_mode():
        out = model.generate(batch, attention_mask=torch.ones_like(batch), max_new_tokens=count, do_sample=False)
    return tuple(out[0, len(ids) :].tolist())


def test_greedy_equals_generate(engine: TransformersEngine, weights: Weights) -> None:
    node = chain(engine, root_of(engine, temperature=0.0, logit_bias=()), 7, 1, 16)
    expected = generated(weights.model, engine.encode(TURNS).ids, 24)
    assert node.answer_ids() == expected[: node.position]
    assert node.position == 24 or expected[node.position] == 262


def test_a_sliding_window_is_kept_through_forks() -> None:
    """Past the window, in which the cache holds fewer tokens than were read."""
    sliding = tiny_weights(seed=3, context=200, architecture="mistral")
    sliding.model.generation_config.eos_token_id = None
    model, engine = sliding.model, TransformersEngine(sliding)
    root = root_of(engine, temperature=0.0, logit_bias=())
    first, second = engine.extend([Draw(root, 2)], 9).result()
    whole = chain(engine, first, 9)
    assert second.ids == first.ids
    assert whole.answer_ids() == generated(model, engine.encode(TURNS).ids, 18)
    assert chain(engine, second, 4, 5).answer_ids() == whole.answer_ids()
    (forced,) = engine.append([(root, whole.answer_ids())]).result()
    assert chain(engine, forced, 3).ids == chain(engine, whole, 3).ids
    engine.shutdown()


def test_hidden_states_are_those_of_the_model(engine: TransformersEngine, weights: Weights) -> None:
    node = chain(engine, root_of(engine, layers=(1,)), 3, 4)
    prompt = engine.encode(TURNS).ids
    with torch.inference_mode():
        states = weights.model(torch.tensor([prompt + node.answer_ids()]), output_hidden_states=True).hidden_states
    rows = torch.cat([step.hidden[1] for step in node.path()[1:]])
    assert rows.shape == (7, 32)
    assert torch.allclose(rows, states[1][0, len(prompt) :], atol=1e-4)


def test_hidden_states_can_be_trained_on(engine: TransformersEngine) -> None:
    node = chain(engine, root_of(engine, layers=(2,)), 3)
    head = torch.nn.Linear(32, 1)
    head(node.hidden[2]).sum().backward()
    assert head.weight.grad is not None


def test_no_hook_stays_on_the_model(engine: TransformersEngine, weights: Weights) -> None:
    root = root_of(engine, layers=(1, 2))
    before = _hooks(weights.model)
    chain(engine, root, 4)
    broken = weights.model.lm_head.register_forward_hook(_fail)
    with pytest.raises(EngineError, match="the head broke"):
        engine.extend([Draw(root, 2)], 4).result()
    broken.remove()
    assert _hooks(weights.model) == before
    assert chain(engine, root, 4).position == 4


@pytest.mark.slow
def test_a_finished_row_leaves_the_batch_and_the_others_go_on_as_alone(engine: TransformersEngine) -> None:
    """Rows end at different steps, by stop strings; each is what it is when drawn alone."""
    root = root_of(engine, stop=("e", "i", "4", "b"), layers=(1,))
    rows = engine.extend([Draw(root, 12)], 16).result()
    assert len({len(row.ids) for row in rows}) > 2
    for lane, row in enumerate(rows):
        (alone,) = engine.extend([Draw(root, 1, lane)], 16).result()
        assert (alone.ids, alone.finish, alone.text) == (row.ids, row.finish, row.text)
        assert len(row.hidden[1]) == len(row.ids) if row.ids else row.hidden == {}
        if row.finish is None:
            assert chain(engine, row, 3).ids == chain(engine, alone, 3).ids


def test_a_cancel_takes_effect_within_one_step(engine: TransformersEngine, weights: Weights) -> None:
    root, other = root_of(engine), root_of(engine)
    steps, reached, go = [], threading.Event(), threading.Event()

    def step(*_: Any) -> None:
        steps.append(1)
        if len(steps) == 3:
            reached.set()
            assert go.wait(10)

    hook = weights.model.register_forward_pre_hook(step)
    work = engine.extend([Draw(root, 4)], 50)
    assert reached.wait(10)
    engine.close(root)
    assert engine.live_nodes() == 1
    go.set()
    with pytest.raises(EngineClosed, match="the request was closed"):
        work.result()
    hook.remove()
    assert len(steps) == 3
    assert chain(engine, other, 2).position == 2


@pytest.mark.slow
def test_random_cancels_leave_no_tensor_and_no_node(engine: TransformersEngine) -> None:
    before, luck = _tensors(), random.Random(5)
    for _ in range(80):
        root = root_of(engine, layers=(1,))
        (node,) = engine.extend([Draw(root)], luck.randint(1, 3)).result()
        twin = engine.open(engine.encode(TURNS), Sampling(), (), twin_of=node)
        work = [twin, engine.extend([Draw(node, 3)], 4), engine.expand(node, 4), engine.append([(root, node)])]
        for future in work[: luck.randint(0, 4)]:
            future.exception()
        engine.close(root)
        for future in work:
            error = future.exception()
            assert error is None or isinstance(error, EngineClosed)
    assert engine.live_nodes() == 0
    del root, node, twin, work, future, error
    assert _tensors() <= before


@pytest.mark.slow
def test_closing_a_request_frees_its_cache_at_once(engine: TransformersEngine) -> None:
    before = _tensors()
    root = root_of(engine)
    nodes = engine.extend([Draw(root, 4)], 4).result()
    assert _tensors() > before
    engine.close(root)
    assert _tensors() <= before
    assert nodes[0].text


def test_passes_are_counted(engine: TransformersEngine) -> None:
    root = root_of(engine, max_tokens=8)
    assert engine.forwards(root) == 1
    node = chain(engine, root, 4)
    assert engine.forwards(root) == 5
    engine.extend([Draw(root, 5)], 3).result()
    assert engine.forwards(root) == 8
    engine.append([(root, node), (root, (1, 2, 3, 4))]).result()
    assert engine.forwards(root) == 9
    chain(engine, node, 4)
    assert engine.forwards(root) == 12, "the last token of a finished answer is not read"


def test_another_engines_node_is_a_strangers(engine: TransformersEngine, weights: Weights) -> None:
    other = TransformersEngine(weights)
    root, foreign = root_of(engine), root_of(other)
    engine.close(foreign)
    assert engine.live_nodes() == 1
    with pytest.raises(EngineClosed):
        engine.open(engine.encode(TURNS), Sampling(), (), twin_of=foreign).result()
    with pytest.raises(EngineClosed):
        engine.extend([Draw(foreign)], 1).result()
    assert engine.forwards(foreign) == 0
    assert chain(engine, root, 2).position == 2
    other.shutdown()


def test_a_node_with_tokens_of_another_model_is_refused(engine: TransformersEngine) -> None:
    root = root_of(engine)
    strange = replace(chain(engine, root, 1), ids=(999_999,))
    with pytest.raises(RequestError, match="token 999999 was given"):
        engine.append([(root, strange)]).result()


def test_after_shutdown_work_is_refused(weights: Weights) -> None:
    engine = TransformersEngine(weights)
    root = root_of(engine)
    engine.shutdown()
    engine.shutdown()
    assert engine.closed
    assert engine.live_nodes() == 0
    with pytest.raises(EngineClosed, match="the engine was shut down"):
        engine.extend([Draw(root)], 1).result()


def test_protected_tokens_are_end_special_and_white_space(engine: TransformersEngine, weights: Weights) -> None:
    spelled = weights.tokenizer.convert_ids_to_tokens(sorted(engine.info.protected))
    assert {"<|open|>", "<|shut|>", "<|note|>", "Ġ", "Ċ", "ĉ"} <= set(spelled)
    assert "a" not in spelled


def test_architectures_that_cannot_be_read_are_named() -> None:
    weights = tiny_weights()

    class Strange(torch.nn.Module):
        config, device, dtype = weights.model.config, weights.model.device, weights.model.dtype
        generation_config = weights.model.generation_config

    with pytest.raises(ModelError, match="the architecture Strange keeps its decoder layers where"):
        TransformersEngine(Weights("strange", "", Strange(), weights.tokenizer))


def test_states_that_change_in_place_are_refused_by_name() -> None:
    from transformers import Qwen3NextConfig

    with pytest.raises(ModelError, match="models of type 'qwen3_next' keep a state of kind LinearAttentionLayer"):
        empty_cache(Qwen3NextConfig(num_hidden_layers=4))


@pytest.mark.slow
def test_a_process_may_exit_while_the_engine_works() -> None:
    code = (
        "from tests.conformance.engine.tiny import tiny_weights\n"
        "from ig_guardrail.engine.transformers import TransformersEngine\n"
        "from ig_guardrail.types import Draw, Message, Sampling\n"
        "engine = TransformersEngine(tiny_weights(context=100_000))\n"
        "root = engine.open(engine.encode((Message('user', 'hi'),)), Sampling(max_tokens=90_000)).result()\n"
        "engine.extend([Draw(root, 8)], 90_000, bias=[(262, -1e4)])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def _fail(*_: Any) -> None:
    raise RuntimeError("the head broke")


def _hooks(model: Any) -> int:
    return sum(len(module._forward_hooks) for module in model.modules())


def _tensors() -> int:
    """Tensors that Python knows of and that hold a cache or hidden states (three dimensions or more)."""
    gc.collect()
    return sum(issubclass(type(thing), torch.Tensor) and thing.dim() >= 3 for thing in gc.get_objects())


def test_layers_are_those_that_there_are() -> None:
    """Where a layer attends twice, the model's config counts both times."""
    engine = TransformersEngine(tiny_weights(architecture="longcat_flash"))
    node = chain(engine, root_of(engine, (engine.info.layers,)), 3)
    assert (engine.info.layers, node.hidden[2].shape) == (2, (3, 32))
    with pytest.raises(RequestError, match="the model has 2 layers"):
        root_of(engine, (3,))
    engine.shutdown()
