"""A dry run of what a GPU runs, on a device that has shapes and no numbers.

A tensor that is left on the CPU, or a kernel that only a CPU has, raises here. `make test-gpu` runs on a real GPU.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import LlamaConfig, LlamaForCausalLM

from ig_guardrail.engine.decoding.by_torch import LogitBias, _ranking, bias_of
from ig_guardrail.engine.decoding.passes import Pass, PassResult
from ig_guardrail.engine.kv.attention import attend_block
from ig_guardrail.engine.kv.copied import Repetition
from ig_guardrail.engine.kv.prompt_cache import PromptCache
from ig_guardrail.engine.kv.shared import Sharing
from ig_guardrail.engine.model import Model
from ig_guardrail.engine.tree import RequestUsage

AWAY = torch.device("meta")
VOCABULARY, WIDTH = 64, 32


@pytest.fixture(autouse=True)
def inference() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture(params=["shared", "repeat"])
def caching(request: pytest.FixtureRequest) -> Any:
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    with AWAY:
        model = Model(LlamaForCausalLM(config).to(torch.bfloat16).eval())
    return Sharing(model, PromptCache(1 << 20)) if request.param == "shared" else Repetition(model)


class Doubled:
    """An edit of states, where they are."""

    layer = 1

    def edited(self, states: Tensor) -> Tensor:
        return states * torch.full((states.shape[-1],), 2.0, device=states.device, dtype=states.dtype)


def read(caching: Any, rows: Any, tokens: Sequence[Sequence[int]], **how: Any) -> PassResult:
    (found,) = caching.read([Pass(rows, tokens, 1, (1,), RequestUsage(0), **how)])
    assert found.logits.device == found.hidden[1].device == AWAY
    assert found.logits.shape == (len(tokens), 1, VOCABULARY)
    assert found.hidden[1].shape == (len(tokens), len(tokens[0]), WIDTH)
    return found


def test_a_tree_of_continuations_stays_off_the_cpu(caching: Any) -> None:
    trunk = caching.empty(40)
    begun = read(caching, trunk, [list(range(40))])
    root = trunk.freeze(0, begun.logits[0, -1])
    wide = caching.start([root, root, root], 4)
    read(caching, wide, [[1], [2], [3]])
    read(caching, wide, [[1, 2], [2, 3], [3, 4]])
    wide.keep([0, 2])
    drawn = read(caching, wide, [[1], [3]])
    chosen = wide.freeze(1, drawn.logits[1, -1])
    again = caching.start([chosen], 4)
    read(caching, again, [[5]])
    read(caching, again, [[5, 6, 7]])
    both = caching.start([chosen, chosen], 2)
    read(caching, both, [[5], [6]])


def test_states_are_edited_where_they_are(caching: Any) -> None:
    rows = caching.empty(4)
    read(caching, rows, [[1, 2, 3, 4]])
    read(caching, rows, [[5]], edit=Doubled())


def test_what_is_drawn_comes_to_the_cpu() -> None:
    with FakeTensorMode():
        logits = torch.randn(3, VOCABULARY, device="cuda")
        bias = bias_of([(1, -2.0), (5, 1.0)], logits.device)
        assert isinstance(bias, LogitBias)
        values, ids = _ranking(bias.add_to(logits), 8)
        assert values.device.type == ids.device.type == "cpu"


def test_a_tensor_that_is_left_elsewhere_is_noticed() -> None:
    query, keys = torch.randn(1, 4, 2, 8, device=AWAY), torch.randn(1, 2, 6, 8)
    with pytest.raises((RuntimeError, NotImplementedError)):
        attend_block(query, keys, keys, 1.0)
